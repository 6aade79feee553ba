"""What git users do every day and once a year, each for real: the memory equals one built from nothing, and only what
the model has not read before is encoded."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from soak.histories import check_memory

from app.conftest import commit, git, settings, write
from app.fake_engine import FakeEngine
from codemem.config import Settings

__all__ = ["settings"]

FILES = {name: f"def {name[:-3]}():\n    return '{name}'\n" for name in ("one.py", "two.py", "three.py")}


def other_branch(root: Path) -> None:
    """A branch that differs in one file, left again."""
    git(root, "switch", "-q", "-c", "other")
    write(root, {"one.py": "def one():\n    return 'other'\n"})
    commit(root)
    git(root, "switch", "-q", "main")


def in_conflict(root: Path, operation: str) -> None:
    write(root, {"one.py": "def one():\n    return 'ours'\n"})
    commit(root)
    with pytest.raises(subprocess.CalledProcessError, match=operation):
        git(root, operation, "other")


def after_switch(root: Path) -> None:
    git(root, "switch", "-q", "other")
    git(root, "switch", "-q", "main")


def after_stash(root: Path) -> None:
    write(root, {"two.py": "def two():\n    return 'stashed'\n", "new.py": "new = 1\n"})
    git(root, "stash", "-q", "-u")


def after_reset(root: Path) -> None:
    write(root, {"two.py": "def two():\n    return 'reset'\n"})
    commit(root)
    git(root, "reset", "-q", "--hard", "HEAD~1")


def after_clean(root: Path) -> None:
    write(root, {"untracked.py": "untracked = 1\n"})
    git(root, "clean", "-fdq")


def case_only(root: Path) -> None:
    git(root, "mv", "one.py", "ONE.py")


def mode_only(root: Path) -> None:
    (root / "one.py").chmod(0o755)


def sparse(root: Path) -> None:
    write(root, {"inside/kept.py": "kept = 1\n"})
    commit(root)
    git(root, "sparse-checkout", "set", "inside")


def submodule(root: Path) -> None:
    write(root / "inner", {"alpha.py": "alpha = 1\n"})
    git(root / "inner", "init", "-q")
    commit(root / "inner")


@pytest.mark.parametrize(
    ("situation", "encoded"),
    [
        (after_switch, 0), (after_stash, 0), (after_reset, 0), (after_clean, 0), (mode_only, 0), (case_only, 1),
        (submodule, 0), (sparse, 1),
        (lambda root: git(root, "switch", "-q", "--detach", "HEAD"), 0),
        (lambda root: git(root, "mv", "one.py", "renamed.py"), 1),
        (lambda root: git(root, "merge", "-q", "other"), 1),
        (lambda root: git(root, "cherry-pick", "other"), 1),
        (lambda root: git(root, "rebase", "-q", "other"), 1),
        (lambda root: in_conflict(root, "merge"), 1),
        (lambda root: in_conflict(root, "rebase"), 1),
    ],
    ids=["switch", "stash", "reset --hard", "clean", "mode", "case", "submodule", "sparse", "detach", "rename", "merge",
         "cherry-pick", "rebase", "conflict in a merge", "conflict in a rebase"],
)  # fmt: skip
def test_the_memory_follows(
    tmp_path: Path, settings: Settings, situation: Callable[[Path], None], encoded: int
) -> None:
    root, engine = tmp_path / "demo", FakeEngine()
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    write(root, FILES)
    commit(root)
    other_branch(root)
    nothing = Settings.load({"CODEMEM_HOME": str(tmp_path / "fresh")})
    check_memory(root, settings, nothing, engine)
    situation(root)
    documents = len(list(root.glob("*.py"))) + len(list(root.glob("inside/*.py")))
    before = len(engine.encoded)
    check_memory(root, settings, nothing, engine)
    # Half of the work is that of who has nothing, and encodes every document.
    assert len(engine.encoded) - before == encoded + documents
