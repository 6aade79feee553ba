"""From `codemem hook install` through a real commit to a memory that is current, with nobody asking."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from app.conftest import commit, git, repository, write

__all__ = ["repository"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CODEMEM_")}
    return kept | {"CODEMEM_HOME": str(tmp_path / "home"), "CODEMEM_DAEMON": "off", "OMP_NUM_THREADS": "1"}


def codemem(where: Path, environment: dict[str, str], *arguments: str) -> Any:
    command = [sys.executable, "-m", "codemem", *arguments, "--json"]
    done = subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_commit_brings_the_memory_up_to_date(
    repository: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    codemem(repository, environment, "index", "--for", "outline")
    assert codemem(repository, environment, "hook", "install")["active"]
    for name, value in environment.items():  # git hands them to the hook
        monkeypatch.setenv(name, value)
    write(repository, {"src/new.py": "def arrive():\n    pass\n"})
    commit(repository)
    place = repository / ".git" / "codemem" / "main"
    deadline = time.monotonic() + 60
    while (status := codemem(repository, environment, "status"))["commit"] is None or not status["fresh"]:
        assert time.monotonic() < deadline
    while (place / "sync.pid").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert not (place / "sync.dirty").exists()
    assert status["documents"] == 4
    assert git(repository, "status", "--porcelain") == ""
    assert not codemem(repository, environment, "hook", "uninstall")["active"]


def test_a_plain_folder_has_no_hooks(tmp_path: Path, environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "codemem", "hook", "install"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no git repository" in done.stderr
