"""A thread that does one kind of work, one piece after the other."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from codemem.daemon.gate import CancelledError

_T = TypeVar("_T")


class Lane:
    """Work of one urgency, in the order it came. What it opens belongs to its thread alone."""

    def __init__(self, name: str, urgency: int) -> None:
        self.urgency = urgency
        self._jobs: queue.SimpleQueue[tuple[threading.Event, Future[Any], Callable[[], Any]] | None]
        self._jobs = queue.SimpleQueue()
        self._cancelled = threading.Event()
        self._closed = False
        # A daemon thread: one that waits for another process's lock must not keep this one alive.
        self._thread = threading.Thread(target=self._run, name=f"codemem-{name}", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[], _T], cancelled: threading.Event) -> "Future[_T]":
        future: Future[_T] = Future()
        self._jobs.put((cancelled, future, work))
        return future

    def check(self) -> None:
        """Raises CancelledError if the work that runs is not wanted any more."""
        if self._closed or self._cancelled.is_set():
            raise CancelledError("cancelled")

    def close(self, timeout: float) -> None:
        """Stops at the next step; waits so many seconds for that."""
        self._closed = True
        self._jobs.put(None)
        self._thread.join(timeout)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._cancelled, future, work = job
            try:
                self.check()
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)
