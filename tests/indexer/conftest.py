"""Real repositories, made by real git in a temporary folder."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from git_repository import GitRepository


@pytest.fixture(autouse=True)
def no_user_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """git reads neither this user's configuration nor that of an outer git."""
    for name in list(os.environ):
        if name.startswith("GIT_"):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", os.fspath(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@pytest.fixture
def make_repository(tmp_path: Path) -> Callable[..., GitRepository]:
    def make(name: str = "project", *options: str) -> GitRepository:
        root = tmp_path / name
        root.mkdir()
        repository = GitRepository(root)
        repository.git("init", "--quiet", "--initial-branch=main", *options)
        return repository

    return make


@pytest.fixture
def repository(make_repository: Callable[..., GitRepository]) -> GitRepository:
    return make_repository()
