"""What trees on disk share: states compared with the cache, ids of the bytes as they are, no link followed."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from .disk import OpenFolder
from .errors import TreeNotFoundError, UnreadableFileError
from .paths import decode_path, encode_path
from .tree import Chooser, FileEntry, FileStat, Listing, StatCache, Tree, blob_id

_RACY_NS = 2_000_000_000
"""A file that changed this shortly before it was looked at may change again with its time staying the same (FAT)."""
_READ_AT_LEAST = 1 << 20
"""Bytes that a file may grow to between its listing and its reading."""

_PLAIN, _EXECUTABLE = 0o100644, 0o100755
"""git keeps only whether the owner may execute a file."""

_States = list[tuple[bytes, os.stat_result | None]]


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

    def _states(self, names: Iterable[bytes]) -> _States:
        """Each name with its state, None where nothing is there, or only below a link."""
        states: _States = []
        look = self._disk.stat
        for raw in names:
            folder, _, name = raw.rpartition(b"/")
            try:
                states.append((raw, look(folder, name)))
            except OSError:
                states.append((raw, None))
        return states

    def _add_all(self, listing: Listing, chooser: Chooser, states: _States, cache: StatCache, *, now_ns: int) -> None:
        """Lists names in the given order, or says why not. What is not there is passed over."""
        trusted_size = chooser.trusted_size
        settled = now_ns - _RACY_NS
        entries, fresh = listing.entries, listing.stat_cache
        regular, executable, look_up = stat.S_IFREG, stat.S_IXUSR, cache.get  # a loop of some microseconds a file
        for raw, state in states:
            if state is None:
                continue
            path = encode_path(raw)
            mode, size = state.st_mode, state.st_size
            known = look_up(path)
            if (
                known is not None
                and size <= trusted_size
                and stat.S_IFMT(mode) == regular
                and known[:4] == (state.st_mtime_ns, state.st_ctime_ns, size, state.st_ino)
            ):
                if known[0] < settled and known[1] < settled:
                    fresh[path] = known
                entries.append(FileEntry(path, _EXECUTABLE if mode & executable else _PLAIN, size, known[4], False))
            elif stat.S_ISREG(mode):
                self._add(listing, chooser, raw, path, state, known=known, settled=settled)
            elif not stat.S_ISDIR(mode):
                link = stat.S_ISLNK(mode)
                chooser.skip(path, "symbolic link: not followed" if link else "not a regular file")

    def _add(
        self,
        listing: Listing,
        chooser: Chooser,
        raw: bytes,
        path: str,
        state: os.stat_result,
        *,
        known: FileStat | None,
        settled: int,
    ) -> None:
        """Lists a regular file that is new, changed, or judged by other rules than before."""
        reincluded = chooser.choose(path, state.st_size)
        if reincluded is None:
            return
        if known is not None and tuple(known[:4]) == (
            state.st_mtime_ns,
            state.st_ctime_ns,
            state.st_size,
            state.st_ino,
        ):
            oid = known[4]
        else:
            try:
                data, state = self._disk.read(raw, max(2 * state.st_size, _READ_AT_LEAST))
            except UnreadableFileError as error:
                chooser.skip(path, str(error))
                return
            oid = blob_id(data, self.object_format)
        # A file that a '!' pattern took stays out of the cache: without the pattern it would be left out again.
        if not reincluded and max(state.st_mtime_ns, state.st_ctime_ns) < settled:
            listing.stat_cache[path] = FileStat(state.st_mtime_ns, state.st_ctime_ns, state.st_size, state.st_ino, oid)
        listing.entries.append(
            FileEntry(path, _EXECUTABLE if state.st_mode & stat.S_IXUSR else _PLAIN, state.st_size, oid, reincluded)
        )
