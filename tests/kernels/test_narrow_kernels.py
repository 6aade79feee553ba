"""Matrices of 8 and 4 bits: how far they are from what was rounded, and products beside float64."""

import pytest
import torch

from codemem.kernels import narrow
from codemem.kernels.gemv import reference as gemv_reference
from codemem.kernels.gemv.triton import Tile
from codemem.kernels.narrow import GROUP, Bits, NarrowMatrix, multiply, multiply_one, narrow_bytes, reference, triton

SIZES = [(1, 1), (6, 33), (4, 64), (10, 130), (66, 200)]


def matrix_of(outputs: int, inputs: int, bits: Bits, generator: torch.Generator) -> tuple[torch.Tensor, NarrowMatrix]:
    weight = torch.randn(outputs, inputs, generator=generator)
    return weight, NarrowMatrix.of(weight, bits)


@pytest.mark.parametrize(("outputs", "inputs"), SIZES)
def test_no_weight_is_further_off_than_half_a_step(outputs: int, inputs: int, generator: torch.Generator) -> None:
    weight, eight = matrix_of(outputs, inputs, 8, generator)
    half_step = weight.abs().amax(1, keepdim=True) / 127 / 2
    assert bool(((reference.dense(eight) - weight).abs() <= half_step * 1.0001).all())
    four = NarrowMatrix.of(weight, 4)
    for start in range(0, inputs, GROUP):
        group = weight[:, start : start + GROUP]
        distance = group.amax(1, keepdim=True) - group.amin(1, keepdim=True)
        # float16 keeps the scale and the smallest value to 2^-11 of themselves.
        rounding = 2.0**-11 * (distance + group.abs().amax(1, keepdim=True))
        found = reference.dense(four)[:, start : start + GROUP]
        assert bool(((found - group).abs() <= distance / 30 + 2 * rounding + 2.0**-24).all())


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize(("outputs", "inputs"), SIZES)
def test_widened_as_the_reference(
    outputs: int, inputs: int, bits: Bits, generator: torch.Generator, device: str
) -> None:
    _, matrix = matrix_of(outputs, inputs, bits, generator)
    expected = reference.dense(matrix)
    torch.testing.assert_close(matrix.dense(torch.float32).double(), expected, rtol=1e-6, atol=1e-7)
    widened = triton.dense(moved(matrix, device), torch.float16).cpu()
    assert torch.equal(widened, matrix.dense(torch.float16))
    assert matrix.nbytes == narrow_bytes(outputs, inputs, bits)


@pytest.mark.parametrize("bits", [8, 4])
def test_rows_are_rounded_one_by_one(bits: Bits, generator: torch.Generator) -> None:
    weight, whole = matrix_of(9, 70, bits, generator)
    parts = NarrowMatrix.empty(9, 70, bits)
    for first in (5, 0):
        parts.set_rows(first, weight[first : first + 5])
    assert torch.equal(parts.dense(torch.float32), whole.dense(torch.float32))
    chosen = torch.tensor([3, 0, 3])
    assert torch.equal(whole.rows(chosen).dense(torch.float32), whole.dense(torch.float32)[chosen])


@pytest.mark.parametrize("bits", [8, 4])
def test_rows_of_zeros_and_of_one_value(bits: Bits) -> None:
    weight = torch.stack((torch.zeros(40), torch.full((40,), 0.25), torch.full((40,), -3.0)))
    torch.testing.assert_close(NarrowMatrix.of(weight, bits).dense(torch.float32), weight, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize(("outputs", "inputs"), SIZES[1:4])
@pytest.mark.parametrize(
    ("kind", "biased", "tile"),
    [
        ("plain", False, Tile(4, 64, 4)),
        ("plain", True, Tile(8, 16, 4, 3)),
        ("norm", True, Tile(8, 16, 4)),
        ("gated", False, Tile(4, 16, 4)),
        ("gated", True, Tile(8, 64, 4, 3)),
        ("residual", False, Tile(8, 32, 4)),
    ],
)
def test_one_token(
    outputs: int,
    inputs: int,
    bits: Bits,
    *,
    kind: str,
    biased: bool,
    tile: Tile,
    generator: torch.Generator,
    device: str,
) -> None:
    outputs = 2 * outputs if kind == "gated" else outputs
    _, matrix = matrix_of(outputs, inputs, bits, generator)
    x = (torch.randn(1, inputs, generator=generator) * inputs**-0.5).half()
    bias = torch.randn(outputs, generator=generator).half() if biased else None
    norm = (torch.randn(inputs, generator=generator).half(), 1e-6) if kind in ("norm", "gated") else None
    residual = torch.randn(1, outputs, generator=generator).half() if kind == "residual" else None
    expected = gemv_reference.gemv(
        x, reference.dense(matrix), bias, norm=norm, gated=kind == "gated", residual_1N=residual
    )
    there = [None if t is None else t.to(device) for t in (bias, residual)]
    placed = None if norm is None else (norm[0].to(device), norm[1])
    found = triton.multiply_one(
        x.to(device), moved(matrix, device), there[0], placed, kind == "gated", there[1], torch.float32, tile=tile
    )
    options = {"norm": norm, "gated": kind == "gated", "residual_1N": residual}
    by_torch = multiply_one(x, matrix, bias, **options, dtype=torch.float32)
    size = float(expected.abs().max())  # the widened weights are rounded to x's 16 bits by torch alone
    for actual in (found.cpu(), by_torch):
        assert actual.dtype == torch.float32
        torch.testing.assert_close(actual.double(), expected, atol=2e-3 * max(1.0, size), rtol=1e-2)


@pytest.mark.parametrize("bits", [8, 4])
def test_many_tokens_in_pieces(bits: Bits, generator: torch.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    _, matrix = matrix_of(50, 70, bits, generator)
    x, bias = torch.randn(5, 70, generator=generator), torch.randn(50, generator=generator)
    expected = x.double() @ reference.dense(matrix).T + bias.double()
    whole = multiply(x, matrix, bias)
    monkeypatch.setattr(narrow, "DENSE_BYTES", 70 * 4 * 12)
    for found in (whole, multiply(x, matrix, bias)):
        torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-4)


def test_what_does_not_fit_is_refused() -> None:
    matrix = NarrowMatrix.of(torch.zeros(4, 3), 8)
    with pytest.raises(ValueError, match="does not fit"):
        multiply(torch.zeros(2, 4), matrix)
    with pytest.raises(ValueError, match="no single row"):
        multiply_one(torch.zeros(2, 3), matrix)
    with pytest.raises(ValueError, match="no residual"):
        multiply_one(torch.zeros(1, 3), matrix, gated=True, residual_1N=torch.zeros(1, 2))


def moved(matrix: NarrowMatrix, device: str) -> NarrowMatrix:
    minima = None if matrix.minima is None else matrix.minima.to(device)
    return NarrowMatrix(matrix.bits, matrix.inputs, matrix.values.to(device), matrix.scales.to(device), minima)
