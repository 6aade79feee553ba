"""Timing a kernel's tiles on the device that will run them."""

# mypy: disable-error-code="no-untyped-call"

import math
from collections.abc import Callable

import torch

L2_BYTES = 1 << 27
"""Written between trials: more than a GPU's second cache holds, which would else keep a small matrix."""
FLUSHES = 4
"""So often, which takes longer than the launch that is to be waiting when it ends."""


def milliseconds(work: Callable[[], object], device: torch.device) -> float:
    """Median of five runs of `work`, what it reads in memory and not in a cache; infinite if it does not run."""
    times: list[float] = []
    try:
        flushed = torch.empty(L2_BYTES, dtype=torch.uint8, device=device)
        for _ in range(6):
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            for _ in range(FLUSHES):
                flushed.zero_()
            begin.record()
            work()
            end.record()
            end.synchronize()
            times.append(float(begin.elapsed_time(end)))
    except Exception:  # compilers raise what they like; another tile serves
        return math.inf
    return sorted(times[1:])[2]
