"""The server on loopback as users run it: a process of its own, over a real daemon with an engine that costs nothing.

This folder is no package, for as one it would hide Python's own `http` from the tests.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from app.conftest import commit, git, write
from app.fake_engine import FakeEngine
from loopback_server import FILES, Served, wait_for

from codemem.config import Settings
from codemem.daemon.address import address_of
from codemem.daemon.client import daemon_status
from codemem.http import control
from codemem.http.place import Place
from codemem.index import IndexOptions, index
from codemem.workspace import open_workspace


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Of a user whose sockets lie in a folder with a short name, in this process and its children."""
    folder = tmp_path_factory.mktemp("home")
    with tempfile.TemporaryDirectory(prefix="cm") as runtime, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", runtime)
        patch.setenv("CODEMEM_HOME", str(folder))
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.delenv("CODEMEM_DAEMON", raising=False)
        yield folder


@pytest.fixture(scope="session")
def served(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A repository in the memory of the fake engine, asked through a real daemon and a real server."""
    settings = Settings.load()
    root = tmp_path_factory.mktemp("served") / "demo"
    root.mkdir()
    git(root, "init", "-q")
    write(root, FILES)
    commit(root, "First")
    engine = FakeEngine()
    with open_workspace(root, settings, whole=True) as workspace:
        index(workspace, settings, lambda _: engine, IndexOptions())
    address_of(settings).prepare()
    script = Path(__file__).parent / "layered_daemon.py"
    environment = os.environ | {"PYTHONPATH": str(script.parent.parent)}
    daemon = subprocess.Popen([sys.executable, str(script)], env=environment, cwd="/")
    try:
        wait_for(lambda: daemon_status(address_of(settings)))
        running = control.start(settings, [root], 0)
        yield Served(settings, running, Place(settings).key(), root)
        control.stop(settings)
    finally:
        daemon.kill()
        daemon.wait()
