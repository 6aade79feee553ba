"""A question's tokens as the scoring kernels read them: padded, divided by their magnitude, in the keys' type.

Where 8-bit keys are multiplied as they are, a token is two terms of their type (README.md has the errors):

    int8: q = largest / 127 (high + low / 254), high the nearest integer, low the nearest step of what is left
    fp8:  q = largest / 448 (high + low), high the nearest e4m3 number, low the nearest one of what is left
"""

# ruff: noqa: PLR0917 - kernels take their arguments by position
# mypy: disable-error-code="no-untyped-call,no-any-return"

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from codemem.kernels.launch import launch_kernel
from codemem.kernels.route.keys import RoutingKeys

MULTIPLIED_AS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""The type of both factors; 8-bit keys that are not split are multiplied as float16."""

LOW_STEPS = 254
"""Steps of an int8 token's second term in one of its first: what is left of a number is up to half a step, or 127."""

SMALLEST = 1e-30
"""A token whose largest number is below this multiplies as zeros: its scale would be no normal float32."""

_LOW_STEPS = tl.constexpr(LOW_STEPS)
_SMALLEST = tl.constexpr(SMALLEST)


@dataclass(frozen=True, slots=True)
class Tokens:
    """Queries as the scoring kernels read them."""

    q: Tensor
    """[B * P, W], or [B * P, 2, W] for two terms: each token divided by its scale, zeros in unused places."""
    scales: Tensor
    """[B * P] float32, above 0 for tokens and 0 for unused places."""
    places: int
    """P of `padded_places`."""


@triton.jit
def _prepare_kernel(
    q: tl.tensor,
    offsets: tl.tensor,
    prepared: tl.tensor,
    scales: tl.tensor,
    PLACES: tl.constexpr,
    W: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    place = tl.program_id(0)
    question = place // PLACES
    token = place % PLACES
    first = tl.load(offsets + question)
    count = tl.load(offsets + question + 1) - first
    columns = tl.arange(0, COLUMNS)
    numbers = tl.where(token < count, W, 0)
    x = tl.load(q + (first + token).to(tl.int64) * W + columns, mask=columns < numbers, other=0.0).to(tl.float32)
    largest = tl.max(tl.abs(x), 0)
    scale = tl.where(largest > 0, largest, 1.0)
    target = prepared + place.to(tl.int64) * W + columns
    tl.store(target, (x / scale).to(prepared.dtype.element_ty), mask=columns < W)
    tl.store(scales + place, tl.where(token < count, scale, 0.0))


@triton.jit
def _four_bits(x: tl.tensor) -> tl.tensor:
    """float32 rounded to the 4 significant bits of e4m3, so that converting it is exact down to subnormal numbers.

    Triton's interpreter loses the carry of 1.1111 when it converts by itself.
    """
    return ((x.to(tl.int32, bitcast=True) + 0x80000) & -0x100000).to(tl.float32, bitcast=True)


@triton.jit
def _prepare_terms_kernel(
    q: tl.tensor,
    offsets: tl.tensor,
    terms: tl.tensor,
    scales: tl.tensor,
    PLACES: tl.constexpr,
    W: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    place = tl.program_id(0)
    question = place // PLACES
    token = place % PLACES
    first = tl.load(offsets + question)
    count = tl.load(offsets + question + 1) - first
    columns = tl.arange(0, COLUMNS)
    numbers = tl.where(token < count, W, 0)
    x = tl.load(q + (first + token).to(tl.int64) * W + columns, mask=columns < numbers, other=0.0).to(tl.float32)
    # Integers hold no NaN: a token with a number that is not finite counts for nothing, as in floating point.
    finite = tl.sum(tl.where(tl.abs(x) < float("inf"), 0, 1), 0) == 0
    x = tl.where(finite, x, 0.0)
    largest = tl.max(tl.abs(x), 0)
    scale = tl.where(largest >= _SMALLEST, largest, 1.0)
    term = terms + place.to(tl.int64) * 2 * W + columns
    if terms.dtype.element_ty == tl.int8:
        steps = x / scale * 127
        high = tl.floor(steps + 0.5)
        low = tl.floor((steps - high) * _LOW_STEPS + 0.5)
        unit = 127 * _LOW_STEPS
    else:
        steps = x / scale * 448
        high = _four_bits(steps)
        low = _four_bits(steps - high)
        unit = 448
    tl.store(term, high.to(terms.dtype.element_ty), mask=columns < W)
    tl.store(term + W, low.to(terms.dtype.element_ty), mask=columns < W)
    tl.store(scales + place, tl.where((token < count) & finite, scale / unit, 0.0))


def _offsets_on(device: torch.device, query_offsets: tuple[int, ...]) -> Tensor:
    # All routed layers of a pass ask with the same offsets; copying them each time would cost more than the kernel.
    return (
        _offsets_of_one(device, query_offsets) if len(query_offsets) == 2 else _offsets_of_many(device, query_offsets)
    )


@cache
def _offsets_of_one(device: torch.device, query_offsets: tuple[int, ...]) -> Tensor:
    # Kept for good, a few bytes for every length of a question: a recorded graph goes on reading them.
    return _copied_offsets(device, query_offsets)


@lru_cache(maxsize=64)
def _offsets_of_many(device: torch.device, query_offsets: tuple[int, ...]) -> Tensor:
    return _copied_offsets(device, query_offsets)


def _copied_offsets(device: torch.device, query_offsets: tuple[int, ...]) -> Tensor:
    if device.type == "cuda" and torch.cuda.is_current_stream_capturing():
        raise RuntimeError("offsets of questions must be on the device before their routing is recorded")
    return torch.tensor(query_offsets, dtype=torch.int32).to(device, non_blocking=True)


def prepare_tokens(q_TW: Tensor, keys: RoutingKeys, query_offsets: Sequence[int]) -> Tokens:
    """Tokens of one term, in the type that keys are multiplied in."""
    dtype = MULTIPLIED_AS.get(keys.format, torch.float16)
    if dtype == torch.bfloat16 and q_TW.device.type == "cpu":
        dtype = torch.float32  # numpy, on which Triton interprets, has no bfloat16
    return _prepare(_prepare_kernel, q_TW, query_offsets, dtype, 1)


def prepare_terms(q_TW: Tensor, keys: RoutingKeys, query_offsets: Sequence[int]) -> Tokens:
    """Tokens of two terms in the type of 8-bit keys."""
    return _prepare(_prepare_terms_kernel, q_TW, query_offsets, keys.values.dtype, 2)


def padded_places(query_offsets: Sequence[int]) -> int:
    """P: token places of every question, a power of two of at least 16."""
    longest = max(last - first for first, last in pairwise(query_offsets))
    return max(16, triton.next_power_of_2(max(1, longest)))


def _prepare(kernel: Any, q_TW: Tensor, query_offsets: Sequence[int], dtype: torch.dtype, terms: int) -> Tokens:
    places, width = padded_places(query_offsets), q_TW.shape[1]
    rows = (len(query_offsets) - 1) * places
    prepared = torch.empty((rows, width) if terms == 1 else (rows, terms, width), dtype=dtype, device=q_TW.device)
    scales = torch.empty(rows, dtype=torch.float32, device=q_TW.device)
    launch_kernel(
        kernel,
        (rows,),
        q_TW.contiguous(),
        _offsets_on(q_TW.device, tuple(query_offsets)),
        prepared,
        scales,
        PLACES=places,
        W=width,
        COLUMNS=triton.next_power_of_2(width),
    )
    return Tokens(prepared, scales, places)
