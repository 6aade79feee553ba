"""What was used last, within a bound: for processes that stay, where the same content comes back again and again."""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")


class Recent(Generic[_K, _V]):
    """Values by key; when their weights exceed the limit, those used longest ago go. Threads may share it."""

    def __init__(self, limit: int) -> None:
        self._limit, self._total = limit, 0
        self._kept: OrderedDict[_K, tuple[_V, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: _K) -> _V | None:
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                return None
            self._kept.move_to_end(key)
            return found[0]

    def put(self, key: _K, value: _V, weight: int) -> None:
        """One that weighs more than all may is not kept."""
        with self._lock:
            if key in self._kept:
                self._total -= self._kept.pop(key)[1]
            if weight > self._limit:
                return
            self._kept[key] = value, weight
            self._total += weight
            while self._total > self._limit:
                self._total -= self._kept.popitem(last=False)[1][1]

    def __len__(self) -> int:
        return len(self._kept)
