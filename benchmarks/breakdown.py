"""Where a GPU's time goes, kernel by kernel."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch

from codemem.benchmarks import measure

NAME_CHARACTERS = 100


def by_kernel(
    work: Callable[[], object], device: torch.device, *, runs: int = 1, top: int = 12
) -> list[dict[str, Any]]:
    """The kernels that take longest in one run of `work`, and all others as one row; shares are of the sum of all.

    A profiler that does not run here says so in the place of rows. Nothing on a processor.
    """
    if device.type != "cuda":
        return []
    try:
        totals = _totals(work, device, runs)
    except Exception as error:  # a profiler needs rights and libraries that a machine may lack
        return [{"kernel": f"no profile: {type(error).__name__}: {error}"[:NAME_CHARACTERS]}]
    return rows_of(totals, runs, top)


def rows_of(totals: dict[str, tuple[int, float]], runs: int, top: int) -> list[dict[str, Any]]:
    """Rows from calls and microseconds by kernel, of `runs` runs."""
    everything = sum(micros for _, micros in totals.values()) or 1.0
    ordered = sorted(totals.items(), key=lambda item: -item[1][1])
    listed = [(name[:NAME_CHARACTERS], *spent) for name, spent in ordered[:top]]
    if rest := ordered[top:]:
        calls, micros = (sum(column) for column in zip(*(spent for _, spent in rest), strict=True))
        listed.append((f"{len(rest)} others", int(calls), micros))
    return [
        {"kernel": name, "calls": calls / runs, "ms": micros / runs / 1e3, "share": micros / everything}
        for name, calls, micros in listed
    ]


def _totals(work: Callable[[], object], device: torch.device, runs: int) -> dict[str, tuple[int, float]]:
    from torch.profiler import ProfilerActivity, profile

    work()
    measure.synchronise(device)
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        for _ in range(runs):
            work()
        measure.synchronise(device)
    totals: dict[str, tuple[int, float]] = defaultdict(lambda: (0, 0.0))
    for event in profiler.events() or ():
        if event.device_type.name == "CUDA":
            calls, micros = totals[event.name]
            totals[event.name] = calls + 1, micros + event.time_range.elapsed_us()
    return dict(totals)
