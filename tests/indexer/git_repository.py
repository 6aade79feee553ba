"""A real repository, changed by real git."""

import os
import subprocess
from pathlib import Path

_IDENTITY = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false")


class GitRepository:
    """A repository under test; everything that it does is done by git itself."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *_IDENTITY, "-C", os.fspath(self.root), *arguments], capture_output=True, check=True, text=True
        )
        return done.stdout

    def write(self, name: str | bytes, content: str | bytes) -> Path:
        path = os.path.join(os.fsencode(self.root), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        return Path(os.fsdecode(path))

    def commit(self, message: str = "Change") -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD").strip()
