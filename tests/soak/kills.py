"""`index` killed (SIGKILL) over and over: nothing durable is lost or encoded again, and it ends complete."""

import multiprocessing
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
from app.conftest import git, write

import codemem.index
from codemem.config import Settings
from codemem.engine_interface import MemoryEngine
from codemem.index import IndexOptions, index
from codemem.manifest import Manifest
from codemem.memory import Memory, layout_of
from codemem.model.entry import Entry, EntryLayout, TokenisedDocument
from codemem.model.store import Store, StoreDirectory, StoreOptions
from codemem.results import IndexResult
from codemem.workspace import open_workspace
from soak.engines import make_engine

CONTEXT = multiprocessing.get_context("forkserver")
FILES = 30
"""New documents between two kills: work for some hundred milliseconds."""
ASKED = "asked"
"""The file, beside the repository, of the keys that were to be encoded, one after the other as they were asked for."""
KEY_BYTES = 32
SEGMENT_ENTRIES = 4
"""Entries a segment: by default such short runs would write one each, at their end, and no kill would meet a merge."""


@dataclass
class Killed:
    """What was seen."""

    kills: int = 0
    ended: int = 0
    """Runs that were done before their moment came."""
    entries: int = 0


def run_index(folder: Path, engine: MemoryEngine) -> IndexResult:
    """Notes the keys that the model is asked to encode before it begins, so that a kill hides none."""
    settings, encode = settings_of(folder), engine.encode

    def noting(documents: Sequence[TokenisedDocument], layout: EntryLayout) -> Iterator[Entry]:
        with (folder / ASKED).open("ab") as file:
            file.write(b"".join(layout.key(document.ids) for document in documents))
        return encode(documents, layout)

    with (
        mock.patch.object(engine, "encode", noting),
        mock.patch.object(codemem.index, "open_memory", open_memory),
        open_workspace(root_of(folder), settings, whole=False) as tree,
    ):
        return index(tree, settings, lambda _: engine, IndexOptions())


def open_memory(engine: MemoryEngine, _purpose: str, settings: Settings) -> Memory:
    """As that of codemem.index, but with small segments."""
    options = StoreOptions(segment_entries=SEGMENT_ENTRIES)
    return Memory(engine, engine.layout, Store.open(settings.places.store, engine.layout, options=options))


def be_killed(folder: Path, engine_name: str) -> None:
    """What the killed process does, at the pace of a model: a pause a document."""
    run_index(folder, make_engine(engine_name, home_of(folder), pause=0.002))


def check_kills(folder: Path, engine_name: str, *, seed: int, kills: int) -> Killed:
    """Kills `index` so often. AssertionError if something durable is gone, damaged or encoded again.

    Durable is what the store has after a run, killed or not, of all that was ever to be encoded: also the entries of
    texts that are no more, for a store without a limit drops nothing.
    """
    CONTEXT.set_forkserver_preload(["soak.kills", "codemem.model.engine"])
    random = np.random.default_rng(seed)
    root = root_of(folder)
    root.mkdir(parents=True)
    git(root, "init", "-q")
    (folder / ASKED).touch()
    seen, duration, durable = Killed(), 0.0, set[bytes]()
    for number in range(kills):
        run = f"seed {seed}, run {number}"
        add_files(root, number, random)
        before = len(asked(folder))
        process = CONTEXT.Process(target=be_killed, args=(folder, engine_name), daemon=True)
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
        assert process.exitcode in (0, -9), f"{run}: index failed by itself"
        durable = check_run(folder, run, before, durable)
        assert process.exitcode or wanted(folder) <= durable, f"{run}: index ended and has not everything"
        duration *= 1.05  # what a killed run left to do is added to the next one's work
    run, before = f"seed {seed}, the last run", len(asked(folder))
    result = run_index(folder, make_engine(engine_name, home_of(folder)))
    durable = check_run(folder, run, before, durable)
    assert wanted(folder) <= durable, f"{run}: index ended and has not everything"
    assert result.encoded + result.reused == result.documents
    assert result.encoded == len(asked(folder)) - before
    seen.entries = result.documents
    return seen


def check_run(folder: Path, run: str, before: int, durable: set[bytes]) -> set[bytes]:
    """What is durable now. `before`: how many keys had been asked for when the run began."""
    again = durable.intersection(asked(folder)[before:])
    assert not again, f"{run}: {len(again)} durable entries are encoded again"
    now = check_store(folder)
    assert durable <= now, f"{run}: {len(durable - now)} durable entries are gone"
    return now


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


def check_store(folder: Path) -> set[bytes]:
    """The keys of all entries; every byte of store and manifest is as it was written."""
    place = settings_of(folder).places.store
    if not place.is_dir():
        return set()
    with StoreDirectory.open(place) as store:
        report = store.verify(full=True)
        assert report.ok, report.problems
    layout = layout_of(manifest_of(folder))
    if layout is None:
        return set()
    with Store.open(place, layout) as store:
        return store.has(asked(folder))


def wanted(folder: Path) -> set[bytes]:
    """Keys of all documents of the manifest."""
    manifest = manifest_of(folder)
    layout = layout_of(manifest)
    return set(manifest.keys_for(layout.fingerprint).key_list()) if layout else set()


def asked(folder: Path) -> list[bytes]:
    keys = (folder / ASKED).read_bytes()
    return [keys[at : at + KEY_BYTES] for at in range(0, len(keys), KEY_BYTES)]


def manifest_of(folder: Path) -> Manifest:
    with open_workspace(root_of(folder), settings_of(folder), whole=False) as workspace:
        manifest = workspace.load() or Manifest.empty()
        assert workspace.notes == [], workspace.notes
        return manifest


def root_of(folder: Path) -> Path:
    return folder / "repository"


def home_of(folder: Path) -> Path:
    return folder / "home"


def settings_of(folder: Path) -> Settings:
    return Settings.load({"CODEMEM_HOME": str(home_of(folder))})
