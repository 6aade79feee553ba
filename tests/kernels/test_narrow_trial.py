"""Whether kernels for narrow weights serve: judged in little memory, and a wrong one is refused."""

from collections.abc import Callable, Hashable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from codemem.kernels import narrow, serving
from codemem.kernels.narrow import Bits, NarrowMatrix, dense, multiply_one, serves_one, triton

INPUTS = 48
NUMBERS = INPUTS * 16
"""Weights that a trial widens at once here."""


@pytest.fixture(autouse=True)
def kernels_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing tried yet, and kernels wanted on a processor too, where they are interpreted."""
    monkeypatch.setattr(serving, "_tried", {})
    monkeypatch.setattr(narrow, "wants_kernel", lambda *_: True)
    monkeypatch.setattr(narrow, "TRIAL_NUMBERS", NUMBERS)


class LargestMade(TorchDispatchMode):
    """Bytes of the largest tensor that was made meanwhile; views of what there was are not made."""

    def __init__(self, *there: Tensor | None) -> None:
        super().__init__()
        self._there = {x.untyped_storage().data_ptr() for x in there if x is not None}
        self.bytes = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        for x in made if isinstance(made, tuple | list) else (made,):
            if isinstance(x, Tensor) and x.untyped_storage().data_ptr() not in self._there:
                self.bytes = max(self.bytes, x.untyped_storage().nbytes())
        return made


class Judged:
    """Stands for `serves`: judges as it does, and sees what the trial alone makes. Torch then serves."""

    def __init__(self, made: LargestMade) -> None:
        self.right: list[bool] = []
        self.made = made

    def __call__(self, kernel: str, widths: Hashable, trial: Callable[[], tuple[Tensor, Tensor]]) -> bool:
        with self.made:
            self.right.append(serving.serves(kernel, widths, trial))
        return False


def matrix_of(outputs: int, bits: Bits, generator: torch.Generator, device: str) -> NarrowMatrix:
    return NarrowMatrix.of(torch.randn(outputs, INPUTS, generator=generator).to(device), bits)


def one_row(generator: torch.Generator, device: str) -> Tensor:
    return torch.randn(1, INPUTS, generator=generator).half().to(device)


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("kind", ["one", "gated", "widen"])
def test_a_trial_takes_as_much_memory_for_a_large_matrix_as_for_a_small_one(
    kind: str, bits: Bits, generator: torch.Generator, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    for outputs in (32, 128):
        matrix, x = matrix_of(outputs, bits, generator, device), one_row(generator, device)
        norm = (torch.ones(INPUTS, device=device).half(), 1e-6)
        judged = Judged(LargestMade(matrix.values, matrix.scales, matrix.minima, x, norm[0]))
        monkeypatch.setattr(narrow, "serves", judged)
        if kind == "widen":
            dense(matrix, torch.float16)
        else:
            serves_one(x, matrix, norm=norm, gated=kind == "gated")
        assert judged.right == [True]
        made.append(judged.made.bytes)
    filled = 64 / INPUTS  # a 4-bit row has whole groups
    assert made[0] == made[1] <= NUMBERS * 4 * filled
    assert serving.refusals() == {}


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("row", [0, 37, 99])
def test_one_wrong_row_of_a_product_is_seen_wherever_it_is(
    row: int, bits: Bits, generator: torch.Generator, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = triton.multiply_one

    def wrong(*arguments: Any, **options: Any) -> Tensor:
        y = right(*arguments, **options)
        y[0, row] += 0.1 * float(y.float().square().mean().sqrt()) + 0.1 * float(y[0, row].abs())
        return y

    monkeypatch.setattr(triton, "multiply_one", wrong)
    matrix, x = matrix_of(100, bits, generator, device), one_row(generator, device)
    with pytest.warns(RuntimeWarning, match="torch serves instead"):
        assert not serves_one(x, matrix)
    assert "differs from torch" in next(iter(serving.refusals().values()))
    expected = x.float() @ matrix.dense(torch.float16).float().T
    torch.testing.assert_close(multiply_one(x, matrix).float(), expected, rtol=5e-3, atol=5e-2)


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("place", [(0, 0), (0, INPUTS - 1), (-1, INPUTS // 2 + 5)])
def test_a_kernel_that_widens_one_weight_wrongly_does_not_serve(
    place: tuple[int, int], bits: Bits, generator: torch.Generator, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = triton.dense

    def wrong(matrix: NarrowMatrix, dtype: torch.dtype) -> Tensor:
        wide = right(matrix, dtype)
        wide[place] += 1.0
        return wide

    monkeypatch.setattr(triton, "dense", wrong)
    matrix = matrix_of(100, bits, generator, device)
    with pytest.warns(RuntimeWarning, match="torch serves instead"):
        widened = dense(matrix, torch.float16)
    assert torch.equal(widened, matrix.dense(torch.float16))


@pytest.mark.parametrize("bits", [8, 4])
def test_a_matrix_smaller_than_the_trial_is_judged_whole(bits: Bits, generator: torch.Generator, device: str) -> None:
    matrix = matrix_of(3, bits, generator, device)
    assert torch.equal(dense(matrix, torch.float16), matrix.dense(torch.float16))
    assert serves_one(one_row(generator, device), matrix)
    assert serving.refusals() == {}
