"""Reading many files in several processes. Grammars hold Python's lock while they parse, so threads would not help."""

import multiprocessing
import signal
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import NamedTuple

from .document import Skipped, SourceFile
from .reading import read_file
from .selection import Selection
from .tree import ObjectFormat

BATCH_BYTES = 1 << 19
"""Large enough that passing a batch costs little, small enough that all processes end at about the same time."""
_CRASHED = "its grammar crashed while it was parsed"


class Job(NamedTuple):
    """One file to be read: its listed path, its bytes, and whether a '!' pattern took it."""

    path: str
    data: bytes
    reincluded: bool


Outcome = SourceFile | Skipped
_Batch = Sequence[Job | Skipped]


def read_in_processes(
    items: Iterable[Job | Skipped], *, processes: int, selection: Selection, object_format: ObjectFormat
) -> Iterator[Outcome]:
    """The outcome of every item, in order; what is skipped already is passed on.

    A file that kills the process that parses it is skipped, and costs no other file.
    """
    pool = _Pool(processes, selection, object_format)
    waiting: deque[tuple[_Batch, Future[list[Outcome]]]] = deque()
    try:
        for batch in _batches(items):
            waiting.append((batch, pool.submit(batch)))
            if len(waiting) > 2 * processes:
                yield from pool.result(*waiting.popleft())
        while waiting:
            yield from pool.result(*waiting.popleft())
    finally:
        pool.close()


class _Pool:
    """Processes that are replaced when a file kills one of them."""

    def __init__(self, processes: int, selection: Selection, object_format: ObjectFormat) -> None:
        self._processes = processes
        self._settings = (selection, object_format)
        self._executor = self._start(processes)

    @staticmethod
    def _start(processes: int) -> ProcessPoolExecutor:
        # Spawned, because a fork would copy the threads' locks of whatever else this process does.
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(processes, mp_context=context, initializer=_ignore_interrupts)

    def submit(self, batch: _Batch) -> Future[list[Outcome]]:
        try:
            return self._executor.submit(_read_batch, batch, *self._settings)
        except BrokenProcessPool:
            self._restart()
            return self._executor.submit(_read_batch, batch, *self._settings)

    def result(self, batch: _Batch, future: Future[list[Outcome]]) -> list[Outcome]:
        """The batch's outcomes; file by file, each in a process of its own, if the pool broke meanwhile."""
        try:
            return future.result()
        except BrokenProcessPool:
            return [outcome for item in batch for outcome in self._alone(item)]

    def _alone(self, item: Job | Skipped) -> list[Outcome]:
        executor = self._start(1)
        try:
            return executor.submit(_read_batch, [item], *self._settings).result()
        except BrokenProcessPool:
            return [Skipped(item.path, _CRASHED)]
        finally:
            executor.shutdown()

    def _restart(self) -> None:
        self._executor.shutdown()
        self._executor = self._start(self._processes)

    def close(self) -> None:
        self._executor.shutdown(cancel_futures=True)


def _ignore_interrupts() -> None:
    """Ctrl-C ends the parent, which ends its processes in order."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _read_batch(batch: _Batch, selection: Selection, object_format: ObjectFormat) -> list[Outcome]:
    return [
        item
        if isinstance(item, Skipped)
        else read_file(
            item.path, item.data, reincluded=item.reincluded, selection=selection, object_format=object_format
        )
        for item in batch
    ]


def _batches(items: Iterable[Job | Skipped]) -> Iterator[_Batch]:
    batch: list[Job | Skipped] = []
    size = 0
    for item in items:
        batch.append(item)
        size += 1024 + (len(item.data) if isinstance(item, Job) else 0)
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
