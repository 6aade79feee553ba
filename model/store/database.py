"""The SQLite side of the catalogue: its file, its schema, transactions, and what errors mean."""

import contextlib
import functools
import os
import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from codemem.model.errors import StoreError
from codemem.model.store import header

APPLICATION_ID = 0x636D656D
SCHEMA_VERSION = 1
BUSY_TIMEOUT_S = 30.0
CACHE_KIB = 256
"""SQLite's own cache of pages, a connection: the system's serves as well, and a process that stays has many of them."""
OPENINGS = 10
"""How often the file may be replaced while it is being opened."""

DAMAGE = (
    sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT,
    # Our statements are right for our schema: that they fail, or meet a row twice, means another schema or other rows.
    sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH,
)  # fmt: skip
FIXED_HEADER = (bytes([1, 1, 0, 64, 32, 32]), bytes([2, 2, 0, 64, 32, 32]))
"""Bytes 18 to 23 of an SQLite file, with a rollback journal or a log; other versions would make it read-only."""

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


def expect(condition: bool, what: str) -> None:
    if not condition:
        raise CatalogueDamagedError(f"the store's catalogue is damaged: {what}")


@contextlib.contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Turns SQLite's errors into StoreError, and those that mean damage into CatalogueDamagedError."""
    try:
        yield
    except UnicodeDecodeError as error:  # of a name in the schema, or within an error message
        raise CatalogueDamagedError(f"the store's catalogue is damaged: {error}") from error
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in DAMAGE or "decode to UTF-8" in str(error):
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
def reading(path: Path) -> Iterator[None]:
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


def _schema_of(connection: sqlite3.Connection) -> list[tuple[str, str, str]]:
    return connection.execute("SELECT type, name, sql FROM sqlite_master WHERE sql NOT NULL ORDER BY name").fetchall()


@functools.cache
def _own_schema() -> list[tuple[str, str, str]]:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(SCHEMA)
        return _schema_of(connection)


class Database:
    """A connection to one catalogue file. Not thread-safe: the store serialises its calls."""

    def __init__(self, connection: sqlite3.Connection, path: Path, identity: header.Identity | None) -> None:
        self._db = connection
        self.path = path
        self._identity = identity

    @classmethod
    def open(cls, path: Path, *, read_only: bool) -> Self:
        """Raises StoreError when the file cannot be opened, CatalogueDamagedError when it is no catalogue of ours."""
        for _ in range(OPENINGS):
            catalogue = cls._open_once(path, read_only=read_only)
            if catalogue is not None:
                return catalogue
        raise StoreError(f"the store's catalogue {path} keeps being replaced: try again")

    @classmethod
    def _open_once(cls, path: Path, *, read_only: bool) -> Self | None:
        """None if another file took the name meanwhile: a connection to the old one would write into nothing."""
        uri = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rw'}"
        with header.mutex:
            try:
                before = header.identity_of(path)
            except FileNotFoundError as error:
                raise CatalogueDamagedError(f"the store's catalogue {path} is gone") from error
            with sqlite_errors(path):
                connection = sqlite3.connect(
                    uri, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_S
                )
            catalogue = cls(connection, path, None)
            try:
                catalogue._recognise(before)
            except BaseException as error:
                catalogue.close()
                if header.stands(path, before):
                    raise
                if not isinstance(error, StoreError | OSError):
                    raise
                return None
        return catalogue

    def _recognise(self, identity: header.Identity) -> None:
        """Checks that the connection is to a catalogue of ours, and that its file was `identity` all the while."""
        with sqlite_errors(self.path):
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            versions = self._one("PRAGMA application_id"), self._one("PRAGMA user_version")
            schema = _schema_of(self._db)
        self._identity = header.keep(self.path)
        expect(self._identity == identity, "it was replaced")
        expect(header.read(self._identity, 24)[18:] in FIXED_HEADER, "its header is not SQLite's")
        expect(versions == (APPLICATION_ID, SCHEMA_VERSION), "its identity is not codemem's")
        expect(schema == _own_schema(), "its tables are not codemem's")

    @classmethod
    def in_memory(cls, path: Path) -> Self:
        """An empty catalogue of this process, in place of one at `path` that cannot be opened."""
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        connection.executescript(SCHEMA)
        return cls(connection, path, None)

    @property
    def is_substitute(self) -> bool:
        """Whether it lies in memory."""
        return self._identity is None

    def replaced(self) -> bool:
        """Whether another file stands under the name now."""
        if self._identity is None:
            return False
        return not header.stands(self.path, self._identity)

    def close(self) -> None:
        """Closes the connection; the last one of all processes folds the WAL into the file."""
        with header.mutex:
            self._db.close()
            if self._identity is not None:
                header.release(self._identity)
                self._identity = None

    def _one(self, statement: str, *values: object) -> int:
        row = self._db.execute(statement, values).fetchone()
        expect(row is not None and isinstance(row[0], int), "a value is missing")
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

    def data_version(self) -> int:
        """A number that changes when another connection has committed."""
        with sqlite_errors(self.path):
            return self._one("PRAGMA data_version")
