"""Where a repository is, as git says, checked against where it was looked for."""

import os
from dataclasses import dataclass
from pathlib import Path

from .errors import BareRepositoryError, RepositoryError, RevisionError, UntrustedRepositoryError
from .git import run_git
from .tree import ObjectFormat


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository's folders. `root` is the working tree, or the git folder itself where there is none."""

    root: Path
    git_dir: Path
    common_dir: Path
    bare: bool
    object_format: ObjectFormat

    def head(self) -> str | None:
        """The commit checked out; None before the first one."""
        try:
            return self.resolve("HEAD")
        except RevisionError:
            return None

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
