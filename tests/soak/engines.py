"""The models that a soak may use: the tiny real one, or the fake one of the tests, which costs nothing."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from app.fake_engine import FakeEngine

from codemem.engine_interface import MemoryEngine
from codemem.model.entry import Entry, EntryLayout, TokenisedDocument

NAMES = ("fake", "tiny")


class Slow(FakeEngine):
    """Takes its time over each document, as a model does."""

    pause = 0.0

    def encode(self, documents: Sequence[TokenisedDocument], layout: EntryLayout) -> Iterator[Entry]:
        for entry in super().encode(documents, layout):
            time.sleep(self.pause)
            yield entry


def make_engine(name: str, home: Path, *, pause: float = 0.0) -> MemoryEngine:
    """`home` keeps the tiny model's weights, made once."""
    if name == "fake":
        engine = Slow()
        engine.pause = pause
        return engine
    from codemem.model.engine import Engine
    from codemem.model.testing import write_tiny_adapter, write_tiny_checkpoint

    checkpoint, adapter = home / "tiny", home / "tiny-adapter.safetensors"
    if not adapter.exists():
        write_tiny_checkpoint(checkpoint)
        write_tiny_adapter(adapter)
    return Engine.open("tiny", checkpoint, adapter, device="cpu", threads=1)
