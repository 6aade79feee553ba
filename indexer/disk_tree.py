"""What trees on disk share: states compared with the cache, ids of the bytes as they are, no link followed."""

import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from .disk import OpenFolder
from .errors import TreeNotFoundError, UnreadableFileError
from .paths import decode_path
from .seen import RACY_NS, Row
from .tree import Chooser, FileEntry, FileStat, Listing, StatCache, Tree, blob_id

_READ_AT_LEAST = 1 << 20
"""Bytes that a file may grow to between its listing and its reading."""

_PLAIN, _EXECUTABLE = 0o100644, 0o100755
"""git keeps only whether the owner may execute a file."""

Names = list[tuple[bytes, str, os.stat_result | None]]
"""Name, the same as text, and state; None where nothing is there, or only below a link."""


class DiskTree(Tree):
    """Files as they lie on disk.

    Ids are computed here and not asked from git: `git hash-object`, `diff` and `status` run the filters that a
    repository's attributes and configuration name, and give the ids of what those make of a file.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            self._disk = OpenFolder(root)
        except OSError as error:
            raise TreeNotFoundError(f"cannot open the folder {root}: {error.strerror}") from error

    def read(self, entry: FileEntry) -> bytes:
        return self._disk.read(decode_path(entry.path), max(2 * entry.size, _READ_AT_LEAST))[0]

    def close(self) -> None:
        self._disk.close()

    def _refresh(self) -> None:
        """Looks at the folder anew. Raises TreeNotFoundError if it is gone."""
        try:
            self._disk.reopen()
        except OSError as error:
            raise TreeNotFoundError(f"the folder {self.root} is gone: {error.strerror}") from error

    def _ignore_text(self, raw: bytes) -> str | None:
        """A pattern file's text; None if there is none to read."""
        try:
            data = self._disk.read(raw, _READ_AT_LEAST)[0]
        except UnreadableFileError:
            return None
        return data.decode("utf-8", "replace").removeprefix("\ufeff")

    def _look(self, folders: Iterable[tuple[bytes, Iterable[bytes]]]) -> list[os.stat_result | None]:
        """The state of each name in each folder, in order."""
        states: list[os.stat_result | None] = []
        look, keep = self._disk.stats, states.extend
        for folder, names in folders:
            keep(look(folder, names))
        return states

    def _add_all(
        self,
        listing: Listing,
        chooser: Chooser,
        names: Names,
        cache: StatCache,
        *,
        now_ns: int,
        rows: Mapping[str, Row],
    ) -> dict[str, Row]:
        """Lists names in the given order, or says why not. What is not there is passed over.

        `rows` are files as they were listed under the same circumstances; what is to be remembered next is returned.
        """
        entries, fresh, kept = listing.entries, listing.stat_cache, dict[str, Row]()
        seen, settled_ns = rows.get, now_ns - RACY_NS
        for raw, path, state in names:  # a microsecond a file
            if state is None:
                continue
            row = seen(path)
            if (
                row is not None
                and row[0] == state.st_mtime_ns
                and row[1] == state.st_ctime_ns
                and row[2] == state.st_size
                and row[3] == state.st_ino
                and row[4] == state.st_mode
            ):
                entries.append(row[5])
                if row[6] is not None:
                    fresh[path] = row[6]
            else:
                row = self._judge(chooser, raw, path, state, known=cache.get(path))
                if row is None:
                    continue
                entries.append(row.entry)
                if max(row.mtime_ns, row.ctime_ns) >= settled_ns:
                    continue
                if row.known is not None:
                    fresh[path] = row.known
            kept[path] = row
        return kept

    def _judge(
        self,
        chooser: Chooser,
        raw: bytes,
        path: str,
        state: os.stat_result,
        *,
        known: FileStat | None,
    ) -> Row | None:
        """A file that is new, changed, or judged by other rules than before; None if it is left out."""
        if not stat.S_ISREG(state.st_mode):
            if not stat.S_ISDIR(state.st_mode):
                link = stat.S_ISLNK(state.st_mode)
                chooser.skip(path, "symbolic link: not followed" if link else "not a regular file")
            return None
        same = known is not None and known[:4] == (state.st_mtime_ns, state.st_ctime_ns, state.st_size, state.st_ino)
        reincluded = False
        if not same or state.st_size > chooser.trusted_size:
            chosen = chooser.choose(path, state.st_size)
            if chosen is None:
                return None
            reincluded = chosen
        if known is None or not same:
            try:
                data, state = self._disk.read(raw, max(2 * state.st_size, _READ_AT_LEAST))
            except UnreadableFileError as error:
                chooser.skip(path, str(error))
                return None
            oid = blob_id(data, self.object_format)
            known = FileStat(state.st_mtime_ns, state.st_ctime_ns, state.st_size, state.st_ino, oid)
        entry = FileEntry(path, _git_mode(state.st_mode), known.size, known.oid, reincluded)
        # A file that a '!' pattern took stays out of the cache: without the pattern it would be left out again.
        return Row(*known[:4], state.st_mode, entry, None if reincluded else known)


def _git_mode(mode: int) -> int:
    return _EXECUTABLE if mode & stat.S_IXUSR else _PLAIN
