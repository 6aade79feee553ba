"""Which git commands start a sync, with every git at hand; and that git never waits for it or hears of it."""

import subprocess
from pathlib import Path

import pytest

from codemem.hooks import install_hooks, uninstall_hooks
from codemem.hooks.script import CONFIG_COMMAND
from hooks.conftest import Repository, StandIn


@pytest.fixture
def hooked(repository: Repository, stand_in: StandIn) -> Repository:
    assert install_hooks(repository.root).active
    return repository


def mark(repository: Repository) -> Path:
    return repository.place / "sync.dirty"


def test_a_commit_starts_one_sync_and_does_not_wait(hooked: Repository, stand_in: StandIn) -> None:
    assert hooked.commit("a.txt") == ""
    assert mark(hooked).exists()
    # The stand-in still runs, git has long returned.
    assert stand_in.calls(1) == [f"{hooked.root}: -P -m codemem hook run"]
    assert (hooked.place / "sync.pid").read_text().strip().isdigit()


def test_what_happens_while_a_sync_runs_marks_and_starts_nothing(hooked: Repository, stand_in: StandIn) -> None:
    hooked.commit("a.txt")
    stand_in.calls(1)
    mark(hooked).unlink()
    for number in range(5):
        hooked.commit(f"more-{number}.txt")
    assert mark(hooked).exists()
    stand_in.let_go()
    stand_in.wait_for_end(hooked.place / "sync.pid")
    hooked.commit("after.txt")
    assert len(stand_in.calls(2)) == 2


def test_merge_checkout_and_amend_mark_but_restore_does_not(hooked: Repository, stand_in: StandIn) -> None:
    def marks(*arguments: str) -> bool:
        mark(hooked).unlink(missing_ok=True)
        hooked.git(*arguments)
        return mark(hooked).exists()

    assert marks("checkout", "-q", "-b", "side")
    hooked.commit("side.txt")
    assert marks("checkout", "-q", "main")
    assert marks("merge", "-q", "--ff-only", "side")
    assert marks("commit", "-q", "--amend", "-m", "Other words")
    (hooked.root / "first.txt").write_text("edited\n")
    assert not marks("restore", "first.txt")


def test_a_rebase_of_many_commits_is_one_sync(hooked: Repository, stand_in: StandIn) -> None:
    hooked.git("checkout", "-q", "-b", "side")
    for number in range(12):
        hooked.commit(f"side-{number}.txt")
    hooked.git("checkout", "-q", "main")
    hooked.commit("main.txt")
    hooked.git("checkout", "-q", "side")
    stand_in.let_go()
    stand_in.wait_for_end(hooked.place / "sync.pid")
    before = len(stand_in.calls(1))
    mark(hooked).unlink()
    hooked.git("rebase", "-q", "--exec", f"test ! -e '{mark(hooked)}'", "main")
    assert mark(hooked).exists()
    assert len(stand_in.calls(before + 1)) == before + 1


def test_a_worktree_has_a_mark_of_its_own(hooked: Repository, stand_in: StandIn, tmp_path: Path) -> None:
    other = tmp_path / "other"
    hooked.git("worktree", "add", "-q", str(other))
    place = hooked.root / ".git" / "codemem" / "worktree-other"
    assert not place.exists(), "a worktree that is not indexed stays so"
    place.mkdir()
    (place / "manifest").touch()
    mark(hooked).unlink(missing_ok=True)
    hooked.git("-C", str(other), "commit", "-q", "--allow-empty", "-m", "There")
    assert (place / "sync.dirty").exists()
    assert not mark(hooked).exists()
    assert any(call.startswith(f"{other}: ") for call in stand_in.calls(1))


def test_a_repository_that_is_not_indexed_is_left_alone(hooked: Repository) -> None:
    (hooked.place / "manifest").unlink()
    assert hooked.commit("a.txt") == ""
    assert list(hooked.place.iterdir()) == []


def test_commits_go_on_when_codemem_is_gone(hooked: Repository, stand_in: StandIn) -> None:
    stand_in.path.unlink()
    assert hooked.commit("a.txt") == ""
    (hooked.root / ".git" / "codemem" / "hook").unlink()
    assert hooked.commit("b.txt") == ""
    assert hooked.git("checkout", "-q", "-b", "side") == ""


def test_nothing_fires_after_an_uninstall(hooked: Repository) -> None:
    assert not uninstall_hooks(hooked.root).active
    assert hooked.commit("a.txt") == ""
    assert not mark(hooked).exists()
    assert (hooked.place / "manifest").exists()
    assert hooked.git("status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("arguments", "marks"),
    [((), True), (("rebase",), True), (("amend",), True), (("a", "b", "1"), True), (("a", "b", "0"), False)],
)
def test_the_configured_command_takes_the_arguments_as_git_appends_them(
    new_git: Repository, stand_in: StandIn, arguments: tuple[str, ...], marks: bool
) -> None:
    """Git runs `sh -c 'COMMAND "$@"' COMMAND ARGUMENTS...`: seen with 2.55.0."""
    install_hooks(new_git.root)
    command = ["sh", "-c", f'{CONFIG_COMMAND} "$@"', CONFIG_COMMAND, *arguments]
    subprocess.run(command, cwd=new_git.root, env=new_git.environment, check=True)
    assert mark(new_git).exists() is marks
