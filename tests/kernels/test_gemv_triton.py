"""One token through a matrix: the Triton kernel (interpreted where there is no GPU) and torch, beside float64."""

import pytest
import torch

from codemem.kernels.gemv import gemv, reference, serves_gemv, triton
from codemem.kernels.gemv.triton import Tile

SIZES = [(1, 1), (7, 130), (66, 40)]


@pytest.mark.parametrize(("outputs", "inputs"), SIZES)
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("kind", ["plain", "norm", "gated", "residual"])
@pytest.mark.parametrize("tile", [Tile(4, 64, 4), Tile(8, 16, 4, 3)])
def test_products(
    outputs: int, inputs: int, *, biased: bool, kind: str, tile: Tile, generator: torch.Generator, device: str
) -> None:
    outputs = 2 * outputs if kind == "gated" else outputs
    x = torch.randn(1, inputs, generator=generator).half()
    weight = (torch.randn(outputs, inputs, generator=generator) * inputs**-0.5).half()
    bias = torch.randn(outputs, generator=generator).half() if biased else None
    norm = (torch.randn(inputs, generator=generator).half(), 1e-6) if kind in ("norm", "gated") else None
    residual = torch.randn(1, outputs, generator=generator).half() if kind == "residual" else None
    options = {"norm": norm, "gated": kind == "gated", "residual_1N": residual}
    expected = reference.gemv(x, weight, bias, **options)
    there = [None if t is None else t.to(device) for t in (bias, residual)]
    placed = None if norm is None else (norm[0].to(device), norm[1])
    found = triton.gemv(
        x.to(device), weight.to(device), there[0], placed, kind == "gated", there[1], torch.float32, tile=tile
    )
    assert found.dtype == torch.float32
    for actual in (found.cpu(), gemv(x, weight, bias, **options, dtype=torch.float32)):
        torch.testing.assert_close(actual.double(), expected, atol=1e-2, rtol=1e-2)


def test_what_is_no_single_row_is_refused() -> None:
    weight = torch.zeros(4, 3)
    with pytest.raises(ValueError, match="no single row"):
        gemv(torch.zeros(2, 3), weight)
    with pytest.raises(ValueError, match="no single row"):
        gemv(torch.zeros(1, 4), weight)
    with pytest.raises(ValueError, match="no residual"):
        gemv(torch.zeros(1, 3), weight, gated=True, residual_1N=torch.zeros(1, 2))


def test_a_processor_and_float32_are_torchs() -> None:
    assert not serves_gemv(torch.zeros(1, 3), torch.zeros(4, 3))
    assert triton.fastest_tile(torch.zeros(4, 3), gated=False) == triton.TILES[0]
