"""The files of a repository or a folder: what is there, which of it is read, and its bytes."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha1, sha256
from pathlib import Path
from typing import Literal, NamedTuple, Self

from .document import Skipped
from .ignore import IgnoreRules
from .selection import DEFAULT_SELECTION, Selection, left_out_by_name, too_large, vendored_folder

ObjectFormat = Literal["sha1", "sha256"]


class FileEntry(NamedTuple):
    """A file that is to be read."""

    path: str
    """Relative to the repository's root; see `paths` for bytes that are not UTF-8."""
    mode: int
    """As git writes it: 0o100644 or 0o100755."""
    size: int
    """Bytes."""
    oid: str
    """git blob id of the raw bytes, in the repository's object format."""
    reincluded: bool
    """Taken by a '!' pattern: what its content says of generated or secret text is then not asked."""


class FileStat(NamedTuple):
    """What tells a file from a changed one, and the id that it had. Times are in nanoseconds."""

    mtime_ns: int
    ctime_ns: int
    size: int
    inode: int
    oid: str


StatCache = Mapping[str, FileStat]


@dataclass(slots=True)
class Listing:
    """The outcome of `Tree.list`."""

    entries: list[FileEntry] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    stat_cache: dict[str, FileStat] = field(default_factory=dict)
    """Hand it to the next `list` of the same tree: files that look the same are then not read to learn their ids."""


class Tree(ABC):
    """A repository's working tree, one of its commits, or a plain folder. Close it, or use it in `with`."""

    root: Path
    """Paths are relative to this folder (the repository's root, also for a sub-folder)."""
    prefix: str = ""
    """The sub-folder that is indexed, '' for all of it."""
    commit: str | None = None
    """The commit listed, or the one checked out; None before the first commit and outside git."""
    git_dir: Path | None = None
    common_dir: Path | None = None
    """git's folder shared by all worktrees of the repository; None outside git."""
    object_format: ObjectFormat = "sha1"

    @abstractmethod
    def list(self, stat_cache: StatCache | None = None, *, selection: Selection = DEFAULT_SELECTION) -> Listing:
        """Files to read, sorted by the bytes of their paths, and what is left out, each with its reason."""

    @abstractmethod
    def read(self, entry: FileEntry) -> bytes:
        """The raw bytes of a listed file. Raises UnreadableFileError if it vanished, or changes while it is read."""

    @abstractmethod
    def close(self) -> None:
        """Frees open files and processes."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def blob_id(data: bytes, object_format: ObjectFormat = "sha1") -> str:
    """The id that git gives to these bytes when it stores them unfiltered."""
    digest = sha1(usedforsecurity=False) if object_format == "sha1" else sha256()
    digest.update(b"blob %d\0" % len(data))
    digest.update(data)
    return digest.hexdigest()


class Chooser:
    """Decides by name which listed files are read, and gathers the reasons for the others."""

    def __init__(self, rules: IgnoreRules, selection: Selection) -> None:
        self._rules = rules
        self._selection = selection
        self._folders: dict[str, str | None] = {}
        self._counted: Counter[tuple[str, str]] = Counter()
        self.skipped: list[Skipped] = []

    @property
    def trusted_size(self) -> int:
        """Up to this many bytes, a file that was taken before and has not changed is taken again without asking."""
        return -1 if self._rules else self._selection.max_file_bytes

    def choose(self, path: str, size: int) -> bool | None:
        """None: left out; True: taken by a '!' pattern; False: taken as usual."""
        decided = self._rules.decide(path) if self._rules else None
        reason = "excluded by .codememignore" if decided else too_large(path, size, self._selection)
        if reason is None and decided is None:
            vendored = self._vendored(path.rpartition("/")[0])
            if vendored is not None:
                self.skip_folder(vendored, "vendored code")
                return None
            reason = left_out_by_name(path)
        if reason is not None:
            self.skip(path, reason)
            return None
        return decided is False

    def _vendored(self, folder: str) -> str | None:
        try:
            return self._folders[folder]
        except KeyError:
            found = self._folders[folder] = vendored_folder(folder)
            return found

    def skip(self, path: str, reason: str) -> None:
        """Names one file that is left out."""
        self.skipped.append(Skipped(path, reason))

    def skip_folder(self, folder: str, reason: str) -> None:
        """Counts one file of a folder that is named once, whatever it holds."""
        self._counted[folder, reason] += 1

    def all_skipped(self) -> list[Skipped]:
        """Sorted by path; a folder left out as a whole ends with '/'."""
        folders = [
            Skipped(f"{folder}/", f"{reason} ({count:,} file{'s' * (count != 1)})")
            for (folder, reason), count in self._counted.items()
        ]
        return sorted(self.skipped + folders, key=lambda skipped: skipped.path)
