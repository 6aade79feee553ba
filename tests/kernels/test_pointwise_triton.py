"""The Triton kernels between matrix products, at odd sizes: interpreted where there is no GPU."""

import pytest
import torch
from torch import Tensor

from codemem.kernels import gate, norm, rotary
from codemem.kernels.gate import reference as gate_reference
from codemem.kernels.gate import triton as gate_triton
from codemem.kernels.norm import reference as norm_reference
from codemem.kernels.norm import triton as norm_triton
from codemem.kernels.rotary import reference as rotary_reference
from codemem.kernels.rotary import triton as rotary_triton

DTYPES = [torch.float32, torch.float16]
BOUND = {torch.float32: 2e-6, torch.float16: 2e-3}


def close(actual: Tensor, expected: Tensor, dtype: torch.dtype, scale: float = 1.0) -> None:
    bound = BOUND[dtype] * scale
    torch.testing.assert_close(actual.cpu().double(), expected.cpu().double(), atol=bound, rtol=bound)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("adds", [True, False])
@pytest.mark.parametrize(("rows", "width"), [(1, 1), (3, 80), (5, 129)])
def test_addition_and_norm(
    rows: int, width: int, *, adds: bool, dtype: torch.dtype, generator: torch.Generator, device: str
) -> None:
    x, added = torch.randn(2, rows, width + 3, generator=generator).to(dtype)[..., :width]  # rows of a wider tensor
    weight = torch.randn(width, generator=generator).to(dtype)
    more = added if adds else None
    expected = norm_reference.add_norm(x, more, weight, 1e-6)
    for found in (
        norm_triton.add_norm(x.to(device), more if more is None else more.to(device), weight.to(device), 1e-6),
        norm.add_norm(x, more, weight, 1e-6),
    ):
        assert torch.equal(found[0].cpu(), expected[0])
        close(found[1], expected[1], dtype, 2.0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("rows", "inner"), [(1, 1), (3, 100), (2, 2049), (0, 8)])
def test_gate(rows: int, inner: int, dtype: torch.dtype, generator: torch.Generator, device: str) -> None:
    x = (3 * torch.randn(rows, 2 * inner + 1, generator=generator)).to(dtype)[:, : 2 * inner]
    expected = gate_reference.gated(x)
    close(gate_triton.gated(x.to(device)), expected, dtype, 2.0)
    close(gate.gated(x), expected, dtype, 2.0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("normalised", [True, False])
@pytest.mark.parametrize(("tokens", "heads", "kv_heads", "head_dim"), [(3, 4, 2, 16), (1, 9, 3, 10), (2, 7, 1, 24)])
def test_heads(
    tokens: int,
    heads: int,
    kv_heads: int,
    head_dim: int,
    *,
    normalised: bool,
    dtype: torch.dtype,
    generator: torch.Generator,
    device: str,
) -> None:
    qkv = torch.randn(tokens, (heads + 2 * kv_heads) * head_dim, generator=generator).to(dtype)
    angle = 100 * torch.rand(tokens, 1, head_dim // 2, generator=generator)
    angle = torch.cat((angle, angle), -1)
    cos, sin = angle.cos().to(dtype), angle.sin().to(dtype)
    weights = torch.randn(2, head_dim, generator=generator).to(dtype) if normalised else (None, None)
    options = {"heads": heads, "kv_heads": kv_heads, "q_norm_D": weights[0], "k_norm_D": weights[1], "eps": 1e-6}
    expected = rotary_reference.rotate_heads(qkv, cos, sin, **options)
    given = [weight if weight is None else weight.to(device) for weight in weights]
    kernel = rotary_triton.rotate_heads(
        qkv.to(device).clone(), cos.to(device), sin.to(device), heads, kv_heads, *given, 1e-6
    )
    torches = rotary.rotate_heads(qkv, cos, sin, **options)
    for found in (kernel, torches):
        for actual, wanted in zip(found, expected, strict=True):
            close(actual, wanted, dtype, 4.0)
    assert torch.equal(kernel[2].cpu(), expected[2].to(dtype))


def test_shapes_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match="cannot be added"):
        norm.add_norm(torch.zeros(2, 4), torch.zeros(1, 4), torch.ones(4), 1e-6)
    with pytest.raises(ValueError, match="both or neither"):
        rotary.rotate_heads(torch.zeros(1, 32), torch.ones(1, 1, 8), torch.ones(1, 1, 8), heads=2, kv_heads=1,
                            q_norm_D=torch.ones(8))  # fmt: skip


def test_gradients_flow_through_torch(generator: torch.Generator) -> None:
    x = torch.randn(3, 8, generator=generator, requires_grad=True)
    total, normed = norm.add_norm(x, x, torch.ones(8), 1e-6)
    (total.sum() + gate.gated(normed).sum()).backward()
    assert x.grad is not None
    assert bool(x.grad.isfinite().all())
