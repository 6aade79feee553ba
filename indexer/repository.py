"""Where a repository is, as git says, checked against where it was looked for."""

import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path

from .errors import BareRepositoryError, RepositoryError, RevisionError, UntrustedRepositoryError
from .git import run_git
from .seen import Stamp, settled, stamp
from .tree import ObjectFormat

REMEMBERED = 256
"""Folders and repositories that are remembered; then all are forgotten, for that costs a few runs of git each."""
_State = tuple[bytes | Stamp | None, ...]
_heads: dict[Path, tuple[_State, str]] = {}
"""git folder -> what named HEAD, and the commit that git said it was."""


def _text(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository's folders. `root` is the working tree, or the git folder itself where there is none."""

    root: Path
    git_dir: Path
    common_dir: Path
    bare: bool
    object_format: ObjectFormat

    def head(self) -> str | None:
        """The commit checked out; None before the first one. Git is asked only if what names it changed."""
        state = self._head_state()
        known = _heads.get(self.git_dir)
        if state is not None and known is not None and known[0] == state:
            return known[1]
        try:
            found = self.resolve("HEAD")
        except RevisionError:
            return None
        if state is not None:
            if len(_heads) >= REMEMBERED:
                _heads.clear()
            _heads[self.git_dir] = state, found
        return found

    def _head_state(self) -> _State | None:
        """HEAD and the file of the branch that it names, or else the state of packed references.

        None where git must be asked: references of references, or files too young to tell a change.
        """
        head = _text(self.git_dir / "HEAD")
        if head is None or not head.startswith(b"ref: "):
            return None if head is None else (head,)
        branch = os.fsdecode(head[5:].strip())
        loose = [_text(folder / branch) for folder in (self.git_dir, self.common_dir)]
        if any(text is not None and text.startswith(b"ref:") for text in loose):
            return None
        if any(loose):
            return head, *loose
        files = (self.common_dir / "packed-refs", self.common_dir / "reftable" / "tables.list")
        packed = [stamp(path) for path in (*files, self.git_dir / "reftable" / "tables.list")]
        now_ns = time.time_ns()
        return (head, *packed) if all(settled(state, now_ns) for state in packed) else None

    def resolve(self, revision: str) -> str:
        """The id of the commit that `revision` names. Raises RevisionError."""
        try:
            found = run_git(self.root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        except RepositoryError as error:
            raise RevisionError(
                f"no commit is named {revision!r} in {self.root}: see `git log --oneline --all`"
            ) from error
        return found.decode("ascii").strip()


def find_repository(path: Path) -> Repository | None:
    """The repository around `path`, or None. Raises RepositoryError and its kinds."""
    marker = _marked_folder(path)
    if marker is None:
        return None
    known = _found.get(path)
    if known is not None and known[0] == marker and known[1] == _surroundings(marker, known[2]):
        return known[2]
    repository = _ask(path, marker)
    if repository is not None:
        around, now_ns = _surroundings(marker, repository), time.time_ns()
        if all(settled(state, now_ns) for state in around[1:]):
            if len(_found) >= REMEMBERED:
                _found.clear()
            _found[path] = marker, around, repository
    return repository


_found: dict[Path, tuple[Path, tuple[Stamp | None, ...], Repository]] = {}
"""Folder -> its marked folder, the state of what git looked at to say where the repository is, and what it said."""


def _surroundings(marker: Path, repository: Repository) -> tuple[Stamp | None, ...]:
    """State of all that says where a repository is: the marker, its configuration, who owns it."""
    try:
        found = os.lstat(marker / ".git")
        # Files come and go in a git folder all the time; which folder it is and whose is what matters.
        around = (found.st_ino, found.st_dev, found.st_uid, marker.stat().st_uid, found.st_mode)
    except OSError:
        return (None,)
    link = marker / ".git" if stat.S_ISREG(found.st_mode) else None
    files = [repository.common_dir / "config", repository.git_dir / "config.worktree", repository.git_dir / "commondir"]
    return around, *(stamp(path) for path in (*files, link) if path is not None)


def _ask(path: Path, marker: Path) -> Repository | None:
    """The repository as git says. Raises RepositoryError and its kinds."""
    try:
        answer = run_git(
            path, "rev-parse", "--path-format=absolute", "--show-object-format", "--is-bare-repository",
            "--is-inside-git-dir", "--git-dir", "--git-common-dir",
        )  # fmt: skip
    except UntrustedRepositoryError:
        raise
    except RepositoryError as error:
        if "not a git repository" in str(error):
            return None
        raise
    lines = os.fsdecode(answer).split("\n")
    if len(lines) != 6 or lines[0] not in ("sha1", "sha256"):
        raise RepositoryError(
            f"cannot tell where the repository at {path} keeps its objects: is there a newline in its path?"
        )
    object_format: ObjectFormat = "sha1" if lines[0] == "sha1" else "sha256"
    git_dir, common_dir = Path(lines[3]), Path(lines[4])
    if lines[1] == "true" or lines[2] == "true":
        return Repository(git_dir, git_dir, common_dir, True, object_format)
    root = Path(
        os.fsdecode(run_git(path, "rev-parse", "--path-format=absolute", "--show-toplevel").removesuffix(b"\n"))
    )
    if root != marker:
        raise RepositoryError(
            f"the configuration of the repository at {marker} puts its working tree elsewhere (core.worktree): "
            f"index {root} instead, if you mean it"
        )
    return Repository(root, git_dir, common_dir, False, object_format)


def _marked_folder(path: Path) -> Path | None:
    """The nearest folder, from `path` upwards, that is or holds a git folder: git is not asked where there is none."""
    for folder in (path, *path.parents):
        if os.path.lexists(folder / ".git"):
            return folder
        if (folder / "HEAD").is_file() and (folder / "objects").is_dir() and (folder / "refs").is_dir():
            return folder
    return None


def require_working_tree(repository: Repository, path: Path) -> None:
    """Raises BareRepositoryError where there are no files on disk."""
    if repository.bare:
        raise BareRepositoryError(
            f"{path} is a bare repository, without files on disk: name a commit of it (revision HEAD), or index a clone"
        )
