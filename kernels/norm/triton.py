"""Residual addition and RMS normalisation on a GPU: one program a row reads and writes everything once.

Shapes: T rows, E width. Inference only.
"""

# ruff: noqa: PLR0917 - kernels take their arguments by position
# mypy: disable-error-code="no-untyped-call"

import torch
import triton
import triton.language as tl
from torch import Tensor

from codemem.kernels.launch import launch_kernel


@triton.jit
def _add_norm_kernel(
    x: tl.tensor,
    added: tl.tensor,
    weight: tl.tensor,
    total: tl.tensor,
    normed: tl.tensor,
    x_stride: tl.tensor,
    added_stride: tl.tensor,
    eps: tl.tensor,
    E: tl.constexpr,
    BE: tl.constexpr,
    ADD: tl.constexpr,
) -> None:
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BE)
    inside = column < E
    value = tl.load(x + row * x_stride + column, mask=inside, other=0.0)
    if ADD:
        more = tl.load(added + row * added_stride + column, mask=inside, other=0.0)
        # Rounded before it is normalised, as the sum that the next layer reads is.
        value = (value.to(tl.float32) + more.to(tl.float32)).to(value.dtype)
        tl.store(total + row * E + column, value, mask=inside)
    wide = value.to(tl.float32)
    scale = tl.rsqrt(tl.sum(wide * wide, 0) / E + eps)
    result = wide * scale * tl.load(weight + column, mask=inside, other=0.0).to(tl.float32)
    tl.store(normed + row * E + column, result.to(value.dtype), mask=inside)


def add_norm(x_TE: Tensor, added_TE: Tensor | None, weight_E: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """The sum and its normalisation, [T, E] each in x's dtype."""
    x = x_TE if x_TE.stride(-1) == 1 else x_TE.contiguous()
    rows, width = x.shape
    normed = torch.empty(rows, width, dtype=x.dtype, device=x.device)
    added, total = x, x
    if added_TE is not None:
        added = added_TE if added_TE.stride(-1) == 1 else added_TE.contiguous()
        total = torch.empty(rows, width, dtype=x.dtype, device=x.device)
    block = triton.next_power_of_2(width)
    launch_kernel(
        _add_norm_kernel,
        (rows,),
        x,
        added,
        weight_E.contiguous(),
        total,
        normed,
        x.stride(0),
        added.stride(0),
        eps,
        E=width,
        BE=block,
        ADD=added_TE is not None,
        num_warps=8 if block >= 2048 else 4,
    )
    return total, normed
