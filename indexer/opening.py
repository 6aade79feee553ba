"""From a path, as a user gives it, to the tree of files behind it."""

import os
from pathlib import Path

from .commit_tree import CommitTree
from .errors import RepositoryError, RevisionError, TreeNotFoundError
from .folder_tree import FolderTree
from .git import run_git
from .paths import encode_path
from .repository import Repository, find_repository, require_working_tree
from .tree import Tree
from .working_tree import WorkingTree


def open_tree(path: str | os.PathLike[str], revision: str | None = None) -> Tree:
    """The tree at `path`: a repository's working tree, its commit `revision`, a sub-folder of either, a plain folder.

    Raises TreeNotFoundError, RepositoryError (bare, untrusted, damaged) or RevisionError.
    """
    folder = Path(os.path.realpath(path))
    if not folder.is_dir():
        raise TreeNotFoundError(f"{path} is not a folder" if folder.exists() else f"there is no folder {path}")
    repository = find_repository(folder)
    if repository is None:
        if revision is not None:
            raise RevisionError(f"{path} is not in a git repository, so it has no revision {revision!r}")
        return FolderTree(folder)
    if revision is not None:
        prefix = "" if repository.bare else _prefix(repository, folder)
        return CommitTree(repository, revision, prefix)
    require_working_tree(repository, folder)
    prefix = _prefix(repository, folder)
    if prefix and _ignored(repository, folder):
        return FolderTree(folder)
    return WorkingTree(repository, prefix)


def _prefix(repository: Repository, folder: Path) -> str:
    relative = os.path.relpath(folder, repository.root)
    return "" if relative == "." else encode_path(os.fsencode(relative))


def _ignored(repository: Repository, folder: Path) -> bool:
    """Whether git ignores the folder, and tracks nothing in it: named by the user, it is then read as a plain one."""
    try:
        run_git(repository.root, "check-ignore", "--quiet", "--", os.fspath(folder))
    except RepositoryError:
        return False
    return not run_git(
        repository.root, "ls-files", "-z", "--", f":(top,literal){os.path.relpath(folder, repository.root)}"
    )
