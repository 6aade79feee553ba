"""One token through a matrix, with what stands before and behind it (README.md has the maths).

Shapes: K inputs, N outputs.
"""

# ruff: noqa: PLR0917 - the same arguments go to either side

import torch
from torch import Tensor
from torch.nn import functional as F

from codemem.kernels.serving import serves, wants_kernel

__all__ = ["gemv", "serves_gemv"]

Norm = tuple[Tensor, float]
"""Weight [K] and eps of an RMS normalisation."""


def gemv(
    x_1K: Tensor,
    weight_NK: Tensor,
    bias_N: Tensor | None = None,
    *,
    norm: Norm | None = None,
    gated: bool = False,
    residual_1N: Tensor | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """[1, N]: W n(x) + b, where n is the RMS normalisation or nothing; in `dtype`, x's by default.

    `gated`: the N rows are a gate and an up projection, half each; the result is silu(gate) * up, [1, N / 2].
    `residual_1N` is added at the end. Inference only: a Triton kernel in 16 bits on a GPU, torch elsewhere.
    """
    if x_1K.dim() != 2 or len(x_1K) != 1 or x_1K.shape[1] != weight_NK.shape[1]:
        raise ValueError(f"{tuple(x_1K.shape)} is no single row for a matrix {tuple(weight_NK.shape)}")
    if gated and residual_1N is not None:
        raise ValueError("a gated product has no residual")
    dtype = x_1K.dtype if dtype is None else dtype
    if serves_gemv(x_1K, weight_NK, bias_N, norm=norm, gated=gated, residual_1N=residual_1N):
        from codemem.kernels.gemv import triton

        return triton.gemv(x_1K, weight_NK, bias_N, norm, gated, residual_1N, dtype)
    return _torch(x_1K, weight_NK, bias_N, norm, gated, residual_1N, dtype)


def serves_gemv(
    x_1K: Tensor,
    weight_NK: Tensor,
    bias_N: Tensor | None = None,
    *,
    norm: Norm | None = None,
    gated: bool = False,
    residual_1N: Tensor | None = None,
) -> bool:
    """Whether the kernel serves this product."""
    weight = None if norm is None else norm[0]
    if not wants_kernel(x_1K, weight_NK, bias_N, weight, residual_1N) or not weight_NK.is_contiguous():
        return False

    def trial() -> tuple[Tensor, Tensor]:
        from codemem.kernels.gemv import triton

        x = torch.randn_like(x_1K)
        rest = (bias_N, norm, gated, residual_1N, x_1K.dtype)
        return triton.gemv(x, weight_NK, *rest), _torch(x, weight_NK, *rest)

    options = (bias_N is not None, norm is not None, gated, residual_1N is not None)
    return serves("gemv", (*weight_NK.shape, *options, x_1K.dtype, weight_NK.dtype, x_1K.device), trial)


def _torch(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    norm: Norm | None,
    gated: bool,
    residual: Tensor | None,
    dtype: torch.dtype,
) -> Tensor:
    if norm is not None:
        x = F.rms_norm(x, (x.shape[-1],), *norm)
    y = F.linear(x, weight, bias)
    if gated:
        gate, up = y.chunk(2, dim=-1)
        y = F.silu(gate) * up
    if residual is not None:
        y = residual + y
    return y.to(dtype)
