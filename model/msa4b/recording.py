"""What is launched on a GPU, recorded as CUDA graphs one behind another, so that some can be timed apart."""

import sys
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar

import torch

from codemem.model.msa4b.clock import RoutingClock

T = TypeVar("T")
Route = Callable[[Callable[[], T]], T]
"""Runs the work given, which is routing."""


class Recorder:
    """Within it nothing is computed: launches go into graphs. What one graph leaves, later ones may read.

    All recorders of a pool record on one stream, and their graphs are replayed in the order of recording.
    """

    def __init__(self, pool: Any, stream: torch.cuda.Stream) -> None:
        self.pieces: list[tuple[torch.cuda.CUDAGraph, bool]] = []
        """In order, and whether each is routing."""
        self._pool, self._stream = pool, stream
        self._current: torch.cuda.CUDAGraph | None = None

    def __enter__(self) -> Self:
        torch.cuda.synchronize()
        self._on = torch.cuda.stream(self._stream)
        self._on.__enter__()  # type: ignore[no-untyped-call]
        try:
            self._begin()
        except BaseException:
            self._on.__exit__(None, None, None)  # nobody else leaves what has not been entered
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._end(routing=False)
            elif self._current is not None:
                with suppress(RuntimeError):  # a recording that has failed also fails to end
                    self._current.capture_end()
        finally:
            self._on.__exit__(kind, error, trace)

    def route(self, work: Callable[[], T]) -> T:
        """Gives the work a graph of its own."""
        self._end(routing=False)
        self._begin()
        result = work()
        self._end(routing=True)
        self._begin()
        return result

    def _begin(self) -> None:
        self._current = torch.cuda.CUDAGraph()
        # Other threads may go on with theirs; one that allocates would else end this recording.
        self._current.capture_begin(pool=self._pool, capture_error_mode="thread_local")

    def _end(self, *, routing: bool) -> None:
        assert self._current is not None
        graph, self._current = self._current, None
        graph.capture_end()
        self.pieces.append((graph, routing))


def replay(pieces: list[tuple[torch.cuda.CUDAGraph, bool]], clock: RoutingClock | None) -> None:
    """Launches the graphs; `clock` counts those that are routing."""
    for graph, routing in pieces:
        if routing and clock is not None:
            with clock.running():
                graph.replay()
        else:
            graph.replay()


def spare_bytes(device: torch.device) -> int:
    """Of a GPU: what is free, and what torch holds and does not use, within torch's own limit if it was given one. Of a
    processor nothing is counted."""
    if device.type != "cuda":
        return sys.maxsize
    free, total = torch.cuda.mem_get_info(device)
    allowed = int(total * torch.cuda.get_per_process_memory_fraction(device.index))
    return min(free + torch.cuda.memory_reserved(device), allowed) - torch.cuda.memory_allocated(device)
