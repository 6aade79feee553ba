"""A repository's working tree: tracked files as they lie on disk, and untracked ones that git does not ignore."""

import os
import stat
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .disk import OpenFolder, file_stat, signature
from .errors import TreeNotFoundError, UnreadableFileError
from .git import run_git
from .ignore import CODEMEM_IGNORE, IgnoreRules
from .paths import decode_path, encode_path
from .repository import Repository
from .selection import DEFAULT_SELECTION, Selection
from .tree import Chooser, FileEntry, FileStat, Listing, StatCache, Tree, blob_id

_RACY_NS = 2_000_000_000
"""A file modified this shortly before it was looked at may change again without its time changing (FAT: two seconds)."""
_GITLINK = b"160000"
_SPARSE = b"S"


class DiskTree(Tree):
    """What trees on disk share: states compared with the cache, ids of the bytes as they are, no link followed.

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
        return self._disk.read(decode_path(entry.path), max(2 * entry.size, 1 << 20))[0]

    def close(self) -> None:
        self._disk.close()

    def _refresh(self) -> None:
        try:
            self._disk.reopen()
        except OSError as error:
            raise TreeNotFoundError(f"the folder {self.root} is gone: {error.strerror}") from error

    def _ignore_text(self, raw: bytes) -> str | None:
        """A pattern file's text; None if there is none to read."""
        try:
            data = self._disk.read(raw, 1 << 20)[0]
        except UnreadableFileError:
            return None
        return data.decode("utf-8", "replace").removeprefix("\ufeff")

    def _add(self, listing: Listing, chooser: Chooser, raw: bytes, path: str, cache: StatCache, now_ns: int) -> bool:
        """Lists one file, or says why not. False if nothing is there under this name."""
        folder, _, name = raw.rpartition(b"/")
        try:
            state = self._disk.stat(folder, name)
        except OSError:
            return False
        if not stat.S_ISREG(state.st_mode):
            if stat.S_ISDIR(state.st_mode):
                return False
            chooser.skip(path, "symbolic link: not followed" if stat.S_ISLNK(state.st_mode) else "not a regular file")
            return True
        reincluded = chooser.choose(path, state.st_size)
        if reincluded is None:
            return True
        known = cache.get(path)
        if known is None or tuple(known[:4]) != signature(state):
            try:
                data, state = self._disk.read(raw, max(2 * state.st_size, 1 << 20))
            except UnreadableFileError as error:
                chooser.skip(path, str(error))
                return True
            known = file_stat(state, blob_id(data, self.object_format))
        if max(state.st_mtime_ns, state.st_ctime_ns) < now_ns - _RACY_NS:
            listing.stat_cache[path] = known if isinstance(known, FileStat) else FileStat(*known)
        mode = 0o100755 if state.st_mode & stat.S_IXUSR else 0o100644
        listing.entries.append(FileEntry(path, mode, state.st_size, known[4], reincluded))
        return True


class WorkingTree(DiskTree):
    """Tracked and untracked-but-not-ignored files of a repository with a working tree."""

    def __init__(self, repository: Repository, prefix: str) -> None:
        super().__init__(repository.root)
        self.prefix = prefix
        self.git_dir, self.common_dir = repository.git_dir, repository.common_dir
        self.object_format = repository.object_format
        self.commit = repository.head()

    def list(self, stat_cache: StatCache | None = None, *, selection: Selection = DEFAULT_SELECTION) -> Listing:
        self._refresh()
        now_ns = time.time_ns()
        scope = ("--", f":(top,literal){os.fsdecode(decode_path(self.prefix))}") if self.prefix else ()
        with ThreadPoolExecutor(1) as background:
            pending = background.submit(run_git, self.root, "ls-files", "-z", "--others", "--exclude-standard", *scope)
            tracked = run_git(self.root, "ls-files", "-z", "--stage", "-t", *scope)
            names = [raw for raw in pending.result().split(b"\0") if raw]
        index = [record.partition(b"\t") for record in tracked.split(b"\0") if record]
        rules = self._rules([raw for _, _, raw in index] + names)
        names += self._reincluded(rules)
        chooser = Chooser(rules, selection)
        modes = {raw: head for head, _, raw in index}
        listing = Listing()
        for raw in sorted(modes.keys() | set(names)):
            self._add_name(listing, chooser, raw, modes.get(raw, b""), stat_cache or {}, now_ns)
        listing.skipped = chooser.all_skipped()
        return listing

    def _add_name(
        self, listing: Listing, chooser: Chooser, raw: bytes, head: bytes, cache: StatCache, now_ns: int
    ) -> None:
        """Lists one name that git gave; `head` is what its index says of it, b'' for an untracked file."""
        path = encode_path(raw)
        if head[2:8] == _GITLINK:
            chooser.skip(path, "submodule: index it by its own path")
        elif raw.endswith(b"/"):
            chooser.skip(path, "a repository of its own: index it by its own path")
        elif not self._add(listing, chooser, raw, path, cache, now_ns) and head[:1] == _SPARSE:
            folder, slash, _ = path.partition("/")
            if slash:
                chooser.skip_folder(folder, "outside the sparse checkout")
            else:
                chooser.skip(path, "outside the sparse checkout")

    def _rules(self, names: Iterable[bytes]) -> IgnoreRules:
        """`.codememignore` of the root, even if git ignores it, and of every folder that has one."""
        rules = IgnoreRules()
        ending = f"/{CODEMEM_IGNORE}".encode()
        found = {raw for raw in names if raw.endswith(ending)} | {CODEMEM_IGNORE.encode()}
        for raw in sorted(found):
            text = self._ignore_text(raw)
            if text is not None:
                rules.add(encode_path(raw.rpartition(b"/")[0]), text)
        return rules

    def _reincluded(self, rules: IgnoreRules) -> Iterator[bytes]:
        """Files that git ignores and a '!' pattern takes."""
        pathspecs = [*rules.reincluded_pathspecs()]
        if not pathspecs:
            return
        listed = run_git(self.root, "ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--", *pathspecs)
        inside = decode_path(self.prefix) + b"/" if self.prefix else b""
        for raw in listed.split(b"\0"):
            if raw and raw.startswith(inside) and rules.decide(encode_path(raw)) is False:
                yield raw
