"""Kernels that fail or are wrong are replaced by torch, and said to be."""

import pytest
import torch
from torch import Tensor

from codemem.kernels import serving


@pytest.fixture(autouse=True)
def untried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "_tried", {})


def test_a_kernel_that_is_right_serves_and_is_tried_once() -> None:
    tried = []

    def trial() -> tuple[Tensor, Tensor]:
        tried.append(1)
        return torch.ones(3), torch.tensor([1.0, 1.001, 1.0])

    assert [serving.serves("one", (3,), trial) for _ in range(3)] == [True] * 3
    assert tried == [1]
    assert serving.refusals() == {}
    with serving.without_kernels():
        assert not serving.serves("one", (3,), trial)
    assert serving.serves("one", (3,), trial)


@pytest.mark.parametrize("wrong", [2.0, float("nan")])
def test_a_kernel_that_is_wrong_does_not_serve(wrong: float) -> None:
    with pytest.warns(RuntimeWarning, match="torch serves instead"):
        assert not serving.serves("two", (1,), lambda: (torch.tensor([wrong]), torch.ones(1)))
    assert "differs from torch" in serving.refusals()["two (1,)"]
    assert not serving.serves("two", (1,), lambda: (torch.ones(1), torch.ones(1)))


def test_a_kernel_that_does_not_compile_does_not_serve() -> None:
    def trial() -> tuple[Tensor, Tensor]:
        raise TypeError("no such type")

    with pytest.warns(RuntimeWarning, match="no such type"):
        assert not serving.serves("three", (), trial)
    assert serving.refusals() == {"three ()": "TypeError: no such type"}


def test_processors_float32_and_gradients_want_none() -> None:
    assert not serving.wants_kernel(torch.zeros(2), None)
    assert not serving.wants_kernel(torch.zeros(2, dtype=torch.bfloat16))
