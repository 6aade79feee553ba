"""How long routing takes, measured beside it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from codemem.model.memory import LayerMemory, LayerRoute
from codemem.model.msa4b.memory import Msa4bMemory


class RoutingClock:
    """A memory that measures how long its routing takes."""

    def __init__(self, memory: Msa4bMemory) -> None:
        self.memory = memory
        self._seconds = 0.0
        self._events: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    def route(self, layer: int, query_TW: Tensor, k: int) -> LayerRoute:
        with self.running():
            return self.memory.route(layer, query_TW, k)

    def fetch(self, layer: int, documents: Tensor) -> tuple[Tensor, Tensor]:
        return self.memory.fetch(layer, documents)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Counts what is done within as routing."""
        if self.memory.device.type != "cuda":
            started = time.perf_counter()
            yield
            self._seconds += time.perf_counter() - started
            return
        # Events, because waiting for the GPU in every layer would cost more than the routing.
        before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        before.record()
        yield
        after.record()
        self._events.append((before, after))

    @property
    def milliseconds(self) -> float:
        for before, after in self._events:
            after.synchronize()
            self._seconds += before.elapsed_time(after) / 1000
        self._events.clear()
        return 1000 * self._seconds


def route_ms(bank: LayerMemory | None) -> float:
    """What a clocked memory has measured so far; 0 for any other."""
    return bank.milliseconds if isinstance(bank, RoutingClock) else 0.0
