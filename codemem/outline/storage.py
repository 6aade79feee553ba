"""An outline on disk: one SQLite file, one row a source file, so that a change rewrites only what changed."""

import json
import sqlite3
import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from codemem.outline.bodies import FileWords, checked_columns
from codemem.outline.collector import paused_collector
from codemem.outline.errors import OutlineFormatError
from codemem.outline.records import FileRecord, SymbolRecord, name_terms, scope_terms

APPLICATION_ID = 0x636D6F6C
"""'cmol', in SQLite's header: tells an outline from any other database."""
VERSION = 3
"""To be raised when records or the rules that make their terms change: stored outlines are then built anew."""

PLACE_BYTES = 4
"""Of a place in a file's words."""


def write(path: Path, changed: Iterable[FileRecord], removed: Iterable[str], *, anew: bool) -> None:
    """Store rows in one transaction; `anew` drops all earlier ones. Raises OutlineFormatError for a foreign file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _open(path) as database, database:
        if anew:
            database.execute("DELETE FROM files")
        database.executemany("DELETE FROM files WHERE path = ?", ((name,) for name in removed))
        rows = ((entry.path, entry.oid, _pack(entry), _pack_words(entry.words)) for entry in changed)
        database.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", rows)


def read(path: Path) -> list[FileRecord]:
    """All rows. Raises FileNotFoundError, or OutlineFormatError."""
    if not path.is_file():
        raise FileNotFoundError(f"no outline at {path}")
    known: dict[str, str] = {}
    try:
        with _open(path) as database, paused_collector():
            rows = database.execute("SELECT path, oid, record, words FROM files ORDER BY path")
            return [_unpack(known, *row) for row in rows]
    except (zlib.error, struct.error, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise OutlineFormatError(f"the outline at {path} is damaged: {error}") from error


@contextmanager
def _open(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(path, timeout=30)) as database:
            found, version = (
                database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
            )
            tables = database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if tables and (found, version) != (APPLICATION_ID, VERSION):
                raise OutlineFormatError(f"{path} is no outline of this version")
            if not tables:
                database.execute(
                    "CREATE TABLE files (path TEXT PRIMARY KEY, oid TEXT NOT NULL, record BLOB NOT NULL,"
                    " words BLOB NOT NULL) WITHOUT ROWID"
                )
                database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                database.execute(f"PRAGMA user_version = {VERSION}")
            yield database
    except sqlite3.DatabaseError as error:
        raise OutlineFormatError(f"the outline at {path} cannot be read: {error}") from error


def _pack(entry: FileRecord) -> bytes:
    """Terms of names follow from the names and are left out."""
    symbols = [
        [s.kind, s.name, s.scope, s.start_line, s.end_line, " ".join(s.signature_terms), " ".join(s.doc_terms)]
        for s in entry.symbols
    ]
    columns = [entry.kind, entry.lines, " ".join(entry.stem_terms), " ".join(entry.folder_terms), symbols]
    return zlib.compress(json.dumps(columns, separators=(",", ":")).encode(), 1)


def _unpack(known: dict[str, str], path: Any, oid: Any, packed: Any, packed_words: Any) -> FileRecord:
    """`known`: words that earlier files hold. They are one string each then: most words stand in many files."""
    kind, lines, stem_terms, folder_terms, rows = json.loads(zlib.decompress(packed))
    symbols = tuple(
        SymbolRecord(
            kind=symbol_kind,
            name=name,
            scope=scope,
            start_line=start,
            end_line=end,
            name_terms=name_terms(name),
            context_terms=scope_terms(scope),
            signature_terms=tuple(signature.split()),
            doc_terms=tuple(doc.split()),
        )
        for symbol_kind, name, scope, start, end, signature, doc in rows
    )
    words = _unpack_words(packed_words, known)
    return FileRecord(path, oid, kind, lines, tuple(stem_terms.split()), tuple(folder_terms.split()), symbols, words)


def _pack_words(words: FileWords) -> bytes:
    """Words in a line, then the columns: `sizes` with its length in front, and of each posting place and count."""
    line = " ".join(words.words).encode()
    head = struct.pack("<II", len(line), len(words.sizes))
    return zlib.compress(head + line + words.sizes + words.places + words.counts, 1)


def _unpack_words(packed: Any, known: dict[str, str]) -> FileWords:
    data = zlib.decompress(packed)
    line, sizes = struct.unpack_from("<II", data)
    at = struct.calcsize("<II")
    own = data[at : at + line].decode().split()
    words = tuple(map(known.setdefault, own, own))
    at += line
    postings = (len(data) - at - sizes) // (PLACE_BYTES + 1)
    ends = at + sizes, at + sizes + postings * PLACE_BYTES
    found = FileWords(words, data[at : ends[0]], data[ends[0] : ends[1]], data[ends[1] :])
    checked_columns(found)
    return found
