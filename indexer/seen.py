"""What this process saw of a working tree last time, so that looking again costs one `stat` a file and little else.

Nothing here is believed for its age: every part is kept with the state of what it was made from, and used only while
that state is the same. A state that is younger than RACY_NS when it is read is not kept at all, for a second change
within the clock's resolution could leave it the same.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from .ignore import CODEMEM_IGNORE
from .paths import encode_path
from .selection import Selection
from .tree import FileEntry, FileStat

RACY_NS = 2_000_000_000
"""Resolution of the coarsest clock that files are stamped with (FAT)."""
TREES = 8
"""Working trees that are remembered; the one that was listed longest ago goes first."""

GITLINK = b"160000"
"""git's mode of a submodule."""
_SPARSE = b"S"
_IGNORE_FILE = CODEMEM_IGNORE.encode()

Stamp = tuple[int, int, int, int, int]
"""Times of modification and change in nanoseconds, size, inode, mode."""


def stamp(path: str | os.PathLike[str]) -> Stamp | None:
    """The state of a file, a link not followed; None if nothing is there."""
    try:
        state = os.lstat(path)
    except OSError:
        return None
    return state.st_mtime_ns, state.st_ctime_ns, state.st_size, state.st_ino, state.st_mode


def settled(state: Stamp | None, now_ns: int) -> bool:
    """Whether a later change would show: absent, or old enough when it was looked at."""
    return state is None or max(state[0], state[1]) < now_ns - RACY_NS


@dataclass(frozen=True, slots=True)
class IndexNames:
    """The names in git's index, as far as a listing needs them, in the order of their bytes."""

    heads: Mapping[bytes, bytes]
    """Name -> tag, mode, id, stage, of `git ls-files --stage -t`. Of a path in conflict, one stage counts."""
    paths: Sequence[str]
    """Of the same names, as text."""
    folders: Sequence[tuple[bytes, Sequence[bytes]]]
    """(folder, names in it), one after the other the same names."""

    special: Sequence[int]
    """Positions of submodules and of what a sparse checkout leaves out."""
    ignore_files: Sequence[bytes]
    """Those named .codememignore."""

    @classmethod
    def parse(cls, listed: bytes) -> "IndexNames":
        """From the output of `git ls-files -z --stage -t`."""
        records = (record.partition(b"\t") for record in listed.split(b"\0"))
        heads = {raw: head for head, _, raw in records if raw}
        special = [at for at, head in enumerate(heads.values()) if head[2:8] == GITLINK or head[:1] == _SPARSE]
        ignore_files = [raw for raw in heads if is_ignore_file(raw)]
        return cls(heads, [encode_path(raw) for raw in heads], by_folder(heads), special, ignore_files)


def is_ignore_file(raw: bytes) -> bool:
    return raw.endswith(_IGNORE_FILE) and raw.rpartition(b"/")[2] == _IGNORE_FILE


def by_folder(names: Mapping[bytes, object] | Sequence[bytes]) -> list[tuple[bytes, list[bytes]]]:
    """Runs of names that share a folder, in the given order."""
    runs: list[tuple[bytes, list[bytes]]] = []
    last: bytes | None = None
    for raw in names:
        folder, _, name = raw.rpartition(b"/")
        if folder != last:
            runs.append((folder, []))
            last = folder
        runs[-1][1].append(name)
    return runs


class Row(NamedTuple):
    """A file that was listed, and the state it had."""

    mtime_ns: int
    ctime_ns: int
    size: int
    inode: int
    mode: int
    entry: FileEntry
    known: FileStat | None
    """For the stat cache; None where a '!' pattern took the file."""


Circumstances = tuple[tuple[tuple[str, str], ...], Selection]
"""The ignore rules, by folder and text, and the selection: what else a file's listing depends on."""


@dataclass(slots=True)
class Seen:
    """One working tree, or one sub-folder of it."""

    index: tuple[Stamp, IndexNames] | None = None
    circumstances: Circumstances | None = None
    rows: dict[str, Row] = field(default_factory=dict)
    """Path -> as it was listed under these circumstances."""


_trees: OrderedDict[tuple[Path, str], Seen] = OrderedDict()
_lock = threading.Lock()


def recall(git_dir: Path, prefix: str) -> Seen:
    """What is known of a tree, perhaps nothing. Treat it as a value: hand changes to `remember`."""
    with _lock:
        return _trees.get((git_dir, prefix)) or Seen()


def remember(git_dir: Path, prefix: str, seen: Seen) -> None:
    """Replaces what is known of a tree."""
    with _lock:
        _trees[git_dir, prefix] = seen
        _trees.move_to_end((git_dir, prefix))
        while len(_trees) > TREES:
            _trees.popitem(last=False)
