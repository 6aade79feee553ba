"""Who of a parallel run was last heard of when."""

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from codemem.model.parallel.group import Group

BEAT_SECONDS = 0.5
DEAD_SECONDS = 3.0
"""Without a heartbeat for so long, a process counts as dead."""


class Watch:
    """Who was last heard of when. Only differences count, so no two clocks are compared."""

    def __init__(self, group: "Group") -> None:
        self._group = group
        self._last: dict[int, tuple[int, float]] = {}
        self._looked = 0.0

    def look(self) -> None:
        """Raises `WorkerLost` naming a process whose heart stopped or that gave up. Looks at most twice a second."""
        now = time.monotonic()
        if now - self._looked < BEAT_SECONDS:
            return
        self._looked = now
        for rank, (number, _) in self._group.beats().items():
            if rank == self._group.rank:
                continue
            known = self._last.get(rank)
            if known is None or known[0] != number:
                self._last[rank] = number, now
            elif now - known[1] > DEAD_SECONDS:
                raise self._group.lost(f"ended: it was not heard of for {now - known[1]:.0f} s", rank)

    def laggard(self) -> int | None:
        """Who has begun the fewest collectives; None if nobody else was heard of."""
        begun = {rank: entered for rank, (_, entered) in self._group.beats().items() if rank != self._group.rank}
        return min(begun, key=lambda rank: (begun[rank], rank), default=None)

    def until_someone_dies(self) -> None:
        """Looks until a heart is seen to have stopped, for as long as that can take."""
        end = time.monotonic() + DEAD_SECONDS + 4 * BEAT_SECONDS
        while time.monotonic() < end:
            self.look()
            time.sleep(BEAT_SECONDS / 2)
