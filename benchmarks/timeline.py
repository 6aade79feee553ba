"""What a GPU does during some work and when it does nothing, and how often a processor launches and waits."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from codemem.benchmarks import measure
from codemem.benchmarks.breakdown import NAME_CHARACTERS, rows_of

WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "repeat_interleave")
"""Operations for whose result the processor waits, or for the size of it."""


def timeline(work: Callable[[], object], device: torch.device, *, runs: int = 3, top: int = 15) -> dict[str, Any]:
    """The kernels that take longest in one run of `work`, how long the GPU is at work, and what the processor calls.

    `idle_share`: of the time from the first kernel of a run to its last. Calls are those of CUDA's interface, by name;
    being profiled slows the processor down, so idle shares are upper bounds. A profiler that does not run here says
    so. Empty on a processor.
    """
    if device.type != "cuda":
        return {}
    try:
        return _timeline(work, device, runs, top)
    except Exception as error:  # a profiler needs rights and libraries that a machine may lack
        return {"no_profile": f"{type(error).__name__}: {error}"[:NAME_CHARACTERS]}


def _timeline(work: Callable[[], object], device: torch.device, runs: int, top: int) -> dict[str, Any]:
    from torch.profiler import ProfilerActivity, profile

    work()
    measure.synchronise(device)
    totals: dict[str, tuple[int, float]] = defaultdict(lambda: (0, 0.0))
    calls: Counter[str] = Counter()
    busy = span = 0.0
    for _ in range(runs):
        with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
            work()
            measure.synchronise(device)
        events = list(profiler.events() or ())
        kernels = [event for event in events if event.device_type.name == "CUDA"]
        for event in kernels:
            count, micros = totals[event.name]
            totals[event.name] = count + 1, micros + event.time_range.elapsed_us()
        calls.update(event.name for event in events if event.name.startswith(("cuda", "cuLaunch")))
        at_work, lasted = covered((event.time_range.start, event.time_range.end) for event in kernels)
        busy, span = busy + at_work, span + lasted
    return {
        "kernels": rows_of(dict(totals), runs, top),
        "kernels_a_run": sum(count for count, _ in totals.values()) / runs,
        "busy_ms": busy / runs / 1e3,
        "span_ms": span / runs / 1e3,
        "idle_share": 1 - busy / span if span else None,
        "calls_a_run": {name: count / runs for name, count in calls.most_common(12)},
    }


def covered(spans: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """How much of the time at least one of the spans covers, and from the first begin to the last end."""
    ordered = sorted(spans)
    total, begin, reached = 0.0, ordered[0][0] if ordered else 0.0, float("-inf")
    for start, end in ordered:
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total, reached - begin if ordered else 0.0


class _Counted(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: Counter[str] = Counter()
        self.waits = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = func.overloadpacket.__name__
        boolean = name in ("index", "index_put_") and any(
            isinstance(x, Tensor) and x.dtype == torch.bool for x in tree_leaves(args[1])
        )
        self.calls[name] += 1
        self.waits += int(name in WAITS or boolean)
        return func(*args, **(kwargs or {}))


def operations(work: Callable[[], object]) -> dict[str, Any]:
    """torch's operations in some work (own kernels and replayed graphs are none), views and allocations left out, and
    those of them for which a processor would wait for a GPU. What `tolist` waits for is not seen."""
    with _Counted() as counted:
        work()
    real = {name: count for name, count in counted.calls.items() if name not in _FREE}
    return {"operations": sum(real.values()), "waits": counted.waits, "most": dict(Counter(real).most_common(10))}


_FREE = frozenset((
    "view", "_unsafe_view", "slice", "select", "unsqueeze", "squeeze", "transpose", "permute", "expand", "split",
    "split_with_sizes", "t", "detach", "alias", "as_strided", "unbind", "empty", "new_empty", "empty_strided",
    "empty_like", "lift_fresh", "unfold", "reshape", "chunk", "flatten", "unflatten", "tensor_split", "to",
))  # fmt: skip
"""Nothing is launched for these."""
