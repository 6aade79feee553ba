"""Git, run so that nothing in a repository's configuration can run a command.

Repositories are strangers: their configuration may name programs (fsmonitor, hooks, filters, text converters, pagers,
ssh, credential helpers, transports). Only plumbing that needs none of them is run, with those settings off, without
taking locks, and without the variables by which an outer git (a hook, for example) points at another repository.
"""

import os
import re
import subprocess
from pathlib import Path
from typing import IO

from .errors import RepositoryError, UnreadableFileError, UntrustedRepositoryError

_SETTINGS = (
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.pager=cat",
    "core.sshCommand=false",
    "core.askPass=",
    "core.alternateRefsCommand=",
    "core.untrackedCache=false",
    "credential.helper=",
    "diff.external=",
    "protocol.allow=never",
    "maintenance.auto=false",
    "gc.auto=0",
    "submodule.recurse=false",
)
_ARGUMENTS = ("git", "--no-pager", "--no-optional-locks", "--no-replace-objects")
_KEPT = re.compile(r"GIT_(CONFIG_(GLOBAL|SYSTEM|NOSYSTEM|COUNT|KEY_\d+|VALUE_\d+)|CEILING_DIRECTORIES)\Z")


def _environment() -> dict[str, str]:
    """What git inherits: everything except what would redirect it or let it ask, trace or fetch."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or _KEPT.match(name)}
    return kept | {
        "LC_ALL": "C",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_ALLOW_PROTOCOL": "none",
        "GIT_ATTR_NOSYSTEM": "1",
    }


def _command(directory: Path, arguments: tuple[str, ...]) -> list[str]:
    settings = [part for setting in _SETTINGS for part in ("-c", setting)]
    return [*_ARGUMENTS, "-C", os.fspath(directory), *settings, *arguments]


def run_git(directory: Path, *arguments: str, stdin: bytes = b"") -> bytes:
    """Standard output of `git ARGUMENTS` in `directory`. Raises RepositoryError with git's own first line."""
    try:
        done = subprocess.run(
            _command(directory, arguments), input=stdin, capture_output=True, env=_environment(), check=False
        )
    except FileNotFoundError as error:
        raise RepositoryError("git was not found on PATH: install git, then run this again") from error
    if done.returncode:
        message = done.stderr.decode("utf-8", "replace").strip()
        if "dubious ownership" in message:
            named = re.search(r"repository at '(.*)'", message)
            where = named[1] if named else directory
            raise UntrustedRepositoryError(
                f"another user owns the repository at {where}, so git will not read it; if you trust it, run: "
                f"git config --global --add safe.directory {where}"
            )
        raise RepositoryError(f"git {arguments[0]} failed in {directory}: {message.splitlines()[0] if message else ''}")
    return done.stdout


class BlobReader:
    """Blobs by id, through one long-lived `git cat-file --batch`. Not safe for several threads at once."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        if self._process is None:
            self._process = subprocess.Popen(
                _command(self._directory, ("cat-file", "--batch")),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_environment(),
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        return self._process.stdin, self._process.stdout

    def read(self, oid: str) -> bytes:
        """Raises UnreadableFileError where the object is not in this clone."""
        requests, replies = self._pipes()
        try:
            requests.write(oid.encode("ascii") + b"\n")
            requests.flush()
            fields = replies.readline().split()
        except BrokenPipeError:
            fields = []
        if len(fields) != 3:
            if not fields:
                self.close()
            raise UnreadableFileError("its content is not in this clone")
        data = replies.read(int(fields[2]))
        replies.read(1)
        return data

    def close(self) -> None:
        """Ends the process; the next `read` starts another."""
        process, self._process = self._process, None
        if process is not None:
            process.communicate()
