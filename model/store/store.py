"""The store of one layout: entries go in by key and come out in order."""

import contextlib
import time
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from codemem.model.entry import Entry, EntryLayout
from codemem.model.errors import EntryCorrupt, StoreError
from codemem.model.store import maintenance
from codemem.model.store.buffer import WriteBuffer
from codemem.model.store.catalogue import Catalogue, EntryRow, now_s
from codemem.model.store.columns import Columns, columns_of, offsets_of, parts_of
from codemem.model.store.directory import StoreDirectory
from codemem.model.store.loading import load_checked
from codemem.model.store.opening import OnEvent
from codemem.model.store.records import CleanReport, LoadedEntries, StoreEvent, StoreOptions, StoreStats, VerifyReport
from codemem.model.store.segment import SegmentDamagedError, check_layout

ATTEMPTS = 8
"""Tries of a load that finds the store changed or damaged under it; each one drops or repairs something."""
STAMP_SECONDS = 60.0
"""Stamps of use are written this often, beside every flush."""


class Store:
    """Entries of one layout in a store directory. Threads may share it; processes open it once each (not over a fork).

    `open` makes one. Use it as a context manager, or call `close`: it writes what is buffered.
    """

    def __init__(self, directory: StoreDirectory, layout: EntryLayout, size_limit_bytes: int | None) -> None:
        """Use `open`."""
        self.directory = directory
        self.layout = layout
        self._size_limit = size_limit_bytes
        self._parts = tuple(parts_of(layout))
        self._buffer = WriteBuffer()
        self._used: set[bytes] = set()
        self._stamped_at = time.monotonic()
        self._ignored: set[bytes] = set()
        """Corrupt entries of a read-only store, which cannot be dropped."""
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
        `size_limit_bytes` (of segment files), the least recently used entries of all layouts make room for new ones.
        Raises StoreError for a foreign directory, a newer format, or one that cannot be read (or written, unless
        `read_only`).
        """
        check_layout(layout)
        opened = StoreDirectory.open(directory, read_only=read_only, options=options, on_event=on_event)
        try:
            opened.retry(lambda catalogue: catalogue.layout_number(layout))
        except BaseException:
            opened.close()
            raise
        return cls(opened, layout, size_limit_bytes)

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
        options = self.directory.options
        self.directory.check_writable()
        columns = columns_of(self.layout, entries, check_finite=options.check_finite)
        if columns is None:
            return
        with self.directory.mutex:
            if self._buffer.nbytes >= 2 * options.segment_bytes:
                self.flush()  # an earlier one failed: the buffer must not grow without bounds
            self._buffer.add(columns)
            if (
                self._buffer.nbytes >= options.segment_bytes
                or len(self._buffer.keys) >= options.segment_entries
                or self._buffer.age_s >= options.segment_seconds
            ):
                self.flush()

    def flush(self) -> None:
        """Makes everything appended so far durable. Raises StoreError when it cannot; the buffer stays then."""
        with self.directory.mutex:
            self.directory.check_writable()
            if self._buffer:
                with self.directory.writing():
                    self.directory.retry(self._write)
                self._buffer.clear()
            self._write_stamps()

    def discard_buffer(self) -> None:
        """Forgets what is not written yet, for who goes on although `flush` failed: `close` would fail again."""
        with self.directory.mutex:
            self._buffer.clear()

    def _write(self, catalogue: Catalogue) -> None:
        """Segment first, rows after: a kill in between leaves a file that the next open adopts."""
        columns, keys = self._buffer.columns(), self._buffer.columns().key_list()
        number = catalogue.layout_number(self.layout)
        known = catalogue.present(number, keys) if number is not None else set()
        if len(known) == len(keys):
            return
        columns = columns.select(np.array([key not in known for key in keys]))
        folder, options, on_event = self.directory.folder, self.directory.options, self.directory.on_event
        name, size = folder.write(self.layout, columns)
        try:
            with catalogue.transaction():
                catalogue.add_segment(catalogue.add_layout(self.layout), name, size, columns, now=now_s())
        except StoreError:
            folder.remove(name)
            raise
        maintenance.keep_small(catalogue, folder, self._size_limit, options, on_event)

    def _write_stamps(self) -> None:
        """Best effort: without stamps, eviction is only less well informed."""
        used, self._used, self._stamped_at = self._used, set(), time.monotonic()
        if used and not self.directory.read_only:

            def stamp(catalogue: Catalogue) -> None:
                number = catalogue.layout_number(self.layout)
                if number is not None:
                    catalogue.stamp(number, used, now_s())

            with contextlib.suppress(StoreError):
                self.directory.retry(stamp)

    def close(self) -> None:
        """Writes what is buffered and closes. Raises StoreError when the buffer cannot be written; it is lost then."""
        with self.directory.mutex:
            if self._closed:
                return
            self._closed = True
            try:
                if not self.directory.read_only:
                    self.flush()
            finally:
                self.directory.close()

    # Reading

    def has(self, keys: Iterable[bytes]) -> set[bytes]:
        """Those of the keys that are stored or buffered."""
        with self.directory.mutex, self.directory.errors():
            wanted = set(keys)
            buffered = wanted & self._buffer.keys
            rest = list(wanted - buffered - self._ignored)
            return buffered | self.directory.retry(lambda catalogue: self._present(catalogue, rest))

    def _present(self, catalogue: Catalogue, keys: Sequence[bytes]) -> set[bytes]:
        number = catalogue.layout_number(self.layout)
        return set() if number is None else catalogue.present(number, keys)

    def load(self, keys: Sequence[bytes], *, parts: Sequence[str] | None = None) -> LoadedEntries:
        """Entries in the order of `keys`, each tensor as one array [chunks of all, width].

        `parts` limits it to tensors of some parts ('route' for 'route.11'), which are then also the only ones checked.
        What is missing, or found corrupt and dropped now, has no rows and is named in the result.
        """
        chosen = self._parts if parts is None else tuple(parts)
        unknown = set(chosen) - set(self._parts)
        if unknown:
            raise ValueError(f"the layout has no part {', '.join(sorted(unknown))}: it has {', '.join(self._parts)}")
        with self.directory.mutex, self.directory.errors():
            if not self._buffer.keys.isdisjoint(keys):
                self.flush()
            corrupt: dict[bytes, None] = {}
            for _ in range(ATTEMPTS):
                loaded = self.directory.retry(lambda catalogue: self._load_once(catalogue, keys, chosen, corrupt))
                if loaded is not None:
                    return loaded
            raise StoreError(f"the store in {self.directory.path} keeps changing while it is read: try again")

    def read(self, key: bytes) -> Entry:
        """One entry. Raises KeyError when it is not stored, EntryCorrupt when it was and is damaged (dropped now)."""
        loaded = self.load([key])
        if loaded.corrupt:
            raise EntryCorrupt(f"entry {key.hex()[:12]} was damaged on disk and has been dropped: encode it again")
        if loaded.missing:
            raise KeyError(key)
        return Entry(key, int(loaded.tokens[0]), loaded.chunk_ends, loaded.tensors)

    def _load_once(
        self, catalogue: Catalogue, keys: Sequence[bytes], parts: Sequence[str], corrupt: dict[bytes, None]
    ) -> LoadedEntries | None:
        """None when something was found bad, and dropped: look again."""
        number = catalogue.layout_number(self.layout)
        wanted = [key for key in dict.fromkeys(keys) if key not in self._ignored]
        found = {} if number is None else catalogue.lookup(number, wanted)
        rows = [found[key] for key in keys if key in found]
        try:
            columns, mapped, bad = load_checked(self.directory.segment, self.layout, parts, rows)
        except SegmentDamagedError as lost:
            self._drop(catalogue, [row for row in rows if row.segment == lost.number], corrupt, str(lost))
            return None
        if bad:
            self._drop(catalogue, [rows[at] for at in bad], corrupt, "they do not match their checksums")
            return None
        self._after_load(catalogue, rows)
        return _loaded(keys, found, columns, corrupt=tuple(corrupt), mapped=mapped)

    def _drop(self, catalogue: Catalogue, rows: Sequence[EntryRow], corrupt: dict[bytes, None], why: str) -> None:
        """Forgets entries that cannot be read; if compaction has only moved them, they stay."""
        number = catalogue.layout_number(self.layout)
        if number is None:
            return
        current = catalogue.lookup(number, list({row.key for row in rows}))
        gone = [row for row in rows if row.key in current and current[row.key].segment == row.segment]
        keys = tuple(dict.fromkeys(row.key for row in gone))
        if not keys:
            return
        corrupt.update(dict.fromkeys(keys))
        if self.directory.read_only:
            self._ignored.update(keys)
        else:
            catalogue.drop(number, gone)
        named = ", ".join(key.hex()[:12] for key in keys[:3]) + (", ..." if len(keys) > 3 else "")
        self.directory.on_event(StoreEvent("corrupt", f"{len(keys)} entries dropped ({named}): {why}", keys))

    def _after_load(self, catalogue: Catalogue, rows: Sequence[EntryRow]) -> None:
        now, interval = now_s(), self.directory.options.stamp_interval_s
        self._used.update(row.key for row in rows if abs(now - row.used_at) >= interval)
        if time.monotonic() - self._stamped_at >= STAMP_SECONDS:
            self._write_stamps()
        self.directory.tidy({row.segment for row in rows})

    # The store as a whole

    def stats(self) -> StoreStats:
        """As `StoreDirectory.stats`: of all layouts; what is buffered is not counted."""
        return self.directory.stats()

    def verify(self, *, full: bool = False) -> VerifyReport:
        """As `StoreDirectory.verify`."""
        return self.directory.verify(full=full)

    def compact(self) -> None:
        """As `StoreDirectory.compact`."""
        self.directory.compact()

    def clean(
        self,
        *,
        everything: bool = False,
        unused_since: float | None = None,
        fingerprints: Collection[str] | None = None,
    ) -> CleanReport:
        """As `StoreDirectory.clean`; with `everything`, what is buffered goes too."""
        with self.directory.mutex:
            if everything:
                self._buffer.clear()
            self._write_stamps()
            return self.directory.clean(everything=everything, unused_since=unused_since, fingerprints=fingerprints)


def _loaded(
    keys: Sequence[bytes], found: dict[bytes, EntryRow], columns: Columns, *, corrupt: tuple[bytes, ...], mapped: bool
) -> LoadedEntries:
    rows = [found.get(key) for key in keys]
    return LoadedEntries(
        keys=tuple(keys),
        offsets=offsets_of(np.array([row.chunks if row else 0 for row in rows], np.int64)),
        tokens=np.array([row.tokens if row else 0 for row in rows], np.uint32),
        chunk_ends=columns.chunk_ends,
        tensors=columns.tensors,
        missing=tuple(dict.fromkeys(key for key in keys if key not in found)),
        corrupt=corrupt,
        mapped=mapped,
    )
