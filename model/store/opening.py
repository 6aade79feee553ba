"""A store's directory: recognising, creating and locking it, and rebuilding its catalogue."""

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock
import xxhash

from codemem.model.errors import StoreError
from codemem.model.store import header
from codemem.model.store.catalogue import Catalogue, now_s
from codemem.model.store.database import APPLICATION_ID, SCHEMA_VERSION, create_catalogue
from codemem.model.store.folder import SegmentFolder, sync_directory
from codemem.model.store.records import StoreEvent
from codemem.model.store.segment import SegmentDamagedError

CATALOGUE = "catalogue.sqlite"
NEW_CATALOGUE = "catalogue.new.sqlite"
OLD_CATALOGUE = "catalogue.corrupt.sqlite"
SEGMENTS = "segments"
LOCK = "lock"
MARKER = "format"
KNOWN_FILES = (
    MARKER, f"{MARKER}.tmp", LOCK, *(name + end for name in (CATALOGUE, NEW_CATALOGUE, OLD_CATALOGUE) for end in
    ("", "-wal", "-shm", "-journal")),
)  # fmt: skip
"""Everything of a store beside its folder of segments."""
OnEvent = Callable[[StoreEvent], None]


class StoreLock:
    """The lock of everything that changes files: one writer at a time over all processes. A kill releases it."""

    def __init__(self, directory: Path, timeout_s: float) -> None:
        self._directory = directory
        self._timeout_s = timeout_s
        self._lock = filelock.FileLock(directory / LOCK, mode=0o600, thread_local=False)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Waits; StoreError when another process keeps it for longer than the timeout."""
        try:
            self._lock.acquire(timeout=self._timeout_s)
        except filelock.Timeout as error:
            raise StoreError(
                f"another process has been changing the store in {self._directory} for {self._timeout_s:.0f} s: "
                "wait for it, or end it"
            ) from error
        try:
            yield
        finally:
            self._lock.release()

    def try_acquire(self) -> bool:
        """Takes the lock if it is free; `release` it then."""
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            return False
        return True

    def release(self) -> None:
        """Gives back what `try_acquire` took."""
        self._lock.release()


def os_error(directory: Path, error: OSError) -> StoreError:
    """One helpful line for what the operating system refused."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StoreError(f"no space left for the store in {directory}: free some, or run `codemem clean` ({error})")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StoreError(f"the store in {directory} cannot be written: check its owner and permissions ({error})")
    return StoreError(f"the store in {directory} failed: {error}")


# The marker: what the directory is, readable even when the catalogue is not.


def _marker_text(version: int) -> str:
    text = f"codemem store {version}"
    return f"{text} {xxhash.xxh3_64(text.encode()).hexdigest()}\n"


def read_marker(directory: Path) -> int | None:
    """The format version that the directory names; None when it names none or the marker is damaged."""
    try:
        text = (directory / MARKER).read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        return None
    fields = text.split()
    if len(fields) == 4 and fields[2].isdigit() and text == _marker_text(int(fields[2])).encode():
        return int(fields[2])
    return None


def write_marker(directory: Path) -> None:
    """Names the directory a store, durably."""
    temporary = directory / f"{MARKER}.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(_marker_text(SCHEMA_VERSION))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(directory / MARKER)
    sync_directory(directory)


def recognise(directory: Path) -> bool:
    """Whether the directory is a store; False when it is absent or empty, so that one may be made.

    Raises StoreError when it is something else, or was written by a newer codemem.
    """
    if not directory.exists():
        return False
    if not directory.is_dir():
        raise StoreError(f"{directory} is no directory: name another place for the store")
    version = read_marker(directory)
    if version is None:
        names = {entry.name for entry in directory.iterdir()}
        if names <= {LOCK, f"{MARKER}.tmp"}:
            return False
        version = _version_of_catalogue(directory / CATALOGUE)
        if version is None:
            raise StoreError(f"{directory} is no codemem store and not empty: name another directory, or empty it")
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"the store in {directory} has format {version}, this codemem reads up to {SCHEMA_VERSION}: "
            "upgrade codemem, or name another directory"
        )
    return True


def _version_of_catalogue(path: Path) -> int | None:
    """The schema version in the header of an SQLite file of ours (offsets 60 and 68 of the file format)."""
    try:
        start = header.peek(path, 100)
    except OSError:
        return None
    if not start.startswith(b"SQLite format 3\0") or int.from_bytes(start[68:72], "big") != APPLICATION_ID:
        return None
    return int.from_bytes(start[60:64], "big")


def prepare(directory: Path, lock: StoreLock) -> None:
    """Makes directory and marker, the marker before anything else: a kill must not leave what looks foreign.

    Call `recognise` first.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if read_marker(directory) is None:
        with lock.held():
            if read_marker(directory) is None:
                write_marker(directory)
    for path in (directory, directory / SEGMENTS):
        path.mkdir(mode=0o700, exist_ok=True)
        if path.stat().st_mode & 0o077:
            path.chmod(0o700)


# The catalogue, and how it is made again


def rebuild_catalogue(directory: Path, folder: SegmentFolder, on_event: OnEvent) -> None:
    """Puts a catalogue in place that is made from the segments alone; a damaged one is moved aside. Holds the lock.

    The new one is complete before it takes the name, so a kill in between leaves none, and the next open starts again.
    """
    new, path = directory / NEW_CATALOGUE, directory / CATALOGUE
    for file in (new, *_companions(new)):
        file.unlink(missing_ok=True)
    create_catalogue(new)
    catalogue = Catalogue.open(new, read_only=False)
    try:
        entries = adopt_segments(catalogue, folder, folder.names(), on_event)
    finally:
        catalogue.close()
    damaged = path.exists()
    if damaged:
        path.replace(directory / OLD_CATALOGUE)
    for file in _companions(path):
        file.unlink(missing_ok=True)
    new.replace(path)
    sync_directory(directory)
    if damaged:
        message = (
            f"the catalogue was damaged: kept as {OLD_CATALOGUE}, rebuilt with {entries} entries from the segments"
        )
        on_event(StoreEvent("rebuilt", message))


def read_only_catalogue(directory: Path, folder: SegmentFolder, on_event: OnEvent) -> Catalogue:
    """A catalogue in memory, made from the segments: for a store that may not be written and whose own is unusable."""
    catalogue = Catalogue.in_memory(directory / CATALOGUE)
    adopt_segments(catalogue, folder, folder.names(), on_event)
    return catalogue


def _companions(path: Path) -> tuple[Path, Path]:
    return path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")


def adopt_segments(catalogue: Catalogue, folder: SegmentFolder, names: set[str], on_event: OnEvent) -> int:
    """Gives rows to segments that have none; returns the entries gained. Holds the lock, unless all is in memory.

    A segment that brings nothing new is left to be removed as dead; one that cannot be read is named in an event and
    gets no rows.
    """
    before = catalogue.count()
    for name in sorted(names):
        try:
            segment = folder.open(name)
            columns = segment.columns()
        except SegmentDamagedError as error:
            on_event(StoreEvent("corrupt", str(error)))
            continue
        with catalogue.transaction():
            number = catalogue.add_layout(segment.layout)
            catalogue.add_segment(number, name, segment.size, columns, now=now_s())
    return catalogue.count() - before
