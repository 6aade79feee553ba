"""What is kept for the next time, and what has to go for it."""

from pathlib import Path

import pytest

from app.conftest import git, repository, settings
from app.fake_engine import FakeEngine
from codemem import reading
from codemem.config import Settings
from codemem.index import IndexOptions, index
from codemem.recent import Recent
from codemem.results import IndexResult
from codemem.workspace import open_workspace

__all__ = ["repository", "settings"]


def test_what_was_used_longest_ago_goes_first() -> None:
    recent: Recent[str, str] = Recent(10)
    recent.put("a", "A", 4)
    recent.put("b", "B", 4)
    assert recent.get("a") == "A"
    recent.put("c", "C", 4)
    assert [recent.get(key) for key in "abc"] == ["A", None, "C"]
    recent.put("a", "again", 9)
    assert [recent.get(key) for key in "ac"] == ["again", None]
    recent.put("large", "too large", 11)
    assert len(recent) == 1


def test_a_branch_that_is_switched_back_to_is_not_read_again(
    repository: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[str] = []
    read_file = reading.read_file

    def counting(path: str, data: bytes, **options: object) -> object:
        parsed.append(path)
        return read_file(path, data, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(reading, "read_file", counting)
    monkeypatch.setattr(reading, "_recent", Recent(1 << 20))

    def sync() -> IndexResult:
        with open_workspace(repository, settings, whole=True) as workspace:
            return index(workspace, settings, lambda _: FakeEngine(), IndexOptions())

    sync()
    git(repository, "switch", "-q", "-c", "other")
    (repository / "src" / "cache.py").write_text("class Cache:\n    pass\n")
    git(repository, "commit", "-q", "-a", "-m", "Other")
    sync()
    parsed.clear()
    for branch in ("main", "other", "main"):
        git(repository, "switch", "-q", branch)
        assert sync().encoded == 0
    assert parsed == []
