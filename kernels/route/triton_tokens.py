"""A question's tokens as the scoring kernels read them: padded, divided by their magnitude, in the keys' type."""

# ruff: noqa: PLR0917 - kernels take their arguments by position
# mypy: disable-error-code="no-untyped-call,no-any-return"

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import torch
import triton
import triton.language as tl
from torch import Tensor

from codemem.kernels.launch import launch_kernel
from codemem.kernels.route.keys import RoutingKeys

MULTIPLIED_AS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""The type of both factors; 8-bit keys are multiplied as float16."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Queries as the scoring kernels read them."""

    q: Tensor
    """[B * P, W]: each token divided by its scale, zeros in unused places."""
    scales: Tensor
    """[B * P] float32, above 0 for tokens and 0 for unused places."""
    places: int
    """P: a power of two of at least 16."""


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


@lru_cache(maxsize=64)
def _offsets_on(device: torch.device, query_offsets: tuple[int, ...]) -> Tensor:
    # All routed layers of a pass ask with the same offsets; copying them each time would cost more than the kernel.
    return torch.tensor(query_offsets, dtype=torch.int32).to(device, non_blocking=True)


def prepare_tokens(q_TW: Tensor, keys: RoutingKeys, query_offsets: Sequence[int]) -> Tokens:
    questions = len(query_offsets) - 1
    longest = max(last - first for first, last in pairwise(query_offsets))
    places = max(16, triton.next_power_of_2(max(1, longest)))
    width = keys.width
    dtype = MULTIPLIED_AS.get(keys.format, torch.float16)
    if dtype == torch.bfloat16 and q_TW.device.type == "cpu":
        dtype = torch.float32  # numpy, on which Triton interprets, has no bfloat16
    prepared = torch.empty(questions * places, width, dtype=dtype, device=q_TW.device)
    scales = torch.empty(questions * places, dtype=torch.float32, device=q_TW.device)
    launch_kernel(
        _prepare_kernel,
        (questions * places,),
        q_TW.contiguous(),
        _offsets_on(q_TW.device, tuple(query_offsets)),
        prepared,
        scales,
        PLACES=places,
        W=width,
        COLUMNS=triton.next_power_of_2(width),
    )
    return Tokens(prepared, scales, places)
