"""Pooling on a GPU: one program a chunk and group reads its rows once and writes the finished row.

Shapes: L rows of all documents, G groups, D head_dim, C chunks, P places a chunk (a power of two). Inference only.
"""

# ruff: noqa: PLR0917 - kernels take their arguments by position
# mypy: disable-error-code="no-untyped-call"

import torch
import triton
import triton.language as tl
from torch import Tensor

from codemem.kernels.launch import launch_kernel
from codemem.kernels.route.keys import DTYPES, LARGEST, SMALLEST_SCALE

ROUNDER = tl.constexpr(1.5 * 2**23)
"""Added to and taken from a float32 below 2^22, it leaves the nearest integer, ties to even, as torch rounds."""


@triton.jit
def _pool_kernel(
    x: tl.tensor,
    first: tl.tensor,
    count: tl.tensor,
    out: tl.tensor,
    scales: tl.tensor,
    row_stride: tl.tensor,
    group_stride: tl.tensor,
    groups: tl.tensor,
    LARGEST_CODE: tl.constexpr,
    SMALLEST: tl.constexpr,
    D: tl.constexpr,
    P: tl.constexpr,
    BD: tl.constexpr,
    NORMALISE: tl.constexpr,
    QUANTISE: tl.constexpr,
) -> None:
    chunk = tl.program_id(0).to(tl.int64)
    group = tl.program_id(1)
    tokens = tl.load(count + chunk)
    place = tl.arange(0, P)
    column = tl.arange(0, BD)
    rows = (tl.load(first + chunk) + place) * row_stride
    inside = (place < tokens)[:, None] & (column < D)[None, :]
    tile = tl.load(x + rows[:, None] + group * group_stride + column[None, :], mask=inside, other=0.0)
    # The order of this sum is fixed when the kernel is compiled: the same rows give the same bits wherever they lie.
    row = tl.sum(tile.to(tl.float32), 0) / tokens.to(tl.float32)
    if NORMALISE:
        row = row / tl.maximum(tl.sqrt(tl.sum(row * row, 0)), 1e-12)
    place_out = chunk * groups + group
    if QUANTISE:
        scale = tl.maximum(tl.max(tl.abs(row), 0) / LARGEST_CODE, SMALLEST).to(tl.float16)
        code = row / scale.to(tl.float32)
        row = tl.minimum(tl.maximum(code, -LARGEST_CODE), LARGEST_CODE) + ROUNDER - ROUNDER
        tl.store(scales + place_out, scale)
    tl.store(out + place_out * D + column, row.to(out.dtype.element_ty), mask=column < D)


def pool_groups(
    x_LGD: Tensor, first_C: Tensor, count_C: Tensor, chunk_tokens: int, *, normalise: bool, format: str
) -> tuple[Tensor, Tensor | None]:
    """Rows [C, G, D] in a format (fp32, bf16, fp16 or int8), and for int8 their float16 scales [C, G]."""
    if torch.is_grad_enabled() and x_LGD.requires_grad:
        raise ValueError("the Triton pooling kernel is for inference; kernels.pool.cpu is differentiable")
    x_LGD = x_LGD if x_LGD.stride(-1) == 1 else x_LGD.contiguous()
    groups, head_dim = x_LGD.shape[1:]
    out = torch.empty(len(first_C), groups, head_dim, dtype=DTYPES[format], device=x_LGD.device)
    scales = torch.empty(len(first_C), groups, dtype=torch.float16, device=x_LGD.device) if format == "int8" else None
    launch_kernel(
        _pool_kernel,
        (len(first_C), groups),
        x_LGD,
        first_C,
        count_C,
        out,
        out if scales is None else scales,
        x_LGD.stride(0),
        x_LGD.stride(1),
        groups,
        LARGEST_CODE=LARGEST["int8"],
        SMALLEST=SMALLEST_SCALE,
        D=head_dim,
        P=triton.next_power_of_2(chunk_tokens),
        BD=triton.next_power_of_2(head_dim),
        NORMALISE=normalise,
        QUANTISE=scales is not None,
    )
    return out, scales
