"""What is kept for the next time, and what has to go for it."""

import tracemalloc
from pathlib import Path

import pytest

from app.conftest import git, repository, settings
from app.fake_engine import FakeEngine
from codemem import reading
from codemem.config import Settings
from codemem.index import IndexOptions, index
from codemem.recent import ENTRY_BYTES, Recent
from codemem.results import IndexResult
from codemem.workspace import open_workspace

__all__ = ["repository", "settings"]


def test_what_was_used_longest_ago_goes_first() -> None:
    recent = Recent(2 * ENTRY_BYTES + 10, 10)
    recent.put(b"a", b"AAA")
    recent.put(b"b", b"BBB")
    assert recent.get(b"a") == b"AAA"
    recent.put(b"c", b"CCC")
    assert [recent.get(key) for key in (b"a", b"b", b"c")] == [b"AAA", None, b"CCC"]
    recent.put(b"a", b"again" * 20)
    assert [recent.get(key) for key in (b"a", b"c")] == [b"again" * 20, None]
    recent.put(b"large", bytes(2 * ENTRY_BYTES + 10))
    assert len(recent) == 1
    assert recent.nbytes == ENTRY_BYTES + 101


def test_no_more_are_kept_than_allowed_however_small() -> None:
    recent = Recent(1 << 20, 3)
    for number in range(9):
        recent.put(bytes([number]), b"")
    assert [number for number in range(9) if recent.get(bytes([number])) is not None] == [6, 7, 8]
    assert recent.nbytes == 3 * (ENTRY_BYTES + 1)


def test_what_is_counted_is_what_is_taken() -> None:
    """A bound on bytes is none if small things are counted for less than they take."""
    tracemalloc.start()
    try:
        recent = Recent(1 << 20, 1 << 20)
        before = tracemalloc.get_traced_memory()[0]
        for number in range(6000):
            recent.put(number.to_bytes(16, "big"), bytes(100))
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert recent.nbytes <= 1 << 20
    assert taken <= 1.1 * recent.nbytes


def test_a_branch_that_is_switched_back_to_is_not_read_again(
    repository: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[str] = []
    read_file = reading.read_file

    def counting(path: str, data: bytes, **options: object) -> object:
        parsed.append(path)
        return read_file(path, data, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(reading, "read_file", counting)
    monkeypatch.setattr(reading, "_recent", Recent(1 << 20, 100))

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
