"""Whatever is done with git, the memory kept in step equals one built from nothing: documents, keys, results."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from app.conftest import git, write
from app.fake_engine import FakeEngine
from codemem.config import Settings
from codemem.find import find
from codemem.index import IndexOptions, index
from codemem.manifest import Manifest
from codemem.memory import layout_of, present
from codemem.model.store import Store
from codemem.search import Target, open_session
from codemem.snapshot import make_snapshot
from codemem.workspace import open_workspace

STEPS = 14
WORDS = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta")


class History:
    """Random acts on one repository; each leaves it in a state that git can get into."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root = root
        self.random = random.Random(seed)  # noqa: S311 - a test that can be repeated
        root.mkdir()
        git(root, "init", "-q")
        self.edit()
        self.commit()

    def files(self) -> list[str]:
        return [p for p in git(self.root, "ls-files").split("\n") if p and (self.root / p).is_file()]

    def name(self) -> str:
        return f"{self.random.choice(('', 'pkg/', 'pkg/deep/'))}{self.random.choice(WORDS)}.py"

    def text(self) -> str:
        parts = self.random.sample(WORDS, 3)
        bodies = (f"def {word}():\n" + f"    {word} += 1\n" * self.random.randrange(1, 60) + "\n" for word in parts)
        return "\n".join(bodies)

    def edit(self) -> None:
        name = self.name()
        if not (self.root / name).is_dir():
            write(self.root, {name: self.text()})

    def move_text(self) -> None:
        """An unchanged part that moves within its file."""
        if files := self.files():
            path = self.root / self.random.choice(files)
            path.write_text("# moved down\n\n" + path.read_text())

    def delete(self) -> None:
        if files := self.files():
            (self.root / self.random.choice(files)).unlink()

    def rename(self) -> None:
        target = f"pkg/renamed{self.random.randrange(3)}.py"
        if (files := self.files()) and not (self.root / target).exists():
            (self.root / "pkg").mkdir(exist_ok=True)
            git(self.root, "mv", self.random.choice(files), target)

    def commit(self) -> None:
        git(self.root, "add", "-A")
        git(self.root, "commit", "-q", "--allow-empty", "-m", "Step")

    def branch(self) -> None:
        self.commit()
        git(self.root, "switch", "-q", "-C", self.random.choice(("one", "two")))

    def back(self) -> None:
        self.commit()
        branches = git(self.root, "branch", "--format=%(refname:short)").split("\n")
        git(self.root, "switch", "-q", self.random.choice([b for b in branches if "(" not in b]))

    def detach(self) -> None:
        self.commit()
        git(self.root, "switch", "-q", "--detach", "HEAD")

    def reset(self) -> None:
        if int(git(self.root, "rev-list", "--count", "HEAD")) > 1:
            git(self.root, "reset", "-q", "--hard", "HEAD~1")

    def stash(self) -> None:
        self.edit()
        git(self.root, "stash", "-q", "-u")

    def clean(self) -> None:
        git(self.root, "clean", "-fdq")

    def ignore(self) -> None:
        write(self.root, {".codememignore": f"{self.random.choice(WORDS)}.py\n"})

    def touch(self) -> None:
        for name in self.files():
            (self.root / name).touch()

    def act(self) -> str:
        acts: list[Callable[[], None]] = [
            self.edit, self.edit, self.move_text, self.delete, self.rename, self.commit, self.branch, self.back,
            self.detach, self.reset, self.stash, self.clean, self.ignore, self.touch,
        ]  # fmt: skip
        chosen = self.random.choice(acts)
        chosen()
        return chosen.__name__


def same_manifest(kept: Manifest, fresh: Manifest) -> None:
    assert list(kept.paths) == list(fresh.paths)
    assert list(kept.files()) == list(fresh.files())
    assert kept.all_skipped == fresh.all_skipped
    assert kept.fingerprint is not None
    known, new = kept.keys_for(kept.fingerprint), fresh.keys_for(kept.fingerprint)
    assert np.array_equal(known.keys, new.keys)
    assert np.array_equal(known.tokens, new.tokens)


@pytest.mark.parametrize("seed", range(3))
def test_a_memory_kept_in_step_equals_one_built_from_nothing(tmp_path: Path, settings: Settings, seed: int) -> None:
    engine = FakeEngine()
    history = History(tmp_path / "repository", seed)
    acts = []
    for _ in range(STEPS):
        acts.append(history.act())
        with open_workspace(history.root, settings, whole=False) as workspace:
            index(workspace, settings, lambda _: engine, IndexOptions())
            kept = workspace.load()
            assert kept is not None
            layout = layout_of(kept)
            assert layout is not None
            with Store.open(settings.places.store, layout) as store:
                assert present(kept.keys_for(layout.fingerprint), store).all(), acts
        fresh_settings = Settings.load({"CODEMEM_HOME": str(tmp_path / "fresh")})
        fresh, found = build_anew(history.root, fresh_settings, engine)
        same_manifest(kept, fresh)
        with open_session(Target([history.root]), settings, lambda _: engine) as session:
            results = find(session, "alpha gamma", k=5)
        assert results.fresh
        assert list(results.results) == found, acts


def build_anew(root: Path, settings: Settings, engine: FakeEngine) -> tuple[Manifest, list[object]]:
    """Index and find with folders that know nothing, leaving the repository's own manifest as it was."""
    own, aside = root / ".git" / "codemem", root.parent / "aside"
    shutil.move(own, aside)
    try:
        with open_workspace(root, settings, whole=False) as workspace:
            index(workspace, settings, lambda _: engine, IndexOptions())
            fresh = workspace.load()
        assert fresh is not None
        with open_session(Target([root]), settings, lambda _: engine) as session:
            return fresh, list(find(session, "alpha gamma", k=5).results)
    finally:
        shutil.rmtree(own, ignore_errors=True)
        shutil.move(aside, own)
        shutil.rmtree(settings.places.data, ignore_errors=True)


def test_what_git_says_unchanged_is_not_parsed_again(tmp_path: Path, settings: Settings) -> None:
    """The racy moment aside, a second look reads nothing: make_snapshot finds no difference."""
    history = History(tmp_path / "repository", 0)
    with open_workspace(history.root, settings, whole=False) as workspace:
        index(workspace, settings, lambda _: FakeEngine(), IndexOptions(purpose="outline"))
        kept = workspace.load()
        assert kept is not None
        assert not make_snapshot(workspace, kept).differs
