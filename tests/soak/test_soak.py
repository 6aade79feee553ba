"""A seeded sample of what `make soak` does for hours."""

from pathlib import Path

import pytest
from app.conftest import FILES, commit, git, write
from app.fake_engine import FakeEngine
from daemon import fake_daemon
from daemon.conftest import address, settings

from codemem.daemon.address import Address
from soak.histories import check_history
from soak.kills import Killed, check_kills
from soak.load import Load, check_load, private_bytes, start_daemon

__all__ = ["address", "settings"]


@pytest.mark.parametrize("seed", [11])
def test_random_git_steps_leave_no_difference(tmp_path: Path, seed: int) -> None:
    assert len(check_history(tmp_path, FakeEngine(), seed=seed, steps=12)) == 12


def test_kills_lose_nothing(tmp_path: Path) -> None:
    seen = check_kills(tmp_path, "fake", seed=3, kills=6)
    assert seen.kills + seen.ended == 6
    assert seen.entries == 6 * 30 + 1


def test_a_run_that_ended_leaves_nothing_to_encode(tmp_path: Path) -> None:
    """The first run is never killed: the one after it must find all of it, also the file that changes every time."""
    assert check_kills(tmp_path, "fake", seed=3, kills=1) == Killed(kills=0, ended=1, entries=31)


def test_what_is_encoded_again_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codemem.index._complete", lambda *_: None)
    monkeypatch.setattr("codemem.memory.Plan.missing", lambda plan: [7])
    with pytest.raises(AssertionError, match="the last run: 1 durable entries are encoded again"):
        check_kills(tmp_path, "fake", seed=3, kills=1)


def test_mixed_load_is_answered(tmp_path: Path, address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))
    root = tmp_path / "demo"
    root.mkdir()
    git(root, "init", "-q")
    write(root, FILES)
    commit(root)
    daemon = start_daemon([fake_daemon.__file__], address)
    try:
        before = private_bytes(daemon.pid)
        seen = check_load([root], address, daemon.pid, seed=1, seconds=3.0, samples=8)
    finally:
        daemon.kill()
        daemon.wait()
    assert seen.errors == []
    assert seen.requests["find"] > 0
    # What three seconds can show: nothing is kept a request. An hour shows the rest.
    assert max(seen.resident) < before + 100_000_000


def test_growth_is_seen() -> None:
    assert Load(resident=[5, 9, 10, 10, 10, 10, 10, 10]).growth == 0
    assert Load(resident=[5, 9, 10, 10, 14, 16, 20, 20]).growth == 1.0
