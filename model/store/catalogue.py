"""The catalogue: an SQLite database (WAL) that says where every entry lies. It can be rebuilt from the segments.

Every row that says where something lies carries a checksum of its own (`row_check`). A row that fails it, like a
database that SQLite finds malformed, raises CatalogueDamagedError; the store then rebuilds the catalogue.
"""

import contextlib
import os
import sqlite3
import struct
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import xxhash

from codemem.model.entry import EntryLayout
from codemem.model.errors import StoreError
from codemem.model.store.columns import Columns
from codemem.model.store.segment import layout_from_json, layout_to_json

APPLICATION_ID = 0x636D656D
SCHEMA_VERSION = 1
BUSY_TIMEOUT_S = 30.0
BATCH = 500
"""Keys a statement: below the 999 variables that older SQLite builds allow."""
FUTURE_S = 86_400
"""A stamp further ahead than this came from a clock that was wrong."""

SCHEMA = """
CREATE TABLE layouts (
    id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL UNIQUE, layout TEXT NOT NULL, row_check BLOB NOT NULL);
CREATE TABLE segments (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, layout INTEGER NOT NULL, entries INTEGER NOT NULL,
    chunks INTEGER NOT NULL, bytes INTEGER NOT NULL, row_check BLOB NOT NULL);
CREATE TABLE entries (
    layout INTEGER NOT NULL, key BLOB NOT NULL, segment INTEGER NOT NULL, first INTEGER NOT NULL,
    chunks INTEGER NOT NULL, tokens INTEGER NOT NULL, checksums BLOB NOT NULL, row_check BLOB NOT NULL,
    used_sequence INTEGER NOT NULL, used_at INTEGER NOT NULL, PRIMARY KEY (layout, key)) WITHOUT ROWID;
CREATE INDEX entries_by_segment ON entries (segment);
CREATE TABLE doomed (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE clock (id INTEGER PRIMARY KEY CHECK (id = 1), sequence INTEGER NOT NULL);
INSERT INTO clock VALUES (1, 0);
"""


class CatalogueDamagedError(StoreError):
    """The catalogue is malformed; rebuild it from the segments."""


@dataclass(frozen=True, slots=True)
class EntryRow:
    """Where an entry lies."""

    key: bytes
    segment: int
    first: int
    """Row of the entry's first chunk in the segment."""
    chunks: int
    tokens: int
    checksums: bytes
    """Little-endian uint64 a part."""
    used_at: int
    """Unix seconds."""


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """A segment as the catalogue knows it."""

    id: int
    name: str
    layout: int
    entries: int
    chunks: int
    bytes: int


def _check(*fields: int | bytes | str) -> bytes:
    """Checksum of a row's fields. Raises struct.error or TypeError on a field of another type than was written."""
    digest = xxhash.xxh3_64()
    for field in fields:
        digest.update(struct.pack("<q", field) if isinstance(field, int) else _bytes(field))
    return digest.digest()


def _bytes(field: bytes | str) -> bytes:
    return field.encode() if isinstance(field, str) else field


def _entry_check(key: bytes, checksums: bytes, *numbers: int) -> bytes:
    """Over key, checksums and: layout, segment, first, chunks, tokens."""
    return xxhash.xxh3_64_digest(struct.pack("<qqqqq", *numbers) + key + checksums)


def _expect(condition: bool, what: str) -> None:
    if not condition:
        raise CatalogueDamagedError(f"the store's catalogue is damaged: {what}")


@contextlib.contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Turns SQLite's errors into StoreError, and those that mean damage into CatalogueDamagedError."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        schema_lost = any(sign in str(error) for sign in ("no such table", "no such column", "decode to UTF-8"))
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or schema_lost:
            raise CatalogueDamagedError(f"the store's catalogue is damaged: {error}") from error
        if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
            message = f"no space left for the store in {path.parent}: free some, or run `codemem clean` ({error})"
        elif code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
            message = f"the store in {path.parent} cannot be written: check its owner and permissions ({error})"
        elif code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            message = f"the store in {path.parent} is busy with another process: try again ({error})"
        else:
            message = f"the store's catalogue in {path.parent} failed: {error}"
        raise StoreError(message) from error


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Around statements whose values are unpacked: one of another type than was written means damage, too."""
    with sqlite_errors(path):
        try:
            yield
        except (struct.error, OverflowError, TypeError, ValueError, KeyError, AttributeError) as error:
            raise CatalogueDamagedError(f"the store's catalogue holds a value of the wrong type: {error}") from error


def create_catalogue(path: Path) -> None:
    """Makes an empty catalogue in a new file of mode 0600."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    with sqlite_errors(path), contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(
            f"PRAGMA journal_mode = WAL; BEGIN; PRAGMA application_id = {APPLICATION_ID}; "
            f"PRAGMA user_version = {SCHEMA_VERSION}; {SCHEMA} COMMIT;"
        )


class Catalogue:
    """A connection to one catalogue file. Not thread-safe: the store serialises its calls."""

    def __init__(self, connection: sqlite3.Connection, path: Path, identity: tuple[int, int] | None) -> None:
        self._db = connection
        self.path = path
        self._identity = identity
        self._segments: dict[int, SegmentRow] = {}

    @classmethod
    def open(cls, path: Path, *, read_only: bool) -> "Catalogue":
        """Raises StoreError when the file cannot be opened, CatalogueDamagedError when it is no catalogue of ours."""
        if not path.exists():
            raise CatalogueDamagedError(f"the store's catalogue {path} is gone")
        mode = "ro" if read_only else "rw"
        uri = f"{path.absolute().as_uri()}?mode={mode}"
        with sqlite_errors(path):
            connection = sqlite3.connect(
                uri, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_S
            )
        try:
            status = path.stat()
            catalogue = cls(connection, path, (status.st_dev, status.st_ino))
            with sqlite_errors(path):
                connection.execute("PRAGMA synchronous = NORMAL")
                identity = catalogue._one("PRAGMA application_id"), catalogue._one("PRAGMA user_version")
                catalogue._one("SELECT count(*) FROM sqlite_master")
            _expect(identity == (APPLICATION_ID, SCHEMA_VERSION), "its identity is not codemem's")
        except BaseException:
            connection.close()
            raise
        return catalogue

    @classmethod
    def in_memory(cls, path: Path) -> "Catalogue":
        """An empty catalogue of this process, in place of one at `path` that cannot be opened."""
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        connection.executescript(SCHEMA)
        return cls(connection, path, None)

    def replaced(self) -> bool:
        """Whether another file stands under the name now."""
        if self._identity is None:
            return False
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return True
        return (status.st_dev, status.st_ino) != self._identity

    def close(self) -> None:
        """Closes the connection; the last one of all processes folds the WAL into the file."""
        self._db.close()

    def _one(self, statement: str, *values: object) -> int:
        row = self._db.execute(statement, values).fetchone()
        _expect(row is not None and isinstance(row[0], int), "a value is missing")
        return int(row[0])

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, and durable against a kill when it ends."""
        with sqlite_errors(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        """Several reads that see one state."""
        with sqlite_errors(self.path):
            self._db.execute("BEGIN")
            try:
                yield
            finally:
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")

    # Layouts

    def layouts(self) -> dict[int, EntryLayout]:
        """All layouts by their number."""
        result: dict[int, EntryLayout] = {}
        with _reading(self.path):
            rows = self._db.execute("SELECT id, fingerprint, layout, row_check FROM layouts").fetchall()
            for number, fingerprint, text, check in rows:
                _expect(_check(number, fingerprint, text) == check, "a layout does not match its checksum")
                result[number] = layout_from_json(text)
        return result

    def layout_number(self, layout: EntryLayout) -> int | None:
        """The number of a layout. Raises StoreError when its fingerprint stands for other tensors."""
        for number, known in self.layouts().items():
            if known.fingerprint == layout.fingerprint:
                if known != layout:
                    raise StoreError(
                        f"the store holds entries of fingerprint {layout.fingerprint[:12]} with other tensors: "
                        "a fingerprint must cover the storage format"
                    )
                return number
        return None

    def add_layout(self, layout: EntryLayout) -> int:
        """The number of a layout, given now if it has none."""
        number = self.layout_number(layout)
        if number is None:
            number = self._one("SELECT coalesce(max(id), 0) + 1 FROM layouts")
            text = layout_to_json(layout)
            row = (number, layout.fingerprint, text, _check(number, layout.fingerprint, text))
            self._db.execute("INSERT INTO layouts VALUES (?, ?, ?, ?)", row)
        return number

    # Segments

    def segments(self) -> dict[int, SegmentRow]:
        """All segments by their number."""
        with _reading(self.path):
            rows = self._db.execute(
                "SELECT id, name, layout, entries, chunks, bytes, row_check FROM segments"
            ).fetchall()
            for *fields, check in rows:
                _expect(_check(*fields) == check, "a segment's row does not match its checksum")
        self._segments = {row[0]: SegmentRow(*row[:6]) for row in rows}
        return self._segments

    def segment(self, number: int) -> SegmentRow:
        """One segment; numbers are never used again, so what was read once stays true."""
        row = self._segments.get(number) or self.segments().get(number)
        if row is None:
            raise CatalogueDamagedError(f"the store's catalogue is damaged: segment {number} has no row")
        return row

    def add_segment(self, layout: int, name: str, size: int, columns: Columns, *, now: float) -> int:
        """Adds a segment and those of its entries that have no row yet. Within a transaction. Returns its number."""
        number = self._add_segment_row(layout, name, size, columns)
        sequence = self._tick()
        rows = [(*row, sequence, int(now)) for row in _entry_rows(layout, number, columns)]
        self._db.executemany("INSERT OR IGNORE INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        return number

    def move_entries(self, layout: int, name: str, size: int, columns: Columns) -> int:
        """Adds a segment and points existing rows at it; rows dropped meanwhile stay dropped. Within a transaction."""
        number = self._add_segment_row(layout, name, size, columns)
        rows = [(seg, first, sums, check, lay, key) for lay, key, seg, first, _, _, sums, check in
                _entry_rows(layout, number, columns)]  # fmt: skip
        self._db.executemany(
            "UPDATE entries SET segment = ?, first = ?, checksums = ?, row_check = ? WHERE layout = ? AND key = ?", rows
        )
        return number

    def _add_segment_row(self, layout: int, name: str, size: int, columns: Columns) -> int:
        self._db.execute("DELETE FROM doomed WHERE name = ?", (name,))
        last = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'segments'").fetchone()
        number = int(last[0]) + 1 if last else 1
        fields = (number, name, layout, len(columns), len(columns.chunk_ends), size)
        self._db.execute("INSERT INTO segments VALUES (?, ?, ?, ?, ?, ?, ?)", (*fields, _check(*fields)))
        return number

    def doom_segment(self, number: int) -> None:
        """Removes a segment with what entries it has left; its file is to be unlinked after the commit."""
        self._db.execute("DELETE FROM entries WHERE segment = ?", (number,))
        self._db.execute("INSERT OR IGNORE INTO doomed SELECT name FROM segments WHERE id = ?", (number,))
        self._db.execute("DELETE FROM segments WHERE id = ?", (number,))
        self._segments.pop(number, None)

    def doomed(self) -> list[str]:
        """Files to unlink: their rows are gone already."""
        with sqlite_errors(self.path):
            return [str(name) for (name,) in self._db.execute("SELECT name FROM doomed")]

    def buried(self, names: Iterable[str]) -> None:
        """These files are unlinked."""
        with self.transaction():
            self._db.executemany("DELETE FROM doomed WHERE name = ?", [(name,) for name in names])

    # Entries

    def present(self, layout: int, keys: Sequence[bytes]) -> set[bytes]:
        """Those of the keys that have a row."""
        found: set[bytes] = set()
        with sqlite_errors(self.path):
            for at in range(0, len(keys), BATCH):
                batch = keys[at : at + BATCH]
                statement = f"SELECT key FROM entries WHERE layout = ? AND key IN ({_marks(batch)})"  # noqa: S608
                found.update(key for (key,) in self._db.execute(statement, (layout, *batch)))
        return found

    def lookup(self, layout: int, keys: Sequence[bytes]) -> dict[bytes, EntryRow]:
        """Where the keys lie, of one state of the catalogue."""
        found: dict[bytes, EntryRow] = {}
        with self.snapshot():
            for at in range(0, len(keys), BATCH):
                batch = keys[at : at + BATCH]
                rows = self._rows(f"WHERE layout = ? AND key IN ({_marks(batch)})", layout, *batch)
                found.update((row.key, row) for _, row in rows)
        return found

    def drop(self, layout: int, rows: Iterable[EntryRow]) -> None:
        """Forgets entries, unless they have been stored anew elsewhere meanwhile."""
        with self.transaction():
            self._db.executemany(
                "DELETE FROM entries WHERE layout = ? AND key = ? AND segment = ?",
                [(layout, row.key, row.segment) for row in rows],
            )

    def stamp(self, layout: int, keys: Iterable[bytes], now: float) -> None:
        """Notes that entries were used.

        Their order is a counter, so that a clock that jumps cannot turn it round; the time is for people, never moves
        back, and is set right when it lies in the future.
        """
        with self.transaction():
            sequence, stamp = self._tick(), int(now)
            self._db.executemany(
                "UPDATE entries SET used_sequence = ?1, used_at = CASE WHEN used_at > ?2 + ?3 THEN ?2 "
                "ELSE max(used_at, ?2) END WHERE layout = ?4 AND key = ?5",
                [(sequence, stamp, FUTURE_S, layout, key) for key in keys],
            )

    def entries_of(self, segments: Sequence[int]) -> list[EntryRow]:
        """The live entries of some segments, in the order of the files."""
        return [row for number in sorted(segments) for _, row in self._rows("WHERE segment = ? ORDER BY first", number)]

    def oldest_first(self) -> list[tuple[int, EntryRow]]:
        """All entries with their layout's number, the least recently used first."""
        return self._rows("ORDER BY CAST(used_sequence AS INTEGER), layout, key")

    def _rows(self, clause: str, *values: object) -> list[tuple[int, EntryRow]]:
        statement = (
            "SELECT layout, key, segment, first, chunks, tokens, checksums, CAST(used_at AS INTEGER), row_check "
            f"FROM entries {clause}"
        )
        result = []
        with _reading(self.path):
            for layout, key, segment, first, chunks, tokens, sums, used, check in self._db.execute(statement, values):
                expected = _entry_check(key, sums, layout, segment, first, chunks, tokens)
                _expect(expected == check, "an entry's row does not match its checksum")
                result.append((layout, EntryRow(key, segment, first, chunks, tokens, sums, used)))
        return result

    def live_chunks(self) -> dict[int, int]:
        """Segment -> chunks of its live entries; segments without one are absent."""
        with _reading(self.path):
            rows = self._db.execute("SELECT segment, sum(chunks) FROM entries GROUP BY segment").fetchall()
            return {int(number): int(chunks) for number, chunks in rows}

    def segment_bytes(self) -> int:
        """Bytes of all segment files."""
        return sum(row.bytes for row in self.segments().values())

    def count(self) -> int:
        """Entries of all layouts."""
        with sqlite_errors(self.path):
            return self._one("SELECT count(*) FROM entries")

    def _tick(self) -> int:
        self._db.execute("UPDATE clock SET sequence = sequence + 1")
        return self._one("SELECT sequence FROM clock")

    def data_version(self) -> int:
        """A number that changes when another connection has committed."""
        with sqlite_errors(self.path):
            return self._one("PRAGMA data_version")


def _marks(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))


def _entry_rows(
    layout: int, segment: int, columns: Columns
) -> Iterator[tuple[int, bytes, int, int, int, int, bytes, bytes]]:
    sums = columns.checksums.astype("<u8", copy=False)
    fields = zip(columns.key_list(), columns.offsets.tolist(), columns.chunks.tolist(), columns.tokens.tolist(), sums,
                 strict=False)  # fmt: skip
    for key, first, chunks, tokens, row in fields:
        checksums = row.tobytes()
        check = _entry_check(key, checksums, layout, segment, first, chunks, tokens)
        yield layout, key, segment, first, chunks, tokens, checksums, check


def now_s() -> float:
    """Unix seconds; one place, so that tests can move the clock."""
    return time.time()
