"""One thread, and tiny checkpoints that tests share."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from msa4b_tiny import Shape, write_checkpoint

from codemem.model.msa4b import Msa4bModel, load_msa4b

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
