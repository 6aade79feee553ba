"""Random git commands on one repository, the rare ones included, and whether the memory follows them."""

import contextlib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
from app.conftest import git, write
from app.test_random_histories import WORDS, History, same_manifest

from codemem.config import Settings
from codemem.engine_interface import MemoryEngine
from codemem.find import find
from codemem.index import IndexOptions, index
from codemem.manifest import Manifest
from codemem.memory import layout_of
from codemem.model.store import LoadedEntries, Store
from codemem.results import FoundPlace
from codemem.search import Target, open_session
from codemem.workspace import open_workspace

STEPS_A_REPOSITORY = 100
"""Then a new one is begun: histories that grow without end would make the last steps say little."""


class RareHistory(History):
    """With what people do once a week: conflicts, rebases, submodules, sparse checkouts, links, case-only renames."""

    def try_git(self, *arguments: str) -> bool:
        with contextlib.suppress(subprocess.CalledProcessError):
            git(self.root, *arguments)
            return True
        return False

    def settled(self) -> None:
        """Out of whatever was in progress, as who gives up does."""
        for operation in ("merge", "rebase", "cherry-pick"):
            self.try_git(operation, "--abort")

    def mode(self) -> None:
        if files := self.files():
            path = self.root / self.random.choice(files)
            if not path.is_symlink():
                path.chmod(path.stat().st_mode ^ 0o111)

    def case(self) -> None:
        if files := self.files():
            name = self.random.choice(files)
            folder, slash, base = name.rpartition("/")
            self.try_git("mv", name, f"{folder}{slash}{base.swapcase()}")

    def link(self) -> None:
        if files := self.files():
            path = self.root / self.random.choice(files)
            path.unlink()
            path.symlink_to(self.random.choice(("README.md", "/etc/hostname", "nowhere")))

    def merge(self) -> None:
        """A conflict is left as it stands: files with markers, several stages in the index."""
        self.other("merge", "--no-edit")

    def rebase(self) -> None:
        self.other("rebase")

    def other(self, *command: str) -> None:
        self.settled()
        self.commit()
        branches = git(self.root, "branch", "--format=%(refname:short)").split("\n")
        if names := [name for name in branches if name and "(" not in name]:
            self.try_git(*command, self.random.choice(names))

    def stash_pop(self) -> None:
        self.try_git("stash", "pop", "-q")

    def sparse(self) -> None:
        if self.random.random() < 0.5:
            self.try_git("sparse-checkout", "set", "pkg")
        else:
            self.try_git("sparse-checkout", "disable")

    def gitignore(self) -> None:
        write(self.root, {".gitignore": f"{self.random.choice(WORDS)}.py\n*.log\n", "some.log": "log\n"})

    def submodule(self) -> None:
        inner = self.root / "inner"
        if not inner.exists():
            inner.mkdir()
            git(inner, "init", "-q")
            write(inner, {"alpha.py": "alpha = 1\n"})
            git(inner, "add", "-A")
            git(inner, "commit", "-q", "-m", "Inner")

    def restore(self) -> None:
        if files := self.files():
            name = self.random.choice(files)
            if not (self.root / name).is_symlink():
                write(self.root, {name: "edited = 1\n"})
            self.try_git("restore", name)

    def acts(self) -> list[Callable[[], None]]:
        return [
            self.edit, self.edit, self.edit, self.move_text, self.delete, self.rename, self.commit, self.branch,
            self.back, self.detach, self.reset, self.stash, self.stash_pop, self.clean, self.ignore, self.touch,
            self.mode, self.case, self.link, self.merge, self.rebase, self.sparse, self.gitignore, self.submodule,
            self.restore, self.settled,
        ]  # fmt: skip

    def act(self) -> str:
        """A command that git refuses in this state (an unfinished merge, say) is one that a user tried in vain."""
        chosen = self.random.choice(self.acts())
        try:
            chosen()
        except subprocess.CalledProcessError:
            return f"{chosen.__name__} (refused)"
        except (IsADirectoryError, NotADirectoryError, FileExistsError):
            return f"{chosen.__name__} (in the way)"
        return chosen.__name__


def check_history(folder: Path, engine: MemoryEngine, *, seed: int, steps: int) -> list[str]:
    """Does random things in a new repository and compares after each; what was done. AssertionError on a difference."""
    settings = Settings.load({"CODEMEM_HOME": str(folder / "home")})
    nothing = Settings.load({"CODEMEM_HOME": str(folder / "fresh")})
    history = RareHistory(folder / "repository", seed)
    acts: list[str] = []
    for _ in range(steps):
        acts.append(history.act())
        try:
            check_memory(history.root, settings, nothing, engine)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, after {', '.join(acts)}: {error}") from error
    return acts


def check_memory(root: Path, settings: Settings, nothing: Settings, engine: MemoryEngine) -> None:
    """The memory kept in step equals one of who has `nothing`: documents, keys, entries, results."""
    kept, ours, found = remembered(root, settings, engine)
    own, aside = root / ".git" / "codemem", root.parent / "aside"
    shutil.move(own, aside)
    try:
        fresh, theirs, expected = remembered(root, nothing, engine)
    finally:
        shutil.rmtree(own, ignore_errors=True)
        shutil.move(aside, own)
        shutil.rmtree(nothing.places.data, ignore_errors=True)
    same_manifest(kept, fresh)
    assert not ours.missing
    assert not theirs.missing
    assert all(np.array_equal(ours.tensors[name], theirs.tensors[name]) for name in theirs.tensors)
    assert np.array_equal(ours.chunk_ends, theirs.chunk_ends)
    assert found == expected


def remembered(
    root: Path, settings: Settings, engine: MemoryEngine
) -> tuple[Manifest, LoadedEntries, list[FoundPlace]]:
    """Manifest, entries and results, brought up to date."""
    with open_workspace(root, settings, whole=False) as workspace:
        index(workspace, settings, lambda _: engine, IndexOptions())
        manifest = workspace.load()
    assert manifest is not None
    layout = layout_of(manifest)
    assert layout is not None
    with open_session(Target([root]), settings, lambda _: engine) as session:
        result = find(session, "alpha gamma", k=5)
    assert result.fresh
    with Store.open(settings.places.store, layout) as store:
        return manifest, store.load(manifest.keys_for(layout.fingerprint).key_list()), list(result.results)
