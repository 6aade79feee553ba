"""Attention inside each of several packed sequences, causal or in both directions.

On a GPU long sequences have a call each (cuDNN), and shorter neighbours one variable-length call together
(torch.nn.attention.varlen, FlashAttention-2). Elsewhere every sequence has its own: on a processor that is the faster
way, and the order of every sum is then independent of the packing.

Shapes: T tokens of all sequences, H query heads, G key heads, D head_dim, N sequences.
"""

import inspect
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from itertools import accumulate
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

How = Literal["auto", "varlen", "each"]
_VARLEN_DTYPES = (torch.float16, torch.bfloat16)
LONG = 1536
"""Tokens from which cuDNN's attention, a call each, is faster: on an H100, 2,048 tokens take two thirds of the time."""
PLANNED = 256
"""cuDNN plans for every number of rows, which takes it some 45 ms each: it is asked for multiples of this alone."""
_LARGEST_HEAD = 256
"""FlashAttention's limit; it also wants multiples of 8."""


def attend_within(
    q_THD: Tensor, k_TGD: Tensor, v_TGD: Tensor, lengths: Sequence[int], *, causal: bool = True, how: How = "auto"
) -> Tensor:
    """[T, H, D]; `lengths` [N] sum to T. `how`: 'auto' takes the variable-length call where it can be had and pays."""
    if how == "varlen":
        return _attend_varlen(q_THD, k_TGD, v_TGD, lengths, causal=causal)
    if how == "each" or not can_pack(q_THD):
        return _attend_each(q_THD, k_TGD, v_TGD, lengths, causal=causal)
    if not causal:  # the rows that plan for cuDNN would be seen
        return _attend_varlen(q_THD, k_TGD, v_TGD, lengths, causal=False)
    if max(lengths, default=0) >= LONG and _plans(q_THD.device, q_THD.dtype, *q_THD.shape[1:], k_TGD.shape[1]):
        return attend_runs(q_THD, k_TGD, v_TGD, lengths, alone=_attend_planned, together=_attend_varlen)
    return _attend_varlen(q_THD, k_TGD, v_TGD, lengths)


def attend_runs(
    q_THD: Tensor,
    k_TGD: Tensor,
    v_TGD: Tensor,
    lengths: Sequence[int],
    *,
    alone: Callable[[Tensor, Tensor, Tensor], Tensor],
    together: Callable[[Tensor, Tensor, Tensor, Sequence[int]], Tensor],
) -> Tensor:
    """Sequences of `LONG` tokens and more by `alone`, each; `together` attends within what lies between them.

    `alone` gets a multiple of `PLANNED` rows: attention being causal, a sequence does not see the rows of its
    neighbours behind it, and what is computed for those is dropped. At the end of the pack zeros take their place, so
    that a sequence is computed in the same way wherever it lies.
    """
    out = torch.empty_like(q_THD)
    waiting: list[int] = []
    begin = start = 0
    for n in lengths:
        end = start + -(-n // PLANNED) * PLANNED
        if n < LONG:
            waiting.append(n)
        else:
            if waiting:
                out[begin:start] = together(q_THD[begin:start], k_TGD[begin:start], v_TGD[begin:start], waiting)
            out[start : start + n] = alone(*(_rows(x, start, end) for x in (q_THD, k_TGD, v_TGD)))[:n]
            waiting, begin = [], start + n
        start += n
    if waiting:
        out[begin:] = together(q_THD[begin:], k_TGD[begin:], v_TGD[begin:], waiting)
    return out


def _rows(x: Tensor, start: int, end: int) -> Tensor:
    """Rows of x, zeros behind its last."""
    return x[start:end] if end <= len(x) else F.pad(x[start:], (0, 0, 0, 0, 0, end - len(x)))


def can_pack(q_THD: Tensor) -> bool:
    """Whether the variable-length call serves this device, dtype and head size."""
    head = q_THD.shape[-1]
    fits = q_THD.dtype in _VARLEN_DTYPES and head % 8 == 0 and head <= _LARGEST_HEAD
    return q_THD.device.type == "cuda" and fits and _varlen() is not None and _serves(q_THD.device, q_THD.dtype, head)


@cache
def _serves(device: torch.device, dtype: torch.dtype, head_dim: int) -> bool:
    """Whether the call runs here and is right, tried once: how it is spelled and what it takes differs by version."""
    q, k, v = (torch.randn(8, heads, head_dim, device=device, dtype=dtype) for heads in (4, 2, 2))
    with torch.inference_mode():
        try:
            apart = [
                (_attend_varlen(q, k, v, (3, 5), causal=way) - _attend_each(q, k, v, (3, 5), causal=way)).abs().max()
                for way in (True, False)
            ]
        except (RuntimeError, TypeError, ValueError):
            return False
    return bool(max(apart) < 0.05)


def _attend_each(q_THD: Tensor, k_TGD: Tensor, v_TGD: Tensor, lengths: Sequence[int], *, causal: bool = True) -> Tensor:
    if len(lengths) == 1:
        return _attend_one(q_THD, k_TGD, v_TGD, causal=causal)
    out = torch.empty_like(q_THD)
    start = 0
    for n in lengths:
        rows = slice(start, start + n)
        out[rows] = _attend_one(q_THD[rows], k_TGD[rows], v_TGD[rows], causal=causal)
        start += n
    return out


def _attend_one(q_THD: Tensor, k_TGD: Tensor, v_TGD: Tensor, *, causal: bool = True) -> Tensor:
    q, k, v = (x.transpose(0, 1)[None] for x in (q_THD, k_TGD, v_TGD))
    return F.scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=True)[0].transpose(0, 1)


def _attend_planned(q_THD: Tensor, k_TGD: Tensor, v_TGD: Tensor) -> Tensor:
    with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
        return _attend_one(q_THD, k_TGD, v_TGD)


@cache
def _plans(device: torch.device, dtype: torch.dtype, heads: int, head_dim: int, groups: int) -> bool:
    """Whether cuDNN's attention runs here and is right, tried once."""
    qkv = torch.randn(PLANNED, heads + 2 * groups, head_dim, device=device, dtype=dtype)
    q, k, v = qkv[:, :heads], qkv[:, heads : heads + groups], qkv[:, heads + groups :]
    try:
        with torch.inference_mode():
            found = _attend_planned(q, k, v)
            return bool((found - _attend_one(q, k, v)).abs().max() < 0.05)
    except (RuntimeError, TypeError, ValueError):
        return False


def _attend_varlen(
    q_THD: Tensor, k_TGD: Tensor, v_TGD: Tensor, lengths: Sequence[int], *, causal: bool = True
) -> Tensor:
    call = _varlen()
    if call is None:
        raise ValueError("this torch has no variable-length attention")
    offsets, longest = _offsets(tuple(lengths), q_THD.device), max(lengths, default=0)
    options = _options(causal=causal)
    if q_THD.shape[1] != k_TGD.shape[1] and not _shares(q_THD.device, q_THD.dtype, q_THD.shape[-1]):
        heads = q_THD.shape[1] // k_TGD.shape[1]
        k_TGD, v_TGD = (x.repeat_interleave(heads, 1) for x in (k_TGD, v_TGD))
    # Keys and values are slices of one projection: the kernel wants the last dimension contiguous, which they have.
    out: Tensor = call(q_THD, k_TGD, v_TGD, offsets, offsets, longest, longest, **options)
    return out


@lru_cache(maxsize=8)
def _offsets(lengths: tuple[int, ...], device: torch.device) -> Tensor:
    """[N + 1] int32. All layers of a pass ask with the same lengths."""
    return torch.tensor([0, *accumulate(lengths)], dtype=torch.int32).to(device, non_blocking=True)


@cache
def _varlen() -> Callable[..., Any] | None:
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    found: Callable[..., Any] = varlen_attn
    return found


@cache
def _options(*, causal: bool) -> dict[str, Any]:
    """How this torch spells causal, and that query heads share keys."""
    call = _varlen()
    assert call is not None
    known = inspect.signature(call).parameters
    options: dict[str, Any] = (
        {"is_causal": causal} if "is_causal" in known else {"window_size": (-1, 0 if causal else -1)}
    )
    return options | ({"enable_gqa": True} if "enable_gqa" in known else {})


@cache
def _shares(device: torch.device, dtype: torch.dtype, head_dim: int) -> bool:
    """Whether the call lets query heads share keys, said or unsaid: tried once. Repeated keys cost reading and room."""
    call = _varlen()
    assert call is not None
    q, k, v = (torch.randn(8, heads, head_dim, device=device, dtype=dtype) for heads in (4, 2, 2))
    offsets = torch.tensor([0, 3, 8], dtype=torch.int32, device=device)
    try:
        found = call(q, k, v, offsets, offsets, 5, 5, **_options(causal=True))
    except (RuntimeError, TypeError, ValueError):
        return False
    return bool((found - _attend_each(q, k, v, (3, 5))).abs().max() < 0.05)
