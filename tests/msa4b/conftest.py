"""One thread, and tiny checkpoints that tests share."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from msa4b_tape import Tape, recorded
from msa4b_tiny import Shape, write_checkpoint

from codemem.model.msa4b import Msa4bModel, load_msa4b
from codemem.model.msa4b.bucketed import Fields, Form, Ground
from codemem.model.msa4b.passes import BucketedPasses

GOLDEN = Path(__file__).parent.parent / "golden"


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes a tiny checkpoint of a shape, once."""
    made: dict[tuple[Shape, int], Path] = {}

    def make(shape: Shape = Shape(), seed: int = 0) -> Path:  # noqa: B008 (frozen)
        if (shape, seed) not in made:
            made[shape, seed] = write_checkpoint(tmp_path_factory.mktemp("tiny"), shape, seed=seed)
        return made[shape, seed]

    return make


@pytest.fixture(scope="session")
def tiny(checkpoint: Callable[..., Path]) -> Msa4bModel:
    """A tiny model in float32."""
    return load_msa4b(checkpoint(), dtype=torch.float32)


@pytest.fixture(scope="session")
def golden() -> Path:
    """Golden vectors of the public engine."""
    return GOLDEN


@pytest.fixture
def taped(monkeypatch: pytest.MonkeyPatch) -> list[Tape]:
    """Stands in for CUDA graphs: recordings are tapes. As with those, recording leaves everything as it was."""
    tapes: list[Tape] = []

    def record(self: BucketedPasses, form: Form, fields: Fields, ground: Ground) -> list[tuple[Tape, bool]]:
        buffers = [x for cache in self.context.layers for x in (cache.k, cache.v)]
        before = [x.clone() for x in buffers]
        tape = recorded(lambda: self._pass(form, fields, ground, lambda work: work()))
        for buffer, held in zip(buffers, before, strict=True):
            buffer.copy_(held)
        tapes.append(tape)
        return [(tape, True)]

    monkeypatch.setattr(BucketedPasses, "_record", record)
    return tapes
