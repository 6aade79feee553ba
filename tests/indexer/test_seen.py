"""What a process remembers of a tree never shows: a listing equals that of a process which knows nothing."""

import os
import shutil
import time
from pathlib import Path

import pytest
from app.conftest import commit, git, repository, write
from app.test_random_histories import History

from codemem.indexer import Listing, disk_tree, open_tree, seen, working_tree
from codemem.indexer import repository as repositories

__all__ = ["repository"]
SHORT_NS = 20_000_000
"""In place of two seconds: still several ticks of the clock that stamps files."""


@pytest.fixture(autouse=True)
def _short_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (seen, disk_tree):
        monkeypatch.setattr(module, "RACY_NS", SHORT_NS)
    forget()


def forget() -> None:
    seen._trees.clear()
    repositories._heads.clear()
    repositories._found.clear()


def listed(root: Path) -> tuple[Listing, str | None, Path]:
    with open_tree(root) as tree:
        return tree.list(), tree.commit, tree.root


def check(root: Path) -> Listing:
    """A listing of who remembers equals one of who does not."""
    time.sleep(3 * SHORT_NS / 1e9)
    found, head, place = listed(root)
    kept = dict(seen._trees), dict(repositories._heads), dict(repositories._found)
    forget()
    expected, expected_head, expected_place = listed(root)
    assert (found.entries, found.skipped) == (expected.entries, expected.skipped)
    assert (head, place) == (expected_head, expected_place)
    for memory, before in zip((seen._trees, repositories._heads, repositories._found), kept, strict=True):
        memory.clear()
        memory.update(before)  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize("seed", range(2))
def test_random_git_commands(tmp_path: Path, seed: int) -> None:
    history = History(tmp_path / "repository", seed)
    for _ in range(20):
        history.act()
        check(history.root)


def test_git_is_asked_for_the_index_and_head_only_when_they_changed(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    run = working_tree.run_git

    def counting(directory: Path, *arguments: str, stdin: bytes = b"") -> bytes:
        asked.append(" ".join(arguments))
        return run(directory, *arguments, stdin=stdin)

    for module in (working_tree, repositories):
        monkeypatch.setattr(module, "run_git", counting)
    check(repository)
    listed(repository)
    asked.clear()
    listed(repository)
    assert asked == ["ls-files -z --others --exclude-standard"]
    commit_again(repository)
    asked.clear()
    listed(repository)
    assert any("--stage" in command for command in asked)
    assert any("rev-parse" in command for command in asked)


def commit_again(root: Path) -> None:
    write(root, {"src/more.py": "more = 1\n"})
    commit(root)


def test_references_that_move_without_a_checkout(repository: Path) -> None:
    first = git(repository, "rev-parse", "HEAD")
    commit_again(repository)
    assert check(repository)
    git(repository, "update-ref", "refs/heads/main", first)
    check(repository)
    git(repository, "pack-refs", "--all")
    check(repository)
    check(repository)
    git(repository, "branch", "-q", "-f", "other", first)
    git(repository, "symbolic-ref", "refs/heads/main", "refs/heads/other")
    check(repository)
    git(repository, "checkout", "-q", "--detach", first)
    check(repository)
    git(repository, "checkout", "-q", "--orphan", "unborn")
    check(repository)


def test_a_repository_that_appears_or_goes(repository: Path) -> None:
    inner = repository / "src"
    check(inner)
    git(inner, "init", "-q")
    check(inner)
    shutil.rmtree(inner / ".git")
    check(inner)
    moved = repository.with_name("moved")
    repository.rename(moved)
    check(moved)
    shutil.rmtree(moved / ".git")
    check(moved)


def test_patterns_that_come_and_go(repository: Path) -> None:
    check(repository)
    write(repository, {".codememignore": "*.md\n", ".gitignore": "*.log\n", "a.log": "log\n", ".env": "KEY=1\n"})
    assert "README.md" not in {entry.path for entry in check(repository).entries}
    write(repository, {".codememignore": "!*.log\n!.env\n", "src/.codememignore": "cache.py\n"})
    assert {"a.log", ".env"} <= {entry.path for entry in check(repository).entries}
    check(repository)
    (repository / ".codememignore").unlink()
    assert ".env" not in {entry.path for entry in check(repository).entries}


def test_a_file_that_becomes_something_else(repository: Path) -> None:
    check(repository)
    check(repository)
    path = repository / "src" / "cache.py"
    path.chmod(0o755)
    assert [entry.mode for entry in check(repository).entries if entry.path == "src/cache.py"] == [0o100755]
    text = path.read_bytes()
    path.unlink()
    path.symlink_to("retry.py")
    check(repository)
    path.unlink()
    path.mkdir()
    check(repository)
    path.rmdir()
    path.write_bytes(text)
    os.utime(path, (1, 1))
    assert "src/cache.py" in {entry.path for entry in check(repository).entries}
