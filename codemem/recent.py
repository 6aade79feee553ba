"""What was used last, within a bound: for processes that stay, where the same content comes back again and again."""

import threading
from collections import OrderedDict

ENTRY_BYTES = 300
"""What an entry takes beside key and value: two objects' headers, a pair, a place in the dictionary, a link."""


class Recent:
    """Packed values by key; beyond `limit` bytes, or more than `most`, those used longest ago go. Threads may share it.

    Bytes, not objects: what an object takes cannot be told, and many small ones that stay between many that go leave
    the process with memory that it can neither use nor give back.
    """

    def __init__(self, limit: int, most: int) -> None:
        self._limit, self._most, self._total = limit, most, 0
        self._kept: OrderedDict[bytes, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: bytes) -> bytes | None:
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def put(self, key: bytes, value: bytes) -> None:
        """One that weighs more than all may is not kept."""
        with self._lock:
            if key in self._kept:
                self._total -= _weight(key, self._kept.pop(key))
            weight = _weight(key, value)
            if weight > self._limit:
                return
            self._kept[key] = value
            self._total += weight
            while self._total > self._limit or len(self._kept) > self._most:
                self._total -= _weight(*self._kept.popitem(last=False))

    @property
    def nbytes(self) -> int:
        """Memory that is taken."""
        return self._total

    def __len__(self) -> int:
        return len(self._kept)


def _weight(key: bytes, value: bytes) -> int:
    return len(key) + len(value) + ENTRY_BYTES
