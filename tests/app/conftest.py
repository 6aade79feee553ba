"""Real git repositories and a user's folders, each test with its own."""

import subprocess
from pathlib import Path

import pytest

from app.bench import Bench
from app.fake_engine import FakeEngine
from codemem.config import Settings

FILES = {
    "src/retry.py": '''"""Retry with backoff."""


def retry(operation, attempts):
    """Call the operation until it succeeds, waiting longer every time."""
    for attempt in range(attempts):
        try:
            return operation()
        except ConnectionError:
            sleep(2 ** attempt)


def sleep(seconds):
    raise NotImplementedError
''',
    "src/cache.py": '''class Cache:
    """Keeps what was fetched."""

    def lookup(self, key):
        return self.entries.get(key)

    def evict(self, oldest):
        del self.entries[oldest]
''',
    "README.md": "# Demo\n\nA client that retries.\n",
}


def git(root: Path, *arguments: str) -> str:
    """Runs git with a fixed identity; its output."""
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", "-C", str(root), *identity, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def commit(root: Path, message: str = "Change") -> None:
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", message)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "demo"
    root.mkdir()
    git(root, "init", "-q")
    write(root, FILES)
    commit(root, "First")
    return root


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load({"CODEMEM_HOME": str(tmp_path / "home")})


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def bench(settings: Settings, engine: FakeEngine) -> Bench:
    return Bench(settings, engine)
