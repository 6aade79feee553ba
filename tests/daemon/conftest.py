"""Daemons of a test's own: a short folder for sockets, and no process that outlives the test."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from app.conftest import engine, repository
from cli.conftest import tiny_weights

from codemem.config import Settings
from codemem.daemon.address import Address, address_of
from codemem.daemon.client import Connection, connect

__all__ = ["engine", "repository", "tiny_weights"]

WAIT_SECONDS = 60.0
"""Before a test gives up on something that must happen."""


def wait_for(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not what():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Of a user whose sockets lie in a folder with a short name, in this process and its children."""
    runtime = tempfile.mkdtemp(prefix="cm")
    monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
    monkeypatch.setenv("CODEMEM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("CODEMEM_DAEMON", raising=False)
    yield Settings.load()
    shutil.rmtree(runtime)


@pytest.fixture
def address(settings: Settings) -> Address:
    found = address_of(settings)
    found.prepare()
    return found


class Daemons:
    """Starts daemons with the fake engine."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """Does not wait."""
        script = Path(__file__).parent / "fake_daemon.py"
        tests = str(Path(__file__).parent.parent)
        command = [sys.executable, str(script), *arguments]
        process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": tests}, cwd="/")
        self.processes.append(process)
        return process

    def connect(self) -> Connection:
        """To one that was started."""
        found: list[Connection] = []

        def try_it() -> bool:
            if connection := connect(self.address):
                found.append(connection)
            return bool(found)

        wait_for(try_it)
        return found[0]

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture
def daemons(address: Address) -> Iterator[Daemons]:
    running = Daemons(address)
    yield running
    running.stop()
