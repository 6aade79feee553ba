"""The command line as users run it: in a process of its own, with folders of its own and a tiny real model."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from app.conftest import repository

__all__ = ["repository"]


class CommandLine:
    """Runs `codemem` in a repository."""

    def __init__(self, home: Path, where: Path) -> None:
        self.home = home
        self.where = where
        # As pip writes it: Python then looks for modules beside the script, and its children in the current folder.
        self.script = home.parent / "bin" / "codemem"
        self.script.parent.mkdir()
        self.script.write_text(
            "import signal\n"
            "from codemem.cli import main\n"
            "if __name__ == '__main__':\n"
            "    # Whoever runs the tests may ignore SIGINT; on a terminal it is heard.\n"
            "    signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            "    main()\n",
            encoding="utf-8",
        )

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CODEMEM_")}
        return kept | {"CODEMEM_HOME": str(self.home), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}

    def __call__(self, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, str(self.script), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            env=self.environment,
            cwd=self.where,
            check=False,
        )

    def json(self, *arguments: str, code: int = 0) -> Any:
        """Standard output as the one JSON object that it must be."""
        done = self(*arguments, "--json")
        assert done.returncode == code, done.stderr
        assert done.stdout.count("\n") == 1
        return json.loads(done.stdout)

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, str(self.script), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
            cwd=self.where,
        )


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from codemem.model.testing import write_tiny_adapter, write_tiny_checkpoint

    folder = tmp_path_factory.mktemp("tiny")
    write_tiny_checkpoint(folder)
    write_tiny_adapter(folder / "codemem-adapter.safetensors")
    return folder


@pytest.fixture
def codemem(tmp_path: Path, repository: Path, tiny_weights: Path) -> CommandLine:
    """With the tiny model as the user's default."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "config.toml").write_text(
        f'model = "tiny"\nthreads = 1\ndevice = "cpu"\n[models]\ntiny = "{tiny_weights}"\n', encoding="utf-8"
    )
    return CommandLine(home, repository)


@pytest.fixture
def bare(tmp_path: Path, repository: Path) -> CommandLine:
    """Of a user who has nothing yet: no weights, no configuration."""
    return CommandLine(tmp_path / "home", repository)
