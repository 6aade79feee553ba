"""The first bytes of an SQLite file, read beside SQLite without taking its locks away.

POSIX drops every lock that a process holds on a file as soon as the process closes any descriptor of it. A connection
whose lock is gone is overlooked by other processes: the last of them to close deletes the write-ahead log under it, and
what it commits afterwards is lost (sqlite.org/howtocorrupt.html, section 2.2). So one descriptor a file stays open for
as long as this process has connections to it.
"""

import os
import threading
from dataclasses import dataclass
from pathlib import Path

Identity = tuple[int, int]
"""Device and inode of a file."""

mutex = threading.RLock()
"""Held while a connection is opened, and while one is closed: its lock must not go with another thread's descriptor."""
_kept: dict[Identity, "_Kept"] = {}


@dataclass(slots=True)
class _Kept:
    descriptors: list[int]
    """One, or more where the name came to stand for this file while it was opened."""
    users: int


def identity_of(path: Path) -> Identity:
    """Which file stands under the name now. Raises FileNotFoundError."""
    status = path.stat()
    return status.st_dev, status.st_ino


def stands(path: Path, identity: Identity) -> bool:
    """Whether the name stands for that file now."""
    try:
        return identity_of(path) == identity
    except FileNotFoundError:
        return False


def peek(path: Path, size: int) -> bytes:
    """The first bytes of a file that may be a catalogue, open in this process or not. Raises OSError."""
    with mutex:
        identity = identity_of(path)
        if identity in _kept:
            return read(identity, size)
        # Nothing of ours is connected to it: a connection is made and recognised under the mutex, then kept.
        with path.open("rb") as file:
            return file.read(size)


def keep(path: Path) -> Identity:
    """Opens the file beside a connection that is open already; call `release` after that has been closed.

    Holds `mutex`. Raises FileNotFoundError.
    """
    identity = identity_of(path)
    if identity not in _kept:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        status = os.fstat(descriptor)
        identity = status.st_dev, status.st_ino  # of what was opened: the name may stand for another file by now
        _kept.setdefault(identity, _Kept([], 0)).descriptors.append(descriptor)
    _kept[identity].users += 1
    return identity


def read(identity: Identity, size: int) -> bytes:
    """The first bytes of a file that is kept."""
    return os.pread(_kept[identity].descriptors[0], size, 0)


def release(identity: Identity) -> None:
    """Closes what is open of the file, if no connection needs it now. Holds `mutex`, after a connection was closed."""
    kept = _kept[identity]
    kept.users -= 1
    if not kept.users:
        del _kept[identity]
        for descriptor in kept.descriptors:
            os.close(descriptor)
