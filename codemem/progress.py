"""How long work reports what it has done; the command line draws it, a daemon forwards it."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Progress:
    """A moment of one phase of work."""

    phase: str
    """What is being done, e.g. 'reading files'."""
    done: int
    total: int
    unit: str
    """'files', 'tokens' or 'bytes'."""
    rate: float
    """Units a second over the last seconds; 0 until that is known."""

    @property
    def seconds_left(self) -> float | None:
        return (self.total - self.done) / self.rate if self.rate > 0 else None


Report = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """A report for those who do not watch."""


@dataclass(slots=True)
class Meter:
    """Counts units of one phase and reports at most ten times a second, and at the end."""

    report: Report
    phase: str
    total: int
    unit: str
    done: int = 0
    started: float = field(default_factory=time.monotonic)
    _marks: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=100))
    _last: float = 0.0

    def advance(self, units: int) -> None:
        self.done += units
        now = time.monotonic()
        if now - self._last >= 0.1 or self.done >= self.total:
            self._last = now
            self._marks.append((now, self.done))
            self.report(Progress(self.phase, self.done, self.total, self.unit, self._rate()))

    def _rate(self) -> float:
        (first, before), (last, after) = self._marks[0], self._marks[-1]
        return (after - before) / (last - first) if last - first > 0.2 else 0.0

    @property
    def mean_rate(self) -> float:
        """Units a second since the start."""
        return self.done / max(time.monotonic() - self.started, 1e-9)
