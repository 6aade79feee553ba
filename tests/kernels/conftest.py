"""Fresh memory holds NaN in these tests, so a kernel that leaves an element unwritten fails."""

import os

# Read by triton when a kernel is defined, so before any test module imports one. Without a GPU kernels are interpreted.
import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from torch import Tensor


@pytest.fixture(autouse=True)
def poisoned_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """`torch.empty` and its kin return NaN (for integers: their smallest number)."""

    def poison(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def poisoned(*args: Any, **kwargs: Any) -> Tensor:
            x = make(*args, **kwargs)
            if x.dtype == torch.bool:
                return x
            return x.fill_(torch.nan if x.is_floating_point() else torch.iinfo(x.dtype).min)

        return poisoned

    monkeypatch.setattr(torch, "empty", poison(torch.empty))
    monkeypatch.setattr(torch, "empty_like", poison(torch.empty_like))
    monkeypatch.setattr(Tensor, "new_empty", poison(Tensor.new_empty))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small problems on a shared machine; bits must not depend on it (test_pool checks that)."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(20261122)


@pytest.fixture
def device() -> str:
    """Where Triton kernels run: compiled on a GPU, else interpreted."""
    return "cuda" if torch.cuda.is_available() else "cpu"
