"""Several tokens over a cache that ends where the device says, on a GPU: `triton.py` with ends that are data.

Shapes: T tokens, H query heads, G key heads, R = H / G heads a group, D head_dim, S rows of the cache.

A program takes BM pairs of (token, head of one group) and one of several ranges of the rows in use. The ranges are
worked out on the device, so a recorded graph serves whatever the cache holds; they are joined as in `triton.py`.
Inference only.
"""

# ruff: noqa: PLR0917 - kernels take their arguments by position
# mypy: disable-error-code="no-untyped-call"

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from codemem.kernels.attend.triton import ROWS_A_STEP, _absorb, _join_kernel, _processors, choose_splits
from codemem.kernels.launch import launch_kernel


@triton.jit(do_not_specialize_on_alignment=["span"])
def _prompt_kernel(
    q: tl.tensor,
    cache_k: tl.tensor,
    cache_v: tl.tensor,
    span: tl.tensor,
    out: tl.tensor,
    sums: tl.tensor,
    tokens: tl.tensor,
    q_token_stride: tl.tensor,
    q_head_stride: tl.tensor,
    scale: tl.tensor,
    H: tl.constexpr,
    G: tl.constexpr,
    D: tl.constexpr,
    SPLITS: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
    BD: tl.constexpr,
) -> None:
    group = tl.program_id(1)
    split = tl.program_id(2)
    R: tl.constexpr = H // G
    pair = tl.program_id(0) * BM + tl.arange(0, BM)
    token, head = pair // R, group * R + pair % R
    column = tl.arange(0, BD)
    first_row = tl.load(span).to(tl.int32)
    last_row = tl.load(span + 1).to(tl.int32)
    exists = (pair < tokens * R)[:, None] & (column < D)[None, :]
    q_rows = q + token.to(tl.int64)[:, None] * q_token_stride + head[:, None] * q_head_stride
    # Padding asks for zeros, so that its result is a number whatever stands there.
    x = tl.load(q_rows + column[None, :], mask=exists & (first_row + token < last_row)[:, None], other=0.0)
    highest = tl.full([BM], float("-inf"), tl.float32)
    total = tl.zeros([BM], tl.float32)
    result = tl.zeros([BM, BD], tl.float32)

    per_split = tl.cdiv(tl.cdiv(last_row, SPLITS), BN) * BN
    begin = split * per_split
    # Rows that no token of this block sees are not read, and padding's never: they may hold anything.
    last_token = tl.minimum((tl.program_id(0) * BM + BM - 1) // R, tokens - 1)
    end = tl.minimum(tl.minimum(begin + per_split, last_row), first_row + last_token + 1)
    limit = first_row + token
    for row in range(begin, end, BN):
        highest, total, result = _absorb(
            x, cache_k + group * D, cache_v + group * D, G * D, G * D,
            row + tl.arange(0, BN), end, limit, highest, total, result, scale, D, BD,
        )  # fmt: skip

    # Divided by 1 where a range held nothing for a pair; its weight in the joining is then 0.
    result = result / tl.where(total > 0, total, 1.0)[:, None]
    place = (split * tokens + token).to(tl.int64) * H + head
    tl.store(out + place[:, None] * D + column[None, :], result.to(out.dtype.element_ty), mask=exists)
    if SPLITS > 1:
        sum_of_all = tl.where(total > 0, highest + tl.log2(tl.where(total > 0, total, 1.0)), float("-inf"))
        tl.store(sums + place, sum_of_all, mask=pair < tokens * R)


def attend_prompt(
    q_THD: Tensor, cache_k_SGD: Tensor, cache_v_SGD: Tensor, span_2: Tensor, *, splits: int | None = None
) -> Tensor:
    """[T, H, D] in q's dtype. The caches are contiguous. `splits`: ranges of the rows, by default by device."""
    if not (cache_k_SGD.is_contiguous() and cache_v_SGD.is_contiguous()):
        raise ValueError("the caches must be contiguous")
    q = q_THD if q_THD.stride(-1) == 1 else q_THD.contiguous()
    tokens, heads, head_dim = q.shape
    rows, groups = cache_k_SGD.shape[:2]
    shared = heads // groups
    block = 16 if q.dtype == torch.float32 or tokens * shared <= 16 else 64
    blocks = triton.cdiv(tokens * shared, block)
    splits = splits or choose_splits(blocks * groups, rows, _processors(q.device))
    out = torch.empty(tokens, heads, head_dim, dtype=q.dtype, device=q.device)
    parts, sums = out, out
    if splits > 1:
        parts = torch.empty(splits, tokens, heads, head_dim, dtype=torch.float32, device=q.device)
        sums = torch.empty(splits, tokens, heads, dtype=torch.float32, device=q.device)
    launch_kernel(
        _prompt_kernel,
        (blocks, groups, splits),
        q,
        cache_k_SGD,
        cache_v_SGD,
        span_2,
        parts,
        sums,
        tokens,
        q.stride(0),
        q.stride(1),
        head_dim**-0.5 * math.log2(math.e),
        H=heads,
        G=groups,
        D=head_dim,
        SPLITS=splits,
        BM=block,
        BN=32 if q.dtype == torch.float32 else ROWS_A_STEP,
        BD=max(16, triton.next_power_of_2(head_dim)),
        num_warps=4,
        num_stages=2,
    )
    if splits > 1:
        launch_kernel(
            _join_kernel,
            (tokens * heads,),
            parts,
            sums,
            out,
            tokens * heads,
            SPLITS=splits,
            BS=triton.next_power_of_2(splits),
            D=head_dim,
            BD=triton.next_power_of_2(head_dim),
        )
    return out
