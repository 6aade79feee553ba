"""The Triton pooling kernel: interpreted where there is no GPU, compiled where there is one."""

import pytest
import torch
from torch import Tensor

from codemem.kernels.pool import Pooled, chunk_table, reference, triton

LENGTHS = [1, 63, 65, 0, 64, 130]


def pooled(x: Tensor, lengths: list[int], device: str, *, normalise: bool = False, format: str = "fp32") -> Pooled:
    first, count, _ = chunk_table(lengths, 64)
    on = (x.to(device), first.to(device), count.to(device))
    values, scales = triton.pool_groups(*on, 64, normalise=normalise, format=format)
    return Pooled(values.cpu(), None if scales is None else scales.cpu())


@pytest.mark.parametrize("format", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize("normalise", [True, False])
def test_rows(normalise: bool, format: str, generator: torch.Generator, device: str) -> None:
    # Keys and values come as views into a joint projection.
    x = torch.randn(sum(LENGTHS), 3, 24, generator=generator)[:, 1:]
    expected = reference.pool_chunks(x, LENGTHS, 64)
    if normalise:
        expected = reference.normalise_groups(expected)
    rows = pooled(x, LENGTHS, device, normalise=normalise, format=format)
    error = (rows.dequantise() - expected).abs()
    step = {"fp32": 1e-6, "fp16": 2**-11, "int8": 1 / 254 + 2**-11}[format]
    assert (error <= step * expected.abs().amax(-1, keepdim=True) + 1e-6).all()
    assert (rows.scales is not None) == (format == "int8")


def test_bits_do_not_depend_on_the_packing(generator: torch.Generator, device: str) -> None:
    parts = [torch.randn(n, 2, 24, generator=generator) for n in LENGTHS]
    together = pooled(torch.cat(parts), LENGTHS, device, normalise=True, format="int8")
    turned = pooled(torch.cat(parts[::-1]), LENGTHS[::-1], device, normalise=True, format="int8")
    rows = [(n + 63) // 64 for n in LENGTHS]
    assert together.scales is not None
    assert turned.scales is not None
    for mine, other in ((together.values, turned.values), (together.scales, turned.scales)):
        assert torch.equal(torch.cat(mine.split(rows)[::-1]), other)


def test_a_zero_chunk_is_stored_as_zeros(device: str) -> None:
    rows = pooled(torch.zeros(5, 1, 16), [5], device, normalise=True, format="int8")
    assert not rows.dequantise().any()


def test_it_refuses_to_lose_gradients(device: str) -> None:
    with pytest.raises(ValueError, match="for inference"):
        pooled(torch.zeros(5, 1, 16, requires_grad=True), [5], device)
