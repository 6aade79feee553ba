"""`index` killed (SIGKILL) at any moment, again and again: nothing that was durable is lost, and it ends complete."""

import multiprocessing
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from app.conftest import git, write

from codemem.config import Settings
from codemem.index import IndexOptions, index
from codemem.manifest import Manifest
from codemem.memory import layout_of, present
from codemem.model.store import Store, StoreDirectory
from codemem.workspace import open_workspace
from soak.engines import make_engine

CONTEXT = multiprocessing.get_context("forkserver")
FILES = 30
"""New documents between two kills: work for some hundred milliseconds."""


@dataclass
class Killed:
    """What was seen."""

    kills: int = 0
    ended: int = 0
    """Runs that were done before their moment came."""
    entries: int = 0
    encoded_again: int = 0
    """Documents whose entries had been durable and were made again: always 0."""


def run_index(root: Path, home: Path, engine_name: str) -> None:
    """What the killed process does, at the pace of a model: a pause a document, a segment every few."""
    engine = make_engine(engine_name, home, pause=0.002)
    settings = Settings.load({"CODEMEM_HOME": str(home)})
    with open_workspace(root, settings, whole=False) as workspace:
        index(workspace, settings, lambda _: engine, IndexOptions())


def check_kills(folder: Path, engine_name: str, *, seed: int, kills: int) -> Killed:
    """Kills `index` so often. AssertionError if something that was durable is gone or damaged."""
    CONTEXT.set_forkserver_preload(["soak.kills", "codemem.model.engine"])
    random = np.random.default_rng(seed)
    root, home = folder / "repository", folder / "home"
    root.mkdir(parents=True)
    git(root, "init", "-q")
    settings, seen = Settings.load({"CODEMEM_HOME": str(home)}), Killed()
    duration, durable = 0.0, set[bytes]()
    for number in range(kills):
        add_files(root, number, random)
        process = CONTEXT.Process(target=run_index, args=(root, home, engine_name), daemon=True)
        started = time.monotonic()
        process.start()
        # The first run tells how long one takes; the moments of the others are spread over all of it.
        process.join(random.uniform(0.0, duration) if number else None)
        if process.is_alive():
            process.kill()
            seen.kills += 1
        else:
            seen.ended += 1
            duration = time.monotonic() - started
        process.join()
        assert process.exitcode in (0, -9), f"seed {seed}, run {number}: index failed by itself"
        now = check_store(settings, root)
        assert durable <= now, f"seed {seed}, run {number}: {len(durable - now)} durable entries are gone"
        durable = now
        duration *= 1.05  # what a killed run left to do is added to the next one's work
    before = stored(settings, root)
    engine = make_engine(engine_name, home)
    with open_workspace(root, settings, whole=False) as workspace:
        result = index(workspace, settings, lambda _: engine, IndexOptions())
    assert result.encoded + result.reused == result.documents
    seen.encoded_again = result.encoded - len(wanted(settings, root) - before)
    seen.entries = result.documents
    assert seen.encoded_again == 0
    return seen


def add_files(root: Path, number: int, random: np.random.Generator) -> None:
    """New documents, and one of the old ones changed."""
    texts = {
        f"part{number % 7}/file{number}_{i}.py": f"def f{number}_{i}():\n    return {random.integers(1 << 30)}\n"
        for i in range(FILES)
    }
    write(root, texts | {"often.py": f"often = {number}\n"})
    if number % 3 == 0:
        git(root, "add", "-A")
        git(root, "commit", "-q", "-m", "Step")


def check_store(settings: Settings, root: Path) -> set[bytes]:
    """The keys of all entries; every byte of store and manifest is as it was written."""
    if not settings.places.store.is_dir():
        return set()
    with StoreDirectory.open(settings.places.store) as store:
        report = store.verify(full=True)
        assert report.ok, report.problems
    with open_workspace(root, settings, whole=False) as workspace:
        workspace.load()
        assert workspace.notes == [], workspace.notes
    return stored(settings, root)


def manifest_of(settings: Settings, root: Path) -> Manifest:
    with open_workspace(root, settings, whole=False) as workspace:
        return workspace.load() or Manifest.empty()


def wanted(settings: Settings, root: Path) -> set[bytes]:
    manifest = manifest_of(settings, root)
    layout = layout_of(manifest)
    return set(manifest.keys_for(layout.fingerprint).key_list()) if layout else set()


def stored(settings: Settings, root: Path) -> set[bytes]:
    """Keys of the present manifest's documents that are in the store. Files are only added, but for often.py."""
    manifest = manifest_of(settings, root)
    layout = layout_of(manifest)
    if layout is None or not settings.places.store.is_dir():
        return set()
    keys = manifest.keys_for(layout.fingerprint)
    with Store.open(settings.places.store, layout) as store:
        there = present(keys, store)
    row = manifest.index_of.get("often.py")
    changing = set() if row is None else set(manifest.document_range(row))
    listed = keys.key_list()
    return {listed[at] for at in np.flatnonzero(there).tolist() if at not in changing}
