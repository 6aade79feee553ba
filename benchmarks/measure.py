"""Timing, limits of a machine measured in the same run, and what a report says about it."""

import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

_CPU_BYTES, _GPU_BYTES = 1 << 28, 1 << 32
_CPU_SIDE, _GPU_SIDE = 1024, 8192


def milliseconds(work: Callable[[], object], device: torch.device, repeats: int = 7, *, warm: int = 2) -> float:
    """Median of `repeats` runs after `warm` that compile and warm up; on a GPU by events."""
    for _ in range(warm):
        work()
    times = [_once(work, device) for _ in range(repeats)]
    return statistics.median(times)


def _once(work: Callable[[], object], device: torch.device) -> float:
    if device.type != "cuda":
        started = time.perf_counter()
        work()
        return 1000 * (time.perf_counter() - started)
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    begin.record()
    work()
    end.record()
    end.synchronize()
    taken: float = begin.elapsed_time(end)
    return taken


def synchronise(device: torch.device) -> None:
    """Waits until a GPU has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def graphed(work: Callable[[], object], device: torch.device) -> Callable[[], object]:
    """`work` as a CUDA graph: what is left when launches cost nothing. Elsewhere `work` itself."""
    if device.type != "cuda":
        return work
    work()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    replay: Callable[[], object] = graph.replay
    return replay


def copy_bandwidth(device: torch.device) -> float:
    """Bytes a second, read plus written, of a large copy within the device."""
    source = torch.ones(_GPU_BYTES if device.type == "cuda" else _CPU_BYTES, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / milliseconds(lambda: target.copy_(source), device, 5) * 1e3


def matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of a large square product of random numbers."""
    side = _GPU_SIDE if device.type == "cuda" else _CPU_SIDE
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    return 2 * side**3 / milliseconds(lambda: a @ b, device, 9, warm=3) * 1e3


def machine(device: torch.device) -> dict[str, Any]:
    """Hardware and versions."""
    gpu = device.type == "cuda"
    about: dict[str, Any] = {
        "device": torch.cuda.get_device_name(device) if gpu else f"{platform.machine()} processor",
        "gpus": torch.cuda.device_count() if gpu else 0,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    if gpu:
        import triton

        about["triton"] = triton.__version__
    return about


def peaks(device: torch.device) -> dict[str, int]:
    """Largest memory of this process so far, host and device, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    found = {"peak_host_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}
    if device.type == "cuda":
        found["peak_device_bytes"] = torch.cuda.max_memory_allocated(device)
    return found


def resident_bytes() -> int | None:
    """Memory of this process that is in RAM now, pinned memory too, other processes' left out; None off Linux."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return None
    return int(pages) * resource.getpagesize()


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown; numbers to four digits. Columns are the keys of all rows, in order."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [f"| {' | '.join(names)} |", f"|{' --- |' * len(names)}"]
    lines += [f"| {' | '.join(_cell(row.get(name)) for name in names)} |" for row in rows]
    return "\n".join(lines)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
