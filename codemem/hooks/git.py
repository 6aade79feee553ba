"""What only git itself can say about hooks. Unlike the indexer's git, it is run with the user's settings."""

import re
import subprocess
from pathlib import Path

from codemem.errors import CodememError

CONFIG_HOOKS_SINCE = (2, 54)


def git(root: Path, *arguments: str) -> str:
    """Output of `git ARGUMENTS` in a repository. Raises CodememError with git's own words."""
    done = _run(root, arguments)
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise CodememError(f"git {arguments[0]} failed in {root}: {said[0] if said else done.returncode}")
    return done.stdout.removesuffix("\n")


def _run(root: Path, arguments: tuple[str, ...]) -> "subprocess.CompletedProcess[str]":
    command = ["git", "--no-pager", "-C", str(root), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="surrogateescape", check=False)
    except FileNotFoundError as error:
        raise CodememError("git was not found on PATH: install git, then run this again") from error


def git_version(root: Path) -> tuple[int, ...]:
    """(2, 54, 1) of 'git version 2.54.1 (Apple Git-154)'."""
    found = re.search(r"\d+(\.\d+)+", git(root, "version"))
    if found is None:
        raise CodememError("git does not tell its version")
    return tuple(int(part) for part in found[0].split("."))


def common_directory(root: Path) -> Path:
    """What all worktrees of a repository share."""
    return _absolute(root, git(root, "rev-parse", "--git-common-dir"))


def hooks_directory(root: Path) -> Path:
    """Where git looks for hook files: core.hooksPath, or `hooks` in the common directory."""
    return _absolute(root, git(root, "rev-parse", "--git-path", "hooks"))


def _absolute(root: Path, path: str) -> Path:
    return (root / path).resolve()


def config_values(root: Path, key: str) -> list[str]:
    """The values of a key in the repository's own configuration."""
    done = _run(root, ("config", "--local", "--get-all", key))
    return done.stdout.splitlines() if done.returncode == 0 else []


def set_config(root: Path, key: str, values: tuple[str, ...]) -> None:
    """Makes these the values of a key in the repository's own configuration."""
    if config_values(root, key):
        git(root, "config", "--local", "--unset-all", key)
    for value in values:
        git(root, "config", "--local", "--add", key, value)


def remove_section(root: Path, section: str) -> bool:
    """Removes a section of the repository's own configuration; False if there was none."""
    return _run(root, ("config", "--local", "--remove-section", section)).returncode == 0
