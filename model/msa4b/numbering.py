"""Which number a document has in a store: given once by content, in order, and never again.

MSA-4B names documents by a number that is spelled in their text, so the number is part of what is encoded and of an
entry's key. All branches, worktrees and processes that share a store must give a content the same number, or each would
encode it anew.
"""

import hashlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from codemem.model.errors import StoreError

_SCHEMA = "CREATE TABLE IF NOT EXISTS numbers (id INTEGER PRIMARY KEY AUTOINCREMENT, content BLOB NOT NULL UNIQUE)"


class Numbering:
    """Numbers 0, 1, 2, ... by content, in a SQLite file that several processes may use at once."""

    def __init__(self, path: Path | None) -> None:
        """`path=None`: kept in this object alone. Raises `StoreError` if the file cannot be used."""
        self._name = str(path) if path else ":memory:"
        try:
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # The engine that owns this is used by one thread at a time, though not always by the same.
            self._connection = sqlite3.connect(self._name, timeout=30, isolation_level=None, check_same_thread=False)
            self._connection.execute(_SCHEMA)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"the numbers of documents cannot be kept in {self._name} ({error})") from error

    def numbers(self, documents: Sequence[tuple[str, str]]) -> list[int]:
        """The number of each (header, text); new ones are given now, in the order of the documents."""
        contents = [_digest(header, text) for header, text in documents]
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                found = [self._number(content) for content in contents]
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise StoreError(f"the numbers of documents cannot be kept in {self._name} ({error})") from error
        return found

    def _number(self, content: bytes) -> int:
        row = self._connection.execute("SELECT id FROM numbers WHERE content = ?", (content,)).fetchone()
        if row is None:
            row = (self._connection.execute("INSERT INTO numbers (content) VALUES (?)", (content,)).lastrowid,)
        return int(row[0]) - 1

    def contents(self) -> list[tuple[bytes, int]]:
        """(sha256 of header and text, number) of every document, by number."""
        try:
            rows = self._connection.execute("SELECT content, id FROM numbers ORDER BY id").fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"the numbers of documents cannot be read in {self._name} ({error})") from error
        return [(bytes(content), int(number) - 1) for content, number in rows]

    def adopt(self, pairs: Sequence[tuple[bytes, int]]) -> int:
        """Gives contents the numbers they have in another store; how many could not have theirs, for the content has
        another number here or the number another content."""
        rows = [(number + 1, content) for content, number in pairs]
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany("INSERT OR IGNORE INTO numbers (id, content) VALUES (?, ?)", rows)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise StoreError(f"the numbers of documents cannot be kept in {self._name} ({error})") from error
        here = dict(self.contents())
        return sum(here.get(content) != number for content, number in pairs)

    def close(self) -> None:
        self._connection.close()


def _digest(header: str, text: str) -> bytes:
    size = len(header).to_bytes(8, "little")
    return hashlib.sha256(size + (header + text).encode("utf-8", errors="surrogatepass")).digest()
