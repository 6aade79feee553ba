"""The catalogue: where every entry lies. It can be rebuilt from the segments.

Every row that says where something lies carries a checksum of its own (`row_check`). A row that fails it, like a
database that SQLite finds malformed, raises CatalogueDamagedError; the store then rebuilds the catalogue.
"""

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
from codemem.model.store.database import CatalogueDamagedError, Database, expect, reading, sqlite_errors
from codemem.model.store.header import Identity
from codemem.model.store.segment import layout_from_json, layout_to_json

BATCH = 500
"""Keys a statement: below the 999 variables that older SQLite builds allow."""
FUTURE_S = 86_400
"""A stamp further ahead than this came from a clock that was wrong."""


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


class Catalogue(Database):
    """The tables of a catalogue. Not thread-safe: the store serialises its calls."""

    def __init__(self, connection: sqlite3.Connection, path: Path, identity: Identity | None) -> None:
        super().__init__(connection, path, identity)
        self._segments: dict[int, SegmentRow] = {}

    # Layouts

    def layouts(self) -> dict[int, EntryLayout]:
        """All layouts by their number."""
        result: dict[int, EntryLayout] = {}
        with reading(self.path):
            rows = self._db.execute("SELECT id, fingerprint, layout, row_check FROM layouts").fetchall()
            for number, fingerprint, text, check in rows:
                expect(_check(number, fingerprint, text) == check, "a layout does not match its checksum")
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
        with reading(self.path):
            rows = self._db.execute(
                "SELECT id, name, layout, entries, chunks, bytes, row_check FROM segments"
            ).fetchall()
            for *fields, check in rows:
                expect(_check(*fields) == check, "a segment's row does not match its checksum")
        self._segments = {row[0]: SegmentRow(*row[:6]) for row in rows}
        return self._segments

    def find_segment(self, number: int) -> SegmentRow | None:
        """One segment, None once it is compacted away; numbers are never used again, so what was read stays true."""
        return self._segments.get(number) or self.segments().get(number)

    def segment(self, number: int) -> SegmentRow:
        """A segment that rows point to, for who holds the lock: its absence is damage then."""
        row = self.find_segment(number)
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
        number = self._one(
            "SELECT 1 + max(coalesce((SELECT max(seq) FROM sqlite_sequence WHERE name = 'segments'), 0), "
            "coalesce((SELECT max(id) FROM segments), 0))"
        )
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

        Their order is a counter, so that a clock that jumps cannot turn it round; the time is for people and never
        moves back.
        """
        with self.transaction():
            sequence = self._tick()
            self._db.executemany(
                "UPDATE entries SET used_sequence = ?, used_at = max(CAST(used_at AS INTEGER), ?) "
                "WHERE layout = ? AND key = ?",
                [(sequence, int(now), layout, key) for key in keys],
            )

    def entries_of(self, segments: Sequence[int]) -> list[EntryRow]:
        """The live entries of some segments, in the order of the files."""
        return [row for number in sorted(segments) for _, row in self._rows("WHERE segment = ? ORDER BY first", number)]

    def oldest_first(self) -> list[tuple[int, EntryRow]]:
        """All entries with their layout's number, the least recently used first."""
        return self._rows("ORDER BY CAST(used_sequence AS INTEGER), layout, key")

    def _rows(self, clause: str, *values: object) -> list[tuple[int, EntryRow]]:
        columns = "layout, key, segment, first, chunks, tokens, checksums, CAST(used_at AS INTEGER), row_check"
        statement = f"SELECT {columns} FROM entries {clause}"  # noqa: S608 - clauses are this file's own
        result = []
        with reading(self.path):
            for layout, key, segment, first, chunks, tokens, sums, used, check in self._db.execute(statement, values):
                expected = _entry_check(key, sums, layout, segment, first, chunks, tokens)
                expect(expected == check, "an entry's row does not match its checksum")
                result.append((layout, EntryRow(key, segment, first, chunks, tokens, sums, used)))
        return result

    def live_chunks(self) -> dict[int, int]:
        """Segment -> chunks of its live entries; segments without one are absent."""
        with reading(self.path):
            rows = self._db.execute("SELECT segment, sum(chunks) FROM entries GROUP BY segment").fetchall()
            return {int(number): int(chunks) for number, chunks in rows}

    def segment_bytes(self) -> int:
        """Bytes of all segment files."""
        return sum(row.bytes for row in self.segments().values())

    def count(self) -> int:
        """Entries of all layouts."""
        with sqlite_errors(self.path):
            return self._one("SELECT count(*) FROM entries")

    def totals(self) -> dict[int, tuple[int, int, int]]:
        """Layout -> entries, chunks, tokens."""
        with reading(self.path):
            rows = self._db.execute(
                "SELECT layout, count(*), sum(chunks), sum(tokens) FROM entries GROUP BY layout"
            ).fetchall()
            return {int(row[0]): (int(row[1]), int(row[2]), int(row[3])) for row in rows}

    def drop_unused(self, since: int, now: int) -> int:
        """Forgets entries last used before `since`. Stamps from a clock that ran ahead become now. In a transaction."""
        self._db.execute("UPDATE entries SET used_at = ?1 WHERE CAST(used_at AS INTEGER) > ?1 + ?2", (now, FUTURE_S))
        return self._db.execute("DELETE FROM entries WHERE CAST(used_at AS INTEGER) < ?", (since,)).rowcount

    def drop_layout(self, number: int) -> None:
        """Forgets a layout and all of its segments. Within a transaction."""
        for row in list(self.segments().values()):
            if row.layout == number:
                self.doom_segment(row.id)
        self._db.execute("DELETE FROM layouts WHERE id = ?", (number,))

    def integrity(self, *, full: bool) -> list[str]:
        """What is wrong with the database or with any row. May also raise CatalogueDamagedError."""
        with reading(self.path):
            check = "PRAGMA integrity_check(3)" if full else "PRAGMA quick_check(3)"
            found = [str(text) for (text,) in self._db.execute(check) if text != "ok"]
        layouts, segments = self.layouts(), self.segments()
        found += [f"segment {row.name} has no layout" for row in segments.values() if row.layout not in layouts]
        lost = sum(
            row.segment not in segments or segments[row.segment].layout != layout for layout, row in self._rows("")
        )
        return found + ([f"{lost} entries have no segment"] if lost else [])

    def _tick(self) -> int:
        self._db.execute("UPDATE clock SET sequence = sequence + 1")
        return self._one("SELECT sequence FROM clock")


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
