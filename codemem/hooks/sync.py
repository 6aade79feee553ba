"""What a hook starts in the background: one sync at a time a tree, and one more if something happened meanwhile."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import filelock

MARK = "sync.dirty"
PID = "sync.pid"
LOCK = "sync.lock"
QUIET_SECONDS = 0.3
"""A sync begins when nothing has happened for so long: a script's commits come in bursts."""
HANDOVER_SECONDS = 10.0
"""How long a second process waits for one that may be about to end."""


def sync_while_marked(
    place: Path, sync: Callable[[], None], *, quiet: float = QUIET_SECONDS, patience: float = HANDOVER_SECONDS
) -> int:
    """Calls `sync` until the mark in `place` stays away; how often it was called. 0 if another process does it.

    The pid file tells hooks that someone looks at the mark. It goes before the last look, so that a hook which finds it
    has left its mark in time, and one which does not starts a process of its own.
    """
    lock = filelock.FileLock(place / LOCK, mode=0o600)
    try:
        lock.acquire(timeout=patience)
    except filelock.Timeout:
        return 0
    count = 0
    try:
        while (place / MARK).exists():
            _note_pid(place)
            count += _drain(place, sync, quiet)
            (place / PID).unlink(missing_ok=True)
    finally:
        (place / PID).unlink(missing_ok=True)
        lock.release()
    return count


def _drain(place: Path, sync: Callable[[], None], quiet: float) -> int:
    count = 0
    while (place / MARK).exists():
        _wait_for_quiet(place / MARK, quiet)
        (place / MARK).unlink(missing_ok=True)
        sync()
        count += 1
    return count


def _note_pid(place: Path) -> None:
    (place / PID).write_text(f"{os.getpid()}\n", encoding="ascii")


def _wait_for_quiet(mark: Path, quiet: float) -> None:
    """Until the mark is old enough. A clock that was set back is not waited for."""
    while True:
        try:
            age = time.time() - mark.stat().st_mtime
        except FileNotFoundError:
            return
        if age >= quiet or age < 0:
            return
        time.sleep(quiet - age)
