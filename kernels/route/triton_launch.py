"""How many chunks, token places and numbers one scoring program multiplies at once, and in which type.

The tables hold what `benchmarks/kernels_gpu.py --sweep` measures: to change a choice, change its line.
"""

# mypy: disable-error-code="no-untyped-call,no-any-return"

from dataclasses import dataclass, replace

import torch
import triton

from codemem.kernels.route.keys import RoutingKeys


@dataclass(frozen=True, slots=True)
class Launch:
    """Sizes of one scoring program; all powers of two but `stages`."""

    chunks: int
    tokens: int
    """Token places (of one or more questions) multiplied at once."""
    width: int
    """Numbers of a key a step."""
    warps: int
    stages: int
    split: bool = False
    """Multiply 8-bit keys as they are, by query tokens split into two terms (`triton_split.py`)."""


# By token places; 128 stands for all above it. On an H100, torch 2.11, Triton 3.6, int8 and fp8 alike
# (benchmarks/results/2026-11-23-route-h100.md): at 64 places four sizes are within 7% of reading the keys once, and
# beyond it, where products bound, blocks of 64 tokens for 128 chunks beat larger ones. 16 and 32 places were not swept.
SPLIT_LAUNCHES: dict[str, dict[int, Launch]] = {
    "int8": {
        16: Launch(128, 16, 128, 4, 4, split=True),
        32: Launch(128, 32, 128, 4, 4, split=True),
        64: Launch(128, 64, 128, 4, 3, split=True),
        128: Launch(128, 64, 128, 4, 3, split=True),
    },
    "fp8": {
        16: Launch(128, 16, 128, 4, 4, split=True),
        32: Launch(128, 32, 128, 4, 4, split=True),
        64: Launch(128, 64, 128, 4, 3, split=True),
        128: Launch(128, 64, 128, 4, 3, split=True),
    },
}

_SPARE_BYTES = 4096
"""Shared memory for what is not a tile: barriers and the few numbers that change places."""

SMALLEST_SPLIT_WIDTH = 32
"""Numbers that an 8-bit instruction of the tensor cores sums at least."""


def choose_launch(keys: RoutingKeys, places: int, questions: int) -> Launch:
    """Sizes for questions of `places` padded tokens: 8-bit keys are split where their groups allow it."""
    width = split_width(keys)
    if width < SMALLEST_SPLIT_WIDTH:
        return widened_launch(keys, places, questions)
    launch = SPLIT_LAUNCHES[keys.format][_tokens(places, questions)]
    return _within(replace(launch, width=min(launch.width, width)), keys.values.device)


def split_width(keys: RoutingKeys) -> int:
    """Most numbers of an 8-bit key that one step of a split product may take: a power of two that divides its groups,
    at most 256, beyond which the int32 sum of both terms could overflow. 0 for other formats."""
    return 0 if keys.scales is None else min(256, keys.group & -keys.group)


def widened_launch(keys: RoutingKeys, places: int, questions: int) -> Launch:
    """Sizes for products in a 16-bit or wider type."""
    tokens = _tokens(places, questions)
    width = max(16, min(128, triton.next_power_of_2(keys.group)))
    if keys.format == "fp32":
        return Launch(64, min(tokens, 32), min(width, 32), 4, 2)
    return Launch(128, tokens, width, 8 if tokens >= 128 else 4, 4 if tokens <= 32 else 3)


def _tokens(places: int, questions: int) -> int:
    return min(128, places * triton.next_power_of_2(questions))


def _within(launch: Launch, device: torch.device) -> Launch:
    """Fewer stages, then fewer chunks, until a program's tiles fit into the shared memory of the device."""
    if device.type != "cuda":
        return launch
    properties = torch.cuda.get_device_properties(device)
    # torch's types leave it out, and so do its builds for AMD, whose processors have 64 KiB.
    available = getattr(properties, "shared_memory_per_block_optin", 65536) - _SPARE_BYTES
    while launch.stages * (launch.chunks + 2 * launch.tokens) * launch.width > available:
        if launch.stages > 2:
            launch = replace(launch, stages=launch.stages - 1)
        elif launch.chunks > 64:
            launch = replace(launch, chunks=launch.chunks // 2)
        else:
            break
    return launch
