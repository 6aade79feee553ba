"""Causal attention inside each of several packed sequences.

On a GPU one variable-length call for all of them (torch.nn.attention.varlen, FlashAttention-2), elsewhere one call a
sequence: on a processor that is the faster way, and the order of every sum is then independent of the packing.

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

How = Literal["auto", "varlen", "each"]
_VARLEN_DTYPES = (torch.float16, torch.bfloat16)
_LARGEST_HEAD = 256
"""FlashAttention's limit; it also wants multiples of 8."""


def attend_within(q_THD: Tensor, k_TGD: Tensor, v_TGD: Tensor, lengths: Sequence[int], *, how: How = "auto") -> Tensor:
    """[T, H, D]; `lengths` [N] sum to T. `how`: 'auto' takes the variable-length call where it can be had."""
    if how == "varlen" or (how == "auto" and can_pack(q_THD)):
        return _attend_varlen(q_THD, k_TGD, v_TGD, lengths)
    return _attend_each(q_THD, k_TGD, v_TGD, lengths)


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
        expected = _attend_each(q, k, v, (3, 5))
        try:
            found = _attend_varlen(q, k, v, (3, 5))
        except (RuntimeError, TypeError, ValueError):
            return False
    return bool((found - expected).abs().max() < 0.05)


def _attend_each(q_THD: Tensor, k_TGD: Tensor, v_TGD: Tensor, lengths: Sequence[int]) -> Tensor:
    out = torch.empty_like(q_THD)
    start = 0
    for n in lengths:
        rows = slice(start, start + n)
        q, k, v = (x[rows].transpose(0, 1)[None] for x in (q_THD, k_TGD, v_TGD))
        out[rows] = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)[0].transpose(0, 1)
        start += n
    return out


def _attend_varlen(q_THD: Tensor, k_TGD: Tensor, v_TGD: Tensor, lengths: Sequence[int]) -> Tensor:
    call = _varlen()
    if call is None:
        raise ValueError("this torch has no variable-length attention")
    offsets, longest = _offsets(tuple(lengths), q_THD.device), max(lengths, default=0)
    options, shared = _options()
    if not shared and q_THD.shape[1] != k_TGD.shape[1]:
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
def _options() -> tuple[dict[str, Any], bool]:
    """How this torch spells causal, and whether its call lets query heads share keys."""
    call = _varlen()
    assert call is not None
    known = inspect.signature(call).parameters
    options: dict[str, Any] = {"is_causal": True} if "is_causal" in known else {"window_size": (-1, 0)}
    shared = "enable_gqa" in known
    return options | ({"enable_gqa": True} if shared else {}), shared
