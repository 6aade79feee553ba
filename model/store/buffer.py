"""What has been appended and is not on the disk yet."""

import time

import numpy as np

from codemem.model.store.columns import Columns, join_columns


class WriteBuffer:
    """Columns of one layout, waiting to become a segment."""

    def __init__(self) -> None:
        self.keys: set[bytes] = set()
        self.nbytes = 0
        self._columns: list[Columns] = []
        self._since = 0.0

    def __bool__(self) -> bool:
        return bool(self._columns)

    @property
    def age_s(self) -> float:
        """Seconds since the first entry came in."""
        return time.monotonic() - self._since if self._columns else 0.0

    def add(self, columns: Columns) -> None:
        """Takes what is new; the first entry of a key stays."""
        keys = columns.key_list()
        fresh = np.array([key not in self.keys for key in keys])
        if not fresh.any():
            return
        if not self._columns:
            self._since = time.monotonic()
        columns = columns.select(fresh)
        self._columns.append(columns)
        self.keys.update(keys)
        self.nbytes += columns.nbytes

    def columns(self) -> Columns:
        """All of it; call only when there is something."""
        if len(self._columns) > 1:
            self._columns = [join_columns(self._columns)]
        return self._columns[0]

    def clear(self) -> None:
        """Forgets everything: it is on the disk, or not wanted any more."""
        self.keys, self.nbytes, self._columns = set(), 0, []
