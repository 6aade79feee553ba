"""The store: one directory a user, shared by all models and processes. Entries go in by key and come out in order."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import numpy as np

from codemem.model.entry import Entry, EntryLayout
from codemem.model.errors import EntryCorrupt, StoreError
from codemem.model.store import maintenance
from codemem.model.store.catalogue import Catalogue, CatalogueDamagedError, EntryRow, now_s
from codemem.model.store.columns import Columns, columns_of, join_columns, offsets_of, parts_of
from codemem.model.store.folder import SegmentFolder
from codemem.model.store.loading import find_corrupt, load_columns
from codemem.model.store.opening import (
    CATALOGUE,
    SEGMENTS,
    OnEvent,
    StoreLock,
    os_error,
    prepare,
    read_only_catalogue,
    rebuild_catalogue,
    recognise,
)
from codemem.model.store.records import LoadedEntries, StoreEvent, StoreOptions
from codemem.model.store.segment import Segment, SegmentDamagedError, check_layout

T = TypeVar("T")
ATTEMPTS = 8
"""Tries of an operation that found the store changed or damaged under it; each one repairs or drops something."""


class Store:
    """Entries of one layout in a store directory. Threads may share it; processes open it once each (not over a fork).

    `open` makes one. Use it as a context manager, or call `close`: it writes what is buffered.
    """

    def __init__(
        self, directory: Path, layout: EntryLayout, *, size_limit: int | None, read_only: bool, options: StoreOptions,
        on_event: OnEvent,
    ) -> None:  # fmt: skip
        self.directory = directory
        self.layout = layout
        self.read_only = read_only
        self.options = options
        self._size_limit = size_limit
        self._on_event = on_event
        self._parts = tuple(parts_of(layout))
        self._folder = SegmentFolder(directory / SEGMENTS)
        self._lock = StoreLock(directory, options.lock_timeout_s)
        self._mutex = threading.RLock()
        self._catalogue: Catalogue | None = None
        self._number: int | None = None
        self._seen_version = -1
        self._pending: list[Columns] = []
        self._pending_keys: set[bytes] = set()
        self._pending_since = 0.0
        self._used: set[bytes] = set()
        self._ignored: set[bytes] = set()
        self._closed = False

    @classmethod
    def open(
        cls,
        directory: str | Path,
        layout: EntryLayout,
        *,
        size_limit_bytes: int | None = None,
        read_only: bool = False,
        options: StoreOptions | None = None,
        on_event: OnEvent | None = None,
    ) -> "Store":
        """Opens the store, and makes it where there is nothing yet.

        Recovers by itself from kills and from a damaged catalogue, and says so through `on_event`. With
        `size_limit_bytes`, the least recently used entries of all layouts make room for new ones.
        Raises StoreError for a foreign directory, a newer format, or one that cannot be read (or written, unless
        `read_only`).
        """
        check_layout(layout)
        directory = Path(directory).absolute()
        store = cls(
            directory, layout, size_limit=size_limit_bytes, read_only=read_only, options=options or StoreOptions(),
            on_event=on_event or _silent,
        )  # fmt: skip
        with store._errors():
            known = recognise(directory)
            if read_only and not known:
                raise StoreError(f"there is no store in {directory} to read")
            if not read_only:
                prepare(directory)
                store._recover()
            store._retry(lambda: store._db().layout_number(layout))
        return store

    def __enter__(self) -> "Store":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:  # what is done is kept, and the first error is the one to be seen
            with contextlib.suppress(StoreError):
                self.close()

    # Writing

    def append(self, entries: Iterable[Entry]) -> None:
        """Buffers entries (copied), and writes a segment when the buffer is large or old enough.

        Known keys are no error: the first entry of a key stays. Raises StoreError when an entry does not fit the
        layout or holds NaN or infinity (then none of this call is kept), and when the segment cannot be written (then
        the buffer stays, and `flush` tries again).
        """
        self._writable()
        with self._mutex, self._errors():
            if sum(c.nbytes for c in self._pending) >= 2 * self.options.segment_bytes:
                self.flush()  # an earlier attempt failed: the buffer must not grow without bounds
            columns = columns_of(self.layout, entries, check_finite=self.options.check_finite)
            if columns is None:
                return
            if not self._pending:
                self._pending_since = time.monotonic()
            self._pending.append(columns)
            self._pending_keys.update(columns.key_list())
            size = sum(c.nbytes for c in self._pending)
            age = time.monotonic() - self._pending_since
            if (
                size >= self.options.segment_bytes
                or len(self._pending_keys) >= self.options.segment_entries
                or age >= self.options.segment_seconds
            ):
                self.flush()

    def flush(self) -> None:
        """Makes everything appended so far durable. Raises StoreError when it cannot; the buffer stays then."""
        self._writable()
        with self._mutex, self._errors():
            if self._pending:
                pending = _unique(join_columns(self._pending))
                with self._lock.held():
                    self._retry(lambda: self._write(pending))
                self._pending, self._pending_keys = [], set()
            self._write_stamps()

    def _write(self, columns: Columns) -> None:
        """Segment first, rows after: a kill in between leaves a file that the next open adopts. Holds the lock."""
        catalogue = self._db()
        number = catalogue.layout_number(self.layout)
        known = catalogue.present(number, columns.key_list()) if number is not None else set()
        columns = columns.select(np.array([key not in known for key in columns.key_list()]))
        if not len(columns):
            return
        name, size = self._folder.write(self.layout, columns)
        with catalogue.transaction():
            number = catalogue.add_layout(self.layout)
            catalogue.add_segment(number, name, size, columns, now=now_s())
        self._number = number
        maintenance.keep_small(catalogue, self._folder, self._size_limit, self.options, self._on_event)

    def _write_stamps(self) -> None:
        if self._used and not self.read_only:
            used, self._used = self._used, set()
            number = self._retry(self._layout_number)
            if number is not None:
                self._retry(lambda: self._db().stamp(number, used, now_s()))

    def close(self) -> None:
        """Writes what is buffered and closes. Raises StoreError when the buffer cannot be written; it is lost then."""
        with self._mutex:
            if self._closed:
                return
            try:
                if not self.read_only:
                    self.flush()
            finally:
                self._closed = True
                self._folder.forget(self._folder.known())
                if self._catalogue is not None:
                    self._catalogue.close()
                    self._catalogue = None

    # Reading

    def has(self, keys: Iterable[bytes]) -> set[bytes]:
        """Those of the keys that are stored or buffered."""
        with self._mutex, self._errors():
            wanted = set(keys)
            buffered = wanted & self._pending_keys
            rest = list(wanted - buffered - self._ignored)
            return buffered | self._retry(lambda: self._present(rest))

    def _present(self, keys: Sequence[bytes]) -> set[bytes]:
        number = self._layout_number()
        return set() if number is None else self._db().present(number, keys)

    def load(self, keys: Sequence[bytes], *, parts: Sequence[str] | None = None) -> LoadedEntries:
        """Entries in the order of `keys`, each tensor as one array [chunks of all, width].

        `parts` limits it to tensors of some parts ('route' for 'route.11'), which are then also the only ones checked.
        What is missing, or found corrupt and dropped now, has no rows and is named in the result.
        """
        chosen = self._parts if parts is None else tuple(parts)
        unknown = set(chosen) - set(self._parts)
        if unknown:
            raise ValueError(f"the layout has no part {', '.join(sorted(unknown))}: it has {', '.join(self._parts)}")
        with self._mutex, self._errors():
            if not self._pending_keys.isdisjoint(keys):
                self.flush()
            corrupt: dict[bytes, None] = {}
            for _ in range(ATTEMPTS):
                loaded = self._retry(lambda: self._load_once(keys, chosen, corrupt))
                if loaded is not None:
                    return loaded
            raise StoreError(f"the store in {self.directory} keeps changing while it is read: try again")

    def read(self, key: bytes) -> Entry:
        """One entry. Raises KeyError when it is not stored, EntryCorrupt when it was and is damaged (dropped now)."""
        loaded = self.load([key])
        if loaded.corrupt:
            raise EntryCorrupt(f"entry {key.hex()[:12]} was damaged on disk and has been dropped: encode it again")
        if loaded.missing:
            raise KeyError(key)
        return Entry(key, int(loaded.tokens[0]), loaded.chunk_ends, loaded.tensors)

    def _load_once(
        self, keys: Sequence[bytes], parts: Sequence[str], corrupt: dict[bytes, None]
    ) -> LoadedEntries | None:
        """None when something was found bad, and dropped: look again."""
        number = self._layout_number()
        wanted = [key for key in dict.fromkeys(keys) if key not in self._ignored]
        found = {} if number is None else self._db().lookup(number, wanted)
        rows = [found[key] for key in keys if key in found]
        try:
            columns, mapped = load_columns(self._segment, self.layout, parts, rows)
            bad = find_corrupt(self._segment, self.layout, parts, columns, rows)
        except _SegmentLostError as lost:
            self._drop([row for row in rows if row.segment == lost.number], corrupt, str(lost))
            return None
        if bad:
            self._drop([rows[at] for at in bad], corrupt, "does not match its checksum")
            return None
        self._note_used(rows)
        self._forget_old_segments()
        return _loaded(keys, found, columns, corrupt, mapped)

    def _segment(self, number: int) -> Segment:
        row = self._db().segment(number)
        try:
            return self._folder.open(row.name)
        except FileNotFoundError as error:
            raise _SegmentLostError(number, f"segment {row.name} is gone") from error
        except SegmentDamagedError as error:
            raise _SegmentLostError(number, str(error)) from error

    def _drop(self, rows: Sequence[EntryRow], corrupt: dict[bytes, None], why: str) -> None:
        """Forgets entries that cannot be read; if compaction has only moved them, they stay."""
        number = self._layout_number()
        assert number is not None
        current = self._db().lookup(number, [row.key for row in rows])
        gone = [row for row in rows if row.key in current and current[row.key].segment == row.segment]
        if not gone:
            return
        keys = tuple(dict.fromkeys(row.key for row in gone))
        corrupt.update(dict.fromkeys(keys))
        if self.read_only:
            self._ignored.update(keys)
        else:
            self._db().drop(number, gone)
        named = ", ".join(key.hex()[:12] for key in keys[:3]) + (", ..." if len(keys) > 3 else "")
        self._on_event(StoreEvent("corrupt", f"{len(keys)} entries dropped ({named}): {why}", keys))

    def _note_used(self, rows: Iterable[EntryRow]) -> None:
        now, interval = now_s(), self.options.stamp_interval_s
        self._used.update(row.key for row in rows if abs(now - row.used_at) >= interval)

    def _forget_old_segments(self) -> None:
        version = self._db().data_version()
        if version != self._seen_version:
            self._seen_version = version
            self._folder.forget(self._folder.known() - {row.name for row in self._db().segments().values()})

    # The catalogue, and what to do when it fails

    def _writable(self) -> None:
        if self._closed:
            raise StoreError(f"the store in {self.directory} is closed")
        if self.read_only:
            raise StoreError(f"the store in {self.directory} is open for reading only")

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise os_error(self.directory, error) from error

    def _db(self) -> Catalogue:
        """The catalogue that stands now: another process may have rebuilt it."""
        if self._closed:
            raise StoreError(f"the store in {self.directory} is closed")
        if self._catalogue is not None and not self._catalogue.replaced():
            return self._catalogue
        self._close_catalogue()
        self._catalogue = Catalogue.open(self.directory / CATALOGUE, read_only=self.read_only)
        return self._catalogue

    def _close_catalogue(self) -> None:
        if self._catalogue is not None:
            self._catalogue.close()
        self._catalogue, self._number, self._seen_version = None, None, -1

    def _layout_number(self) -> int | None:
        catalogue = self._db()
        if self._number is None:
            self._number = catalogue.layout_number(self.layout)
        return self._number

    def _retry(self, operation: Callable[[], T]) -> T:
        """Runs an operation on the catalogue; when that proves damaged, rebuilds it and runs the operation again."""
        try:
            return operation()
        except CatalogueDamagedError:
            damaged = self._catalogue
        if self.read_only:
            self._close_catalogue()
            self._catalogue = read_only_catalogue(self.directory, self._folder, self._on_event)
            return operation()
        with self._lock.held():
            if damaged is None or not damaged.replaced():
                self._close_catalogue()
                rebuild_catalogue(self.directory, self._folder, self._on_event)
            return operation()

    def _recover(self) -> None:
        """Adopts or removes what killed processes left. Another process that holds the lock is left to its work."""
        if not (self.directory / CATALOGUE).exists():
            with self._lock.held():
                if not (self.directory / CATALOGUE).exists():
                    rebuild_catalogue(self.directory, self._folder, self._on_event)
        if self._retry(lambda: maintenance.unclean(self._db(), self._folder)) and self._lock.try_acquire():
            try:
                self._retry(lambda: maintenance.recover(self._db(), self._folder, self._on_event))
            finally:
                self._lock.release()


class _SegmentLostError(Exception):
    """A segment that rows point to cannot be opened."""

    def __init__(self, number: int, why: str) -> None:
        super().__init__(why)
        self.number = number


def _silent(event: StoreEvent) -> None:
    """The default for `on_event`."""


def _unique(columns: Columns) -> Columns:
    """The first entry of each key."""
    seen: set[bytes] = set()
    fresh = []
    for key in columns.key_list():
        fresh.append(key not in seen)
        seen.add(key)
    return columns.select(np.array(fresh))


def _loaded(
    keys: Sequence[bytes], found: dict[bytes, EntryRow], columns: Columns, corrupt: dict[bytes, None], mapped: bool
) -> LoadedEntries:
    rows = [found.get(key) for key in keys]
    return LoadedEntries(
        keys=tuple(keys),
        offsets=offsets_of(np.array([row.chunks if row else 0 for row in rows], np.uint64)),
        tokens=np.array([row.tokens if row else 0 for row in rows], np.uint32),
        chunk_ends=columns.chunk_ends,
        tensors=columns.tensors,
        missing=tuple(dict.fromkeys(key for key in keys if key not in found)),
        corrupt=tuple(corrupt),
        mapped=mapped,
    )
