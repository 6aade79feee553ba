"""Attention over memory and text on a GPU, in the manner of FlashAttention (arXiv:2205.14135) and its split decoding.

Shapes: T active tokens, H heads, G groups, R = H / G heads a group, D head_dim, M memory rows, S local rows.

A program takes BM pairs of (token, head of one group), so that a key read once serves all heads that share it, and one
of several ranges of the M + S rows. Where there is more than one range, a second kernel joins the partial results by
their log-sum-exp. Inference only.
"""

# ruff: noqa: PLR0917 - kernels take their arguments by position
# mypy: disable-error-code="no-untyped-call,no-any-return"

import math
from functools import lru_cache

import torch
import triton
import triton.language as tl
from torch import Tensor

from codemem.kernels.launch import launch_kernel

ROWS_A_STEP = 64
ROWS_A_STEP_FP32 = 32
"""float32 is multiplied without tensor cores, element by element: larger blocks take minutes to compile."""


@triton.jit
def _absorb(
    q: tl.tensor,
    keys: tl.tensor,
    values: tl.tensor,
    key_stride: tl.tensor,
    value_stride: tl.tensor,
    rows: tl.tensor,
    end: tl.tensor,
    limit: tl.tensor,
    highest: tl.tensor,
    total: tl.tensor,
    out: tl.tensor,
    scale: tl.tensor,
    D: tl.constexpr,
    BD: tl.constexpr,
) -> tuple[tl.tensor, tl.tensor, tl.tensor]:
    """One step of the running softmax over `rows` below `end`, of which pair i sees those up to `limit[i]`."""
    column = tl.arange(0, BD)
    inside = (rows < end)[:, None] & (column < D)[None, :]
    k = tl.load(keys + rows.to(tl.int64)[:, None] * key_stride + column[None, :], mask=inside, other=0.0)
    v = tl.load(values + rows.to(tl.int64)[:, None] * value_stride + column[None, :], mask=inside, other=0.0)
    logits = tl.dot(q, tl.trans(k), input_precision="ieee") * scale
    seen = (rows < end)[None, :] & (rows[None, :] <= limit[:, None])
    logits = tl.where(seen, logits, float("-inf"))
    raised = tl.maximum(highest, tl.max(logits, 1))
    # A pair that has seen nothing yet: -inf minus -inf is no number.
    base = tl.where(raised == float("-inf"), 0.0, raised)
    weights = tl.exp2(logits - base[:, None])
    keep = tl.exp2(highest - base)
    total = total * keep + tl.sum(weights, 1)
    out = tl.dot(weights.to(v.dtype), v, out * keep[:, None], input_precision="ieee")
    return raised, total, out


@triton.jit
def _attend_kernel(
    q: tl.tensor,
    memory_k: tl.tensor,
    memory_v: tl.tensor,
    local_k: tl.tensor,
    local_v: tl.tensor,
    out: tl.tensor,
    sums: tl.tensor,
    tokens: tl.tensor,
    memory_rows: tl.tensor,
    local_rows: tl.tensor,
    per_split: tl.tensor,
    q_token_stride: tl.tensor,
    q_head_stride: tl.tensor,
    memory_k_stride: tl.tensor,
    memory_k_group: tl.tensor,
    memory_v_stride: tl.tensor,
    memory_v_group: tl.tensor,
    local_k_stride: tl.tensor,
    local_k_group: tl.tensor,
    local_v_stride: tl.tensor,
    local_v_group: tl.tensor,
    scale: tl.tensor,
    H: tl.constexpr,
    R: tl.constexpr,
    D: tl.constexpr,
    CAUSAL: tl.constexpr,
    SPLIT: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
    BD: tl.constexpr,
) -> None:
    group = tl.program_id(1)
    split = tl.program_id(2)
    pair = tl.program_id(0) * BM + tl.arange(0, BM)
    token, head = pair // R, group * R + pair % R
    column = tl.arange(0, BD)
    exists = (pair < tokens * R)[:, None] & (column < D)[None, :]
    q_rows = q + token.to(tl.int64)[:, None] * q_token_stride + head[:, None] * q_head_stride
    x = tl.load(q_rows + column[None, :], mask=exists, other=0.0)
    highest = tl.full([BM], float("-inf"), tl.float32)
    total = tl.zeros([BM], tl.float32)
    result = tl.zeros([BM, BD], tl.float32)

    begin = split * per_split
    end = begin + per_split
    everything = tl.full([BM], 0x7FFFFFFF, tl.int32)
    memory_end = tl.minimum(end, memory_rows)
    for first in range(begin, memory_end, BN):
        highest, total, result = _absorb(
            x, memory_k + group * memory_k_group, memory_v + group * memory_v_group, memory_k_stride, memory_v_stride,
            first + tl.arange(0, BN), memory_end, everything, highest, total, result, scale, D, BD,
        )  # fmt: skip
    limit = everything
    local_end = tl.minimum(end - memory_rows, local_rows)
    if CAUSAL:
        limit = local_rows - tokens + token
        last_token = tl.minimum((tl.program_id(0) * BM + BM - 1) // R, tokens - 1)
        local_end = tl.minimum(local_end, local_rows - tokens + last_token + 1)
    for first in range(tl.maximum(begin - memory_rows, 0), local_end, BN):
        highest, total, result = _absorb(
            x, local_k + group * local_k_group, local_v + group * local_v_group, local_k_stride, local_v_stride,
            first + tl.arange(0, BN), local_end, limit, highest, total, result, scale, D, BD,
        )  # fmt: skip

    # Divided by 1 where a range held nothing for a pair; its weight in the joining is then 0.
    result = result / tl.where(total > 0, total, 1.0)[:, None]
    place = (split * tokens + token).to(tl.int64) * H + head
    tl.store(out + place[:, None] * D + column[None, :], result.to(out.dtype.element_ty), mask=exists)
    if SPLIT:
        sum_of_all = tl.where(total > 0, highest + tl.log2(tl.where(total > 0, total, 1.0)), float("-inf"))
        tl.store(sums + place, sum_of_all, mask=pair < tokens * R)


@triton.jit
def _join_kernel(
    parts: tl.tensor,
    sums: tl.tensor,
    out: tl.tensor,
    pairs: tl.tensor,
    SPLITS: tl.constexpr,
    BS: tl.constexpr,
    D: tl.constexpr,
    BD: tl.constexpr,
) -> None:
    pair = tl.program_id(0).to(tl.int64)
    split = tl.arange(0, BS)
    column = tl.arange(0, BD)
    log = tl.load(sums + split * pairs + pair, mask=split < SPLITS, other=float("-inf"))
    weight = tl.exp2(log - tl.max(log, 0))
    inside = (split < SPLITS)[:, None] & (column < D)[None, :]
    part = tl.load(parts + (split * pairs + pair)[:, None] * D + column[None, :], mask=inside, other=0.0)
    joined = tl.sum(part * weight[:, None], 0) / tl.sum(weight, 0)
    tl.store(out + pair * D + column, joined.to(out.dtype.element_ty), mask=column < D)


@lru_cache(maxsize=8)
def _processors(device: torch.device) -> int:
    if device.type != "cuda":
        return 1
    return int(torch.cuda.get_device_properties(device).multi_processor_count)


def choose_splits(programs: int, rows: int, processors: int) -> int:
    """Ranges of the rows, so that few tokens still fill the GPU twice; each has at least four steps of work."""
    return max(1, min(2 * processors // max(1, programs), rows // (4 * ROWS_A_STEP), 64))


def attend(
    q_THD: Tensor,
    memory_k_MGD: Tensor,
    memory_v_MGD: Tensor,
    local_k_SGD: Tensor,
    local_v_SGD: Tensor,
    *,
    causal: bool,
    splits: int | None = None,
) -> Tensor:
    """[T, H, D] in q's dtype. `splits`: ranges of the M + S rows, chosen from the device if None."""
    caches = (memory_k_MGD, memory_v_MGD, local_k_SGD, local_v_SGD)
    if torch.is_grad_enabled() and any(x.requires_grad for x in (q_THD, *caches)):
        raise ValueError("the Triton attention kernel is for inference; kernels.attend.cpu is differentiable")
    q_THD, *caches = (x if x.stride(-1) == 1 else x.contiguous() for x in (q_THD, *caches))  # type: ignore[assignment]
    tokens, heads, head_dim = q_THD.shape
    groups, memory_rows, local_rows = local_k_SGD.shape[1], len(memory_k_MGD), len(local_k_SGD)
    shared = heads // groups
    rows = memory_rows + local_rows
    narrow = q_THD.dtype == torch.float32
    block = 16 if narrow or tokens * shared <= 16 else 64
    step = ROWS_A_STEP_FP32 if narrow else ROWS_A_STEP
    blocks = triton.cdiv(tokens * shared, block)
    splits = splits or choose_splits(blocks * groups, rows, _processors(q_THD.device))
    per_split = triton.cdiv(triton.cdiv(rows, splits), step) * step
    splits = triton.cdiv(rows, per_split)
    out = torch.empty(tokens, heads, head_dim, dtype=q_THD.dtype, device=q_THD.device)
    parts, sums = out, out
    if splits > 1:
        parts = torch.empty(splits, tokens, heads, head_dim, dtype=torch.float32, device=q_THD.device)
        sums = torch.empty(splits, tokens, heads, dtype=torch.float32, device=q_THD.device)
    launch_kernel(
        _attend_kernel,
        (blocks, groups, splits),
        q_THD,
        *caches,
        parts,
        sums,
        tokens,
        memory_rows,
        local_rows,
        per_split,
        q_THD.stride(0),
        q_THD.stride(1),
        *(stride for cache in caches for stride in cache.stride()[:2]),
        head_dim**-0.5 * math.log2(math.e),
        H=heads,
        R=shared,
        D=head_dim,
        CAUSAL=causal,
        SPLIT=splits > 1,
        BM=block,
        BN=step,
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
