"""One token's attention over a growing cache on a GPU, split over ranges of its rows (flash decoding).

Shapes: H query heads, G key heads, R = H / G heads a group, D head_dim, S rows of the cache, P ranges.

A program takes all heads of one group and one range; where the ranges end is worked out on the device, so a recorded
graph serves while the cache grows. Partial results are joined by their log-sum-exp (README.md). Inference only.
"""

# ruff: noqa: PLR0917 - kernels take their arguments by position
# mypy: disable-error-code="no-untyped-call"

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from codemem.kernels.attend.triton import _absorb, _join_kernel
from codemem.kernels.launch import launch_kernel

RANGES = 32
"""With the 8 groups of the 4B shape 256 programs, two a multiprocessor."""
ROWS_A_STEP = 64


@triton.jit(do_not_specialize_on_alignment=["end_at"])
def _step_kernel(
    q: tl.tensor,
    k: tl.tensor,
    v: tl.tensor,
    cache_k: tl.tensor,
    cache_v: tl.tensor,
    end_at: tl.tensor,
    parts: tl.tensor,
    sums: tl.tensor,
    k_stride: tl.tensor,
    v_stride: tl.tensor,
    q_stride: tl.tensor,
    scale: tl.tensor,
    H: tl.constexpr,
    G: tl.constexpr,
    D: tl.constexpr,
    P: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
    BD: tl.constexpr,
) -> None:
    group = tl.program_id(0)
    part = tl.program_id(1)
    R: tl.constexpr = H // G
    member = tl.arange(0, BM)
    head = group * R + member
    column = tl.arange(0, BD)
    exists = (member < R)[:, None] & (column < D)[None, :]
    x = tl.load(q + head[:, None] * q_stride + column[None, :], mask=exists, other=0.0)
    rows = tl.load(end_at).to(tl.int32)
    per_part = tl.cdiv(tl.cdiv(rows, P), BN) * BN
    begin = part * per_part
    end = tl.minimum(begin + per_part, rows)
    highest = tl.full([BM], float("-inf"), tl.float32)
    total = tl.zeros([BM], tl.float32)
    result = tl.zeros([BM, BD], tl.float32)
    everything = tl.full([BM], 0x7FFFFFFF, tl.int32)
    for first in range(begin, end, BN):
        highest, total, result = _absorb(
            x, cache_k + group * D, cache_v + group * D, G * D, G * D,
            first + tl.arange(0, BN), end, everything, highest, total, result, scale, D, BD,
        )  # fmt: skip
    if part == 0:
        # The token itself: its row is written here and read from where it came, so nobody waits for anybody.
        inside = column < D
        own_k = tl.load(k + group * k_stride + column, mask=inside, other=0.0)
        own_v = tl.load(v + group * v_stride + column, mask=inside, other=0.0)
        place = (rows.to(tl.int64) * G + group) * D + column
        tl.store(cache_k + place, own_k, mask=inside)
        tl.store(cache_v + place, own_v, mask=inside)
        logit = tl.sum(x.to(tl.float32) * own_k.to(tl.float32)[None, :], 1) * scale
        raised = tl.maximum(highest, logit)
        keep = tl.exp2(highest - raised)
        weight = tl.exp2(logit - raised)
        total = total * keep + weight
        result = result * keep[:, None] + weight[:, None] * own_v.to(tl.float32)[None, :]
        highest = raised
    result = result / tl.where(total > 0, total, 1.0)[:, None]
    spot = part * H + head
    tl.store(parts + spot[:, None] * D + column[None, :], result, mask=exists)
    log_sum = tl.where(total > 0, highest + tl.log2(tl.where(total > 0, total, 1.0)), float("-inf"))
    tl.store(sums + spot, log_sum, mask=member < R)


def attend_step(
    q_1HD: Tensor, k_1GD: Tensor, v_1GD: Tensor, cache_k_SGD: Tensor, cache_v_SGD: Tensor, end_1: Tensor
) -> Tensor:
    """[1, H, D] in q's dtype; row `end_1` of the caches becomes k and v. The caches are contiguous."""
    if not (cache_k_SGD.is_contiguous() and cache_v_SGD.is_contiguous()):
        raise ValueError("the caches must be contiguous")
    q, k, v = (x if x.stride(-1) == 1 else x.contiguous() for x in (q_1HD, k_1GD, v_1GD))
    heads, head_dim = q.shape[1:]
    groups = k.shape[1]
    parts = torch.empty(RANGES, heads, head_dim, dtype=torch.float32, device=q.device)
    sums = torch.empty(RANGES, heads, dtype=torch.float32, device=q.device)
    out = torch.empty(1, heads, head_dim, dtype=q.dtype, device=q.device)
    launch_kernel(
        _step_kernel,
        (groups, RANGES),
        q,
        k,
        v,
        cache_k_SGD,
        cache_v_SGD,
        end_1,
        parts,
        sums,
        k.stride(1),
        v.stride(1),
        q.stride(1),
        head_dim**-0.5 * math.log2(math.e),
        H=heads,
        G=groups,
        D=head_dim,
        P=RANGES,
        BM=max(16, triton.next_power_of_2(heads // groups)),
        BN=ROWS_A_STEP,
        BD=max(16, triton.next_power_of_2(head_dim)),
        num_warps=4,
        num_stages=3,
    )
    launch_kernel(
        _join_kernel,
        (heads,),
        parts,
        sums,
        out,
        heads,
        SPLITS=RANGES,
        BS=triton.next_power_of_2(RANGES),
        D=head_dim,
        BD=triton.next_power_of_2(head_dim),
    )
    return out
