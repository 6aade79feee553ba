"""Real git repositories whose hooks start a stand-in that counts instead of codemem's interpreter."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from codemem.hooks.git import git_version


class Repository:
    """A repository with one commit that looks indexed, driven by whichever `git` is first on PATH."""

    def __init__(self, root: Path, path: str) -> None:
        self.root = root
        self.environment = {
            "PATH": path,
            "HOME": str(root.parent),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "Test",
            "GIT_AUTHOR_EMAIL": "test@example.org",
            "GIT_COMMITTER_NAME": "Test",
            "GIT_COMMITTER_EMAIL": "test@example.org",
            "GIT_EDITOR": "true",
        }

    def git(self, *arguments: str, code: int = 0) -> str:
        """Output of git, both streams: a hook must be silent."""
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.root,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout
        return done.stdout

    def commit(self, name: str, text: str = "text\n") -> str:
        (self.root / name).write_text(text)
        self.git("add", "-A")
        return self.git("commit", "-q", "-m", f"Change {name}")

    @property
    def place(self) -> Path:
        return self.root / ".git" / "codemem" / "main"


class StandIn:
    """What the hooks start instead of codemem: it notes the call, then stays until it is let go."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "stand in"
        self._calls, self._go = folder / "calls", folder / "go"
        self.path.write_text(
            f'#!/bin/sh\necho "$PWD: $*" >>"{self._calls}"\n'
            f'n=0; while [ ! -e "{self._go}" ] && [ $n -lt 600 ]; do sleep 0.05; n=$((n + 1)); done\n'
        )
        self.path.chmod(0o755)

    def calls(self, at_least: int) -> list[str]:
        """Waits for so many calls; all calls so far."""
        deadline = time.monotonic() + 20
        while len(lines := self._calls.read_text().splitlines() if self._calls.exists() else []) < at_least:
            assert time.monotonic() < deadline, lines
            time.sleep(0.01)
        return lines

    def let_go(self) -> None:
        self._go.touch()

    def wait_for_end(self, pid_file: Path) -> None:
        """Until the process that the pid file names has ended."""
        pid = int(pid_file.read_text())
        deadline = time.monotonic() + 20
        while _alive(pid):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    standing = StandIn(tmp_path)
    monkeypatch.setattr(sys, "executable", str(standing.path))
    yield standing
    standing.let_go()


def real_gits() -> dict[str, Path]:
    """The installed git, and the one in the folder that CODEMEM_TEST_GIT names: a current one beside an old one."""
    installed = shutil.which("git")
    assert installed
    other = os.environ.get("CODEMEM_TEST_GIT")
    return {"installed": Path(installed)} | ({"other": Path(other) / "git"} if other else {})


@pytest.fixture
def make_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Repository]:
    def make(git: Path, *, claims: str | None = None) -> Repository:
        """With `claims`, git tells another version than its own."""
        folder = tmp_path / "bin"
        folder.mkdir()
        answer = f'case "$*" in *version) echo "git version {claims}"; exit 0 ;; esac\n' if claims else ""
        (folder / "git").write_text(f'#!/bin/sh\n{answer}exec "{git}" "$@"\n')
        (folder / "git").chmod(0o755)
        path = f"{folder}{os.pathsep}{os.environ['PATH']}"
        monkeypatch.setenv("PATH", path)
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        root = tmp_path / "a repository"
        root.mkdir()
        repository = Repository(root.resolve(), path)
        repository.git("init", "-q", "-b", "main")
        repository.commit("first.txt")
        repository.place.mkdir(parents=True)
        (repository.place / "manifest").touch()
        assert claims is None or ".".join(map(str, git_version(root))) == claims
        return repository

    return make


@pytest.fixture(params=real_gits().items(), ids=lambda item: item[0])
def repository(request: pytest.FixtureRequest, make_repository: Callable[..., Repository]) -> Repository:
    """Of each git at hand, as it is."""
    return make_repository(request.param[1])


@pytest.fixture
def old_git(make_repository: Callable[..., Repository]) -> Repository:
    """Of the installed git, taken for one that knows hook files alone."""
    return make_repository(real_gits()["installed"], claims="2.53.1")


@pytest.fixture
def new_git(make_repository: Callable[..., Repository]) -> Repository:
    """Of the installed git, taken for the first one with hooks in its configuration."""
    return make_repository(real_gits()["installed"], claims="2.54.0")
