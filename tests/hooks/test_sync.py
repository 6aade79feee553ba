"""One sync at a time, one more for whatever came meanwhile, and no mark that nobody sees."""

import os
import threading
from pathlib import Path

import filelock
import pytest

from codemem.hooks.sync import LOCK, MARK, PID, sync_while_marked


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / MARK).touch()
    return tmp_path


def test_a_mark_is_one_sync(place: Path) -> None:
    seen: list[str] = []

    def sync() -> None:
        seen.append((place / PID).read_text())
        assert not (place / MARK).exists(), "what happens from here on must be seen as new"

    assert sync_while_marked(place, sync, quiet=0) == 1
    assert seen == [f"{os.getpid()}\n"]
    assert not (place / MARK).exists()
    assert not (place / PID).exists()


def test_without_a_mark_nothing_is_done(tmp_path: Path) -> None:
    assert sync_while_marked(tmp_path, lambda: pytest.fail("called"), quiet=0) == 0


def test_marks_during_a_sync_are_one_more_sync(place: Path) -> None:
    calls: list[int] = []

    def sync() -> None:
        calls.append(len(calls))
        if len(calls) == 1:
            for _ in range(10):
                (place / MARK).touch()

    assert sync_while_marked(place, sync, quiet=0) == 2


def test_a_mark_left_after_the_pid_file_went_is_seen(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hook that still found the pid file started nothing: its mark must be met by the last look."""
    calls: list[int] = []
    unlink = Path.unlink

    def unlink_and_mark(path: Path, missing_ok: bool = False) -> None:
        if path.name == PID and len(calls) == 1:
            (place / MARK).touch()
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink_and_mark)
    assert sync_while_marked(place, lambda: calls.append(1), quiet=0) == 2


def test_two_processes_do_not_sync_at_once(place: Path) -> None:
    with filelock.FileLock(place / LOCK):
        assert sync_while_marked(place, lambda: pytest.fail("called"), quiet=0, patience=0) == 0
    assert (place / MARK).exists()


def test_who_comes_while_another_ends_takes_over(place: Path) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def first() -> None:
        inside.set()
        go_on.wait(20)

    one = threading.Thread(target=sync_while_marked, args=(place, first), kwargs={"quiet": 0})
    one.start()
    inside.wait(20)
    calls: list[int] = []
    two = threading.Thread(target=sync_while_marked, args=(place, lambda: calls.append(1)), kwargs={"quiet": 0})
    two.start()
    go_on.set()
    one.join(20)
    (place / MARK).touch()
    two.join(20)
    sync_while_marked(place, lambda: calls.append(1), quiet=0)
    assert len(calls) == 1
    assert not (place / MARK).exists()


def test_an_error_leaves_no_pid_behind(place: Path) -> None:
    def sync() -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        sync_while_marked(place, sync, quiet=0)
    assert not (place / PID).exists()
