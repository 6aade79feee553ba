"""A store's directory, opened: its catalogue, its segments and its lock. What concerns all layouts is done here."""

import contextlib
import threading
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from codemem.model.errors import StoreError
from codemem.model.store import maintenance
from codemem.model.store.catalogue import Catalogue
from codemem.model.store.checking import check_store
from codemem.model.store.database import CatalogueDamagedError
from codemem.model.store.folder import SegmentFolder
from codemem.model.store.opening import (
    CATALOGUE,
    KNOWN_FILES,
    OLD_CATALOGUE,
    SEGMENTS,
    OnEvent,
    StoreLock,
    os_error,
    prepare,
    read_only_catalogue,
    rebuild_catalogue,
    recognise,
)
from codemem.model.store.records import CleanReport, StoreEvent, StoreOptions, StoreStats, VerifyReport
from codemem.model.store.segment import Segment, SegmentDamagedError
from codemem.model.store.statistics import statistics_of

T = TypeVar("T")


def _silent(event: StoreEvent) -> None:
    """The default for `on_event`."""


class StoreDirectory:
    """The store as a whole, whatever its layouts: `codemem status` and `codemem clean` need no model for it.

    Threads may share it; processes open it once each (never across a fork).
    """

    def __init__(
        self, directory: str | Path, *, read_only: bool, options: StoreOptions | None, on_event: OnEvent | None
    ):
        """Use `open`."""
        self.path = Path(directory).absolute()
        self.read_only = read_only
        self.options = options or StoreOptions()
        self.on_event = on_event or _silent
        self.folder = SegmentFolder(self.path / SEGMENTS)
        self.lock = StoreLock(self.path, self.options.lock_timeout_s)
        self.mutex = threading.RLock()
        self._catalogue: Catalogue | None = None
        self._substitute_for: tuple[int, int] | None = None
        """The state of a file that could not be used, while a catalogue in memory stands in for it."""
        self._seen_version = -1
        self._closed = False

    @classmethod
    def open(
        cls,
        directory: str | Path,
        *,
        read_only: bool = False,
        options: StoreOptions | None = None,
        on_event: OnEvent | None = None,
    ) -> Self:
        """Opens the store, makes it where there is nothing yet, and recovers what an interrupted process left.

        Raises StoreError for a foreign directory, a newer format, or one that cannot be read (or written, unless
        `read_only`).
        """
        store = cls(directory, read_only=read_only, options=options, on_event=on_event)
        with store.errors():
            known = recognise(store.path)
            if read_only and not known:
                raise StoreError(f"there is no store in {store.path} to read")
            if not read_only:
                prepare(store.path, store.lock)
                store._recover()
            store.retry(lambda catalogue: catalogue.layouts())
        return store

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the catalogue; the last process to do so folds SQLite's write-ahead log into it."""
        with self.mutex:
            self._closed = True
            self.folder.forget(self.folder.known())
            self._close_catalogue()

    # Access, with the errors that call for a repair repaired

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Turns what the operating system refuses into StoreError."""
        try:
            yield
        except OSError as error:
            raise os_error(self.path, error) from error

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Around everything that changes files: mutex and inter-process lock."""
        with self.mutex, self.errors():
            self.check_writable()
            with self.lock.held():
                yield

    def check_writable(self) -> None:
        """Raises StoreError on a store that is closed or open for reading only."""
        if self._closed:
            raise StoreError(f"the store in {self.path} is closed")
        if self.read_only:
            raise StoreError(f"the store in {self.path} is open for reading only")

    def catalogue(self) -> Catalogue:
        """The catalogue that stands now: another process may have rebuilt it."""
        if self._closed:
            raise StoreError(f"the store in {self.path} is closed")
        if self._catalogue is not None and (self._catalogue.replaced() or self._substitute_for != self._file_state()):
            self._close_catalogue()
        if self._catalogue is None:
            self._catalogue = Catalogue.open(self.path / CATALOGUE, read_only=self.read_only)
        return self._catalogue

    def _file_state(self) -> tuple[int, int] | None:
        """Tells states of the file apart for a reader that goes without it; None while the file itself is in use."""
        if self._catalogue is None or not self._catalogue.is_substitute:
            return None
        try:
            status = (self.path / CATALOGUE).stat()
        except FileNotFoundError:
            return (0, 0)
        return (status.st_ino, status.st_mtime_ns)

    def _close_catalogue(self) -> None:
        if self._catalogue is not None:
            self._catalogue.close()
        self._catalogue, self._substitute_for = None, None

    def retry(self, operation: Callable[[Catalogue], T]) -> T:
        """Runs an operation; when the catalogue proves damaged, rebuilds it and runs the operation once more."""
        try:
            return operation(self.catalogue())
        except CatalogueDamagedError:
            damaged = self._catalogue
        except StoreError:
            if not self.read_only or self._catalogue is not None:
                raise
            damaged = None  # nobody may write here, not even SQLite its index of the log
        if self.read_only:
            self._close_catalogue()
            self._catalogue = read_only_catalogue(self.path, self.folder, self.on_event)
            self._substitute_for = self._file_state()
            return operation(self._catalogue)
        with self.lock.held():
            if damaged is None or damaged.replaced():  # another process may have mended it meanwhile
                try:
                    return operation(self.catalogue())
                except CatalogueDamagedError:
                    pass
            self.rebuild()
            return operation(self.catalogue())

    def rebuild(self) -> None:
        """Makes the catalogue anew from the segments. Holds the lock."""
        self._close_catalogue()
        rebuild_catalogue(self.path, self.folder, self.on_event)

    def _recover(self) -> None:
        """A process that holds the lock is at work on what looks left over: it is not waited for."""
        if not (self.path / CATALOGUE).exists():
            with self.lock.held():
                if not (self.path / CATALOGUE).exists():
                    self.rebuild()
        if self.retry(lambda catalogue: maintenance.unclean(catalogue, self.folder)) and self.lock.try_acquire():
            try:
                self.retry(lambda catalogue: maintenance.recover(catalogue, self.folder, self.on_event))
            finally:
                self.lock.release()

    def segment(self, number: int) -> Segment:
        """An open segment. Raises SegmentDamagedError, with its number, when the file is gone or beyond reading."""
        row = self.catalogue().find_segment(number)
        if row is None:
            raise SegmentDamagedError("its segment has no row", number)
        try:
            return maintenance.open_segment(self.catalogue(), self.folder, number)
        except FileNotFoundError as error:
            raise SegmentDamagedError(f"segment {row.name} is gone", number) from error
        except SegmentDamagedError as error:
            raise SegmentDamagedError(str(error), number) from error

    def tidy(self, numbers: Collection[int]) -> None:
        """After a load: lets go of segments compacted away, and rewrites those used that need it, if nobody else is."""
        catalogue = self.catalogue()
        version = catalogue.data_version()
        if version != self._seen_version:
            self._seen_version = version
            self.folder.forget(self.folder.known() - {row.name for row in catalogue.segments().values()})
        rows = map(catalogue.find_segment, numbers)
        damaged = [row for row in rows if row is not None and self.folder.is_damaged(row.name)]
        if damaged and not self.read_only and self.lock.try_acquire():
            try:
                with contextlib.suppress(StoreError, OSError):  # the load itself has worked; the next one tries again
                    maintenance.compact(catalogue, self.folder, damaged, self.options, self.on_event)
            finally:
                self.lock.release()

    # What users ask of the store as a whole

    def stats(self) -> StoreStats:
        """Bytes, entries, chunks and tokens, in all and by layout and part."""
        with self.mutex, self.errors():
            return self.retry(lambda catalogue: statistics_of(catalogue, self.path, KNOWN_FILES))

    def verify(self, *, full: bool = False) -> VerifyReport:
        """Checks the catalogue, and every segment's header, index and rows; with `full`, every entry's bytes.

        What is wrong is repaired where that is possible and dropped where not, unless the store is read-only.
        """
        if self.read_only:
            with self.mutex, self.errors():
                return check_store(self, full=full)
        with self.writing():
            return check_store(self, full=full)

    def compact(self) -> None:
        """Rewrites segments that are less than half alive, and merges small ones if there are many."""
        with self.writing():
            self.retry(lambda db: maintenance.compact_sparse(db, self.folder, self.options, self.on_event))

    def clean(
        self,
        *,
        everything: bool = False,
        unused_since: float | None = None,
        fingerprints: Collection[str] | None = None,
    ) -> CleanReport:
        """Removes entries: all, those not used since a time (Unix seconds), those of some layouts. One of the three."""
        if sum((everything, unused_since is not None, fingerprints is not None)) != 1:
            raise ValueError("say what to clean: everything, unused_since or fingerprints")
        with self.writing():
            before = self.retry(lambda db: (db.count(), db.segment_bytes()))
            if unused_since is not None:
                since = unused_since
                self.retry(lambda db: maintenance.drop_unused(db, self.folder, since, self.options, self.on_event))
            else:
                chosen = None if fingerprints is None else set(fingerprints)
                self.retry(lambda db: maintenance.drop_layouts(db, self.folder, chosen))
                if everything:
                    (self.path / OLD_CATALOGUE).unlink(missing_ok=True)
            after = self.retry(lambda db: (db.count(), db.segment_bytes()))
            report = CleanReport(before[0] - after[0], before[1] - after[1])
            self.on_event(StoreEvent("cleaned", f"{report.entries} entries removed, {report.bytes} bytes freed"))
            return report


def remove_store(directory: str | Path) -> bool:
    """Removes a store with its directory; False when there is none. Files that are not the store's stay.

    Raises StoreError for a foreign directory. Processes that have the store open fail with StoreError afterwards.
    """
    path = Path(directory).absolute()
    if not recognise(path):
        return False
    with StoreLock(path, StoreOptions().lock_timeout_s).held():
        folder = SegmentFolder(path / SEGMENTS)
        try:
            if folder.path.is_dir():
                for file in (*(folder.path / name for name in folder.names()), *folder.temporaries()):
                    file.unlink(missing_ok=True)
                folder.path.rmdir()
            for name in KNOWN_FILES:
                (path / name).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # something else lies in it, or a mount point
                path.rmdir()
        except OSError as error:
            raise os_error(path, error) from error
    return True
