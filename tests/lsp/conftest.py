"""The server as editors run it: a process of its own, on a small git repository, with a tiny real model."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from app.conftest import FILES, commit, git, write
from cli.conftest import CommandLine, tiny_weights

from lsp.editor_client import Editor, capabilities

__all__ = ["tiny_weights"]
SHORT_ANSWERS = "max_rounds = 1\nsource_tokens = 256\nmax_tokens = 16\n"
"""The tiny model's words mean nothing, so few of them do."""


@pytest.fixture(scope="session")
def indexed(tmp_path_factory: pytest.TempPathFactory, tiny_weights: Path) -> Iterator[CommandLine]:
    """A repository in the memory of the tiny model, and the daemon of its servers. Tests that change files copy it."""
    folder = tmp_path_factory.mktemp("indexed")
    home, root = folder / "home", folder / "demo"
    home.mkdir()
    root.mkdir()
    (home / "config.toml").write_text(
        f'model = "tiny"\nthreads = 1\ndevice = "cpu"\n[models]\ntiny = "{tiny_weights}"\n', encoding="utf-8"
    )
    git(root, "init", "-q")
    write(root, FILES | {".codemem.toml": SHORT_ANSWERS})
    commit(root, "First")
    codemem = CommandLine(home, root)
    arguments = [sys.executable, "-m", "codemem", "index"]
    subprocess.run(arguments, cwd=root, env=codemem.environment, check=True, capture_output=True)
    yield codemem
    assert codemem("serve", "stop").returncode == 0


@pytest.fixture(scope="module")
def editor(indexed: CommandLine) -> Iterator[Editor]:
    """A server for all tests of a module that leave it as it was."""
    with Editor(indexed.environment, indexed.where) as started:
        started.start(client=capabilities(work_done_progress=True))
        yield started
