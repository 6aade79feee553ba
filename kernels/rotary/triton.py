"""Normalisation of heads and rotation on a GPU, in place: queries and keys are read and written once.

Shapes: T tokens, H query heads, G key heads, D head_dim, W = (H + 2 G) D. Inference only.
"""

# ruff: noqa: PLR0917 - kernels take their arguments by position
# mypy: disable-error-code="no-untyped-call,no-any-return"

import triton
import triton.language as tl
from torch import Tensor

from codemem.kernels.launch import launch_kernel

HEADS_A_PROGRAM = 8


@triton.jit
def _rounded(x: tl.tensor, like: tl.tensor) -> tl.tensor:
    """Through 16 bits, where torch's operations would have written them."""
    return x.to(like.dtype).to(tl.float32)


@triton.jit
def _rotate_kernel(
    qkv: tl.tensor,
    cos: tl.tensor,
    sin: tl.tensor,
    q_norm: tl.tensor,
    k_norm: tl.tensor,
    row_stride: tl.tensor,
    table_stride: tl.tensor,
    eps: tl.tensor,
    H: tl.constexpr,
    ROTATED: tl.constexpr,
    HALF: tl.constexpr,
    BH: tl.constexpr,
    BD: tl.constexpr,
    NORM: tl.constexpr,
) -> None:
    token = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1) * BH + tl.arange(0, BH)
    column = tl.arange(0, BD)
    known = column < HALF
    inside = (head < ROTATED)[:, None] & known[None, :]
    place = qkv + token * row_stride + head[:, None] * (2 * HALF) + column[None, :]
    first16 = tl.load(place, mask=inside, other=0.0)
    first = first16.to(tl.float32)
    second = tl.load(place + HALF, mask=inside, other=0.0).to(tl.float32)
    if NORM:
        mean = (tl.sum(first * first, 1) + tl.sum(second * second, 1)) / (2 * HALF)
        scale = tl.rsqrt(mean + eps)[:, None]
        query = (head < H)[:, None]
        q_first = tl.load(q_norm + column, mask=known, other=0.0).to(tl.float32)[None, :]
        q_second = tl.load(q_norm + HALF + column, mask=known, other=0.0).to(tl.float32)[None, :]
        k_first = tl.load(k_norm + column, mask=known, other=0.0).to(tl.float32)[None, :]
        k_second = tl.load(k_norm + HALF + column, mask=known, other=0.0).to(tl.float32)[None, :]
        first = _rounded(first * scale * tl.where(query, q_first, k_first), first16)
        second = _rounded(second * scale * tl.where(query, q_second, k_second), first16)
    # Both halves of a table's row are the same angles.
    c = tl.load(cos + token * table_stride + column, mask=known, other=0.0).to(tl.float32)[None, :]
    s = tl.load(sin + token * table_stride + column, mask=known, other=0.0).to(tl.float32)[None, :]
    turned_first = _rounded(first * c, first16) - _rounded(second * s, first16)
    turned_second = _rounded(second * c, first16) + _rounded(first * s, first16)
    tl.store(place, turned_first.to(first16.dtype), mask=inside)
    tl.store(place + HALF, turned_second.to(first16.dtype), mask=inside)


def rotate_heads(
    qkv_TW: Tensor,
    cos_T1D: Tensor,
    sin_T1D: Tensor,
    heads: int,
    kv_heads: int,
    q_norm_D: Tensor | None,
    k_norm_D: Tensor | None,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values as views of `qkv_TW`, of which the first two have been written over."""
    tokens = len(qkv_TW)
    head_dim = qkv_TW.shape[1] // (heads + 2 * kv_heads)
    half, rotated = head_dim // 2, heads + kv_heads
    normalised = q_norm_D is not None and k_norm_D is not None
    launch_kernel(
        _rotate_kernel,
        (tokens, triton.cdiv(rotated, HEADS_A_PROGRAM)),
        qkv_TW,
        cos_T1D,
        sin_T1D,
        cos_T1D if q_norm_D is None else q_norm_D,
        cos_T1D if k_norm_D is None else k_norm_D,
        qkv_TW.stride(0),
        cos_T1D.stride(0),
        eps,
        H=heads,
        ROTATED=rotated,
        HALF=half,
        BH=HEADS_A_PROGRAM,
        BD=triton.next_power_of_2(half),
        NORM=normalised,
        num_warps=2,
    )
    q, k, v = qkv_TW.unflatten(-1, (heads + 2 * kv_heads, head_dim)).split((heads, kv_heads, kv_heads), dim=1)
    return q, k, v
