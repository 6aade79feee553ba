"""The folder of segment files: writing one so that it is whole or absent, and a cache of open ones."""

import os
from collections import OrderedDict
from pathlib import Path

import numpy as np
import numpy.typing as npt

from codemem.model.entry import EntryLayout
from codemem.model.store.columns import Columns
from codemem.model.store.segment import SUFFIX, Segment, open_segment, salvage_segment, serialise

TEMPORARY = ".tmp"
MOST_OPEN = 256
"""Open segments kept: each holds a file descriptor, and 1,024 is a common limit."""


class SegmentFolder:
    """Files of `segments/`. Whoever writes or removes holds the store's lock; reading needs none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open: OrderedDict[str, Segment] = OrderedDict()
        self._checked: dict[str, npt.NDArray[np.bool_]] = {}

    def open(self, name: str) -> Segment:
        """Raises FileNotFoundError or SegmentDamagedError."""
        segment = self._open.get(name)
        if segment is None:
            segment = open_segment(self.path / name)
            self._keep(segment)
        self._open.move_to_end(name)
        return segment

    def salvage(self, name: str, layout: EntryLayout, entries: int, chunks: int) -> Segment:
        """Opens a segment whose header is damaged; the same errors."""
        segment = salvage_segment(self.path / name, layout, entries, chunks)
        self._keep(segment)
        return segment

    def _keep(self, segment: Segment) -> None:
        segment.checked = self._checked.setdefault(segment.name, segment.checked)
        self._open[segment.name] = segment
        while len(self._open) > MOST_OPEN:
            self._open.popitem(last=False)

    def is_damaged(self, name: str) -> bool:
        """Whether a segment is open with a damage that left its rows readable."""
        segment = self._open.get(name)
        return segment is not None and bool(segment.damage)

    def forget(self, names: set[str]) -> None:
        """Closes segments that are no longer part of the store."""
        for name in names:
            self._open.pop(name, None)
            self._checked.pop(name, None)

    def known(self) -> set[str]:
        """Names of the segments this process remembers something of."""
        return self._open.keys() | self._checked.keys()

    def write(self, layout: EntryLayout, columns: Columns) -> tuple[str, int]:
        """Makes a segment durable under its final name and returns name and size. OSError leaves nothing behind."""
        name, data = serialise(layout, columns)
        temporary = self.path / f"{name}.{os.getpid()}{TEMPORARY}"
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb", buffering=0) as file:
                rest = memoryview(data)
                while rest:
                    rest = rest[file.write(rest) :]
                os.fsync(file.fileno())
            temporary.replace(self.path / name)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_directory(self.path)
        return name, len(data)

    def remove(self, name: str) -> None:
        """Unlinks a segment; processes that have it mapped go on reading it."""
        (self.path / name).unlink(missing_ok=True)
        self.forget({name})

    def names(self) -> set[str]:
        """Segment files present."""
        return {entry.name for entry in os.scandir(self.path) if entry.name.endswith(SUFFIX)}

    def temporaries(self) -> list[Path]:
        """Files of writers that were killed, as long as the caller holds the lock."""
        return [Path(entry.path) for entry in os.scandir(self.path) if entry.name.endswith(TEMPORARY)]


def sync_directory(path: Path) -> None:
    """Makes renames within a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
