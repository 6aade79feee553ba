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
    resident: int = 0
    """Programs a multiprocessor that take tile after tile, for one question of one block; 0: a program a tile."""


# By token places, on an H100. A program reads all tokens from the L2 cache, twice 64 bytes for every chunk's 1 at 64
# tokens and 128 chunks: more chunks a program leave more of the cache's bandwidth to the keys. Sums take 3 registers a
# chunk and token, which is what bounds chunks x tokens / warps.
SPLIT_LAUNCHES: dict[str, dict[int, Launch]] = {
    "int8": {
        16: Launch(128, 16, 128, 4, 4, split=True),
        32: Launch(128, 32, 128, 4, 4, split=True),
        64: Launch(256, 64, 128, 8, 4, split=True),
        128: Launch(128, 128, 128, 8, 4, split=True),
    },
    "fp8": {
        16: Launch(128, 16, 128, 4, 4, split=True),
        32: Launch(128, 32, 128, 4, 4, split=True),
        64: Launch(256, 64, 128, 8, 4, split=True),
        128: Launch(128, 128, 128, 8, 4, split=True),
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
