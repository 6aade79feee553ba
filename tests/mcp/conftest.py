"""`codemem mcp` as agents run it: a process of its own, on a small git repository, with a tiny real model.

This folder is no package, for as one it would hide the library `mcp` from the tests.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from agents_daemon import end_daemon

FILES = {
    "src/cache.py": '''class Cache:
    """Keeps what was fetched."""

    def lookup(self, key):
        return self.entries.get(key)

    def evict(self, oldest):
        del self.entries[oldest]
''',
    "README.md": "# Demo\n\nA cache.\n",
    ".gitignore": "private.txt\n",
    ".codemem.toml": "max_rounds = 1\nsource_tokens = 256\nmax_tokens = 16\n",
}


def run(root: Path, environment: dict[str, str], *arguments: str) -> None:
    subprocess.run(arguments, cwd=root, env=environment, check=True, capture_output=True)


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Of a user whose default is the tiny model; the daemon that the first agent starts ends with the tests."""
    from codemem.model.testing import write_tiny_adapter, write_tiny_checkpoint

    home = tmp_path_factory.mktemp("home")
    write_tiny_checkpoint(home / "tiny")
    write_tiny_adapter(home / "tiny" / "codemem-adapter.safetensors")
    config = f'model = "tiny"\nthreads = 1\ndevice = "cpu"\n[models]\ntiny = "{home / "tiny"}"\n'
    (home / "config.toml").write_text(config, encoding="utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CODEMEM_")}
    with tempfile.TemporaryDirectory(prefix="cm") as runtime:  # paths of sockets must be short
        made = kept | {"CODEMEM_HOME": str(home), "OMP_NUM_THREADS": "1", "XDG_RUNTIME_DIR": runtime}
        yield made
        end_daemon(made)


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Path:
    """In the memory of the tiny model, with things beside it that no tool may show."""
    folder = tmp_path_factory.mktemp("agents")
    root = folder / "demo"
    root.mkdir()
    for name, text in FILES.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    (folder / "outside.txt").write_text("outside\n")
    (root / "private.txt").write_text("ignored\n")
    (root / ".env").write_text("TOKEN=1\n")
    (root / "link.txt").symlink_to(folder / "outside.txt")
    (root / "up").symlink_to(folder)
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "init.defaultBranch=main")
    run(root, environment, "git", *identity, "init", "-q")
    run(root, environment, "git", *identity, "add", "-A")
    run(root, environment, "git", *identity, "commit", "-q", "-m", "First")
    run(root, environment, sys.executable, "-m", "codemem", "index")
    return root
