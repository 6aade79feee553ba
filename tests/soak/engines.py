"""The models that a soak may use: the tiny real one, or the fake one of the tests, which costs nothing."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from app.fake_engine import FakeEngine

from codemem.engine_interface import MemoryEngine
from codemem.model.entry import Entry, EntryLayout, TokenisedDocument

NAMES = ("fake", "tiny")
ADAPTER = "codemem-adapter.safetensors"
"""Where a model that is named by its folder has its adapter."""


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

    checkpoint = _tiny_weights(home)
    return Engine.open("tiny", checkpoint, checkpoint / ADAPTER, device="cpu", threads=1)


def tiny_config(home: Path) -> str:
    """A user's configuration that makes the tiny model the default."""
    return f'model = "tiny"\ndevice = "cpu"\nthreads = 1\n[models]\ntiny = "{_tiny_weights(home)}"\n'


def _tiny_weights(home: Path) -> Path:
    from codemem.model.testing import write_tiny_adapter, write_tiny_checkpoint

    checkpoint = home / "tiny"
    if not (checkpoint / ADAPTER).exists():
        write_tiny_checkpoint(checkpoint)
        write_tiny_adapter(checkpoint / ADAPTER)
    return checkpoint
