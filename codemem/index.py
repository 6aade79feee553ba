"""`codemem index`: the outline of a tree, then its memory."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from codemem.adapters import earlier_name
from codemem.config import Settings
from codemem.engine_interface import MemoryEngine
from codemem.engines import LoadEngine, model_name
from codemem.errors import CodememError, WorkInterruptedError
from codemem.manifest import Manifest
from codemem.memory import Encoded, Memory, Plan, complete_files, encoding_order, layout_info, layout_of, present
from codemem.model.errors import ModelError
from codemem.model.store import Store
from codemem.progress import Report, silent
from codemem.results import IndexResult
from codemem.snapshot import Snapshot, make_snapshot
from codemem.workspace import Workspace

PURPOSES = ("ask", "find", "outline")
SAVE_SECONDS = (0.0, 4.0, 30.0)
"""How long a tree that is new is read before the outline is saved, the last again and again: first the names of all
files, from which `find` can answer at once; then what a kill may cost."""
SPEED_TOKENS = 2000
"""A run that encoded fewer tokens says nothing about speed."""


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """What `codemem index` was asked for."""

    purpose: str | None = None
    """One of PURPOSES; None: as last time, or 'ask'."""
    model: str | None = None
    upgrade: bool = False
    """Read and encode anew with the present version of the model and the indexer."""


def index(
    workspace: Workspace,
    settings: Settings,
    load_engine: LoadEngine,
    options: IndexOptions,
    *,
    report: Report = silent,
) -> IndexResult:
    """Brings outline and memory to what is on disk.

    The outline is saved before the model is loaded, so that it serves even if there are no weights.
    Raises WorkInterruptedError after Ctrl-C, with everything done so far kept.
    """
    started = time.monotonic()
    last = workspace.load()
    known = last or workspace.load_relative() or Manifest.empty()
    base = Manifest.empty(known.info) if options.upgrade else known
    with workspace.reading():
        snapshot = _read_tree(workspace, base, report)
    removed = _removed(last, snapshot.manifest)
    purpose = options.purpose or (known.info.purpose if known.info.model else "ask")
    if purpose == "outline":
        return _result(snapshot, None, None, removed, started)
    name = model_name(workspace, settings, known, options.model)
    if not options.upgrade and (done := _complete(snapshot, settings, name, purpose)):
        return _result(snapshot, done, None, removed, started)
    engine = _engine_of(snapshot.manifest, load_engine, name, options)
    with workspace.writing(wait=True):
        work, encoded = _remember(snapshot, settings, engine, purpose, report)
    return _result(snapshot, work, encoded, removed, started)


def _read_tree(workspace: Workspace, known: Manifest, report: Report) -> Snapshot:
    """Reads what changed. What is known is saved now and then, so that `find` can answer from the first second on."""
    first, *others, last = SAVE_SECONDS if not len(known) else SAVE_SECONDS[1:]
    snapshot = make_snapshot(workspace, known, seconds=first, report=report)
    snapshot.save()
    pauses = iter(others)
    while snapshot.unread:
        seconds = next(pauses, last)
        snapshot = make_snapshot(workspace, snapshot.manifest, outline=snapshot.outline, seconds=seconds, report=report)
        snapshot.save()
    return snapshot


def _complete(snapshot: Snapshot, settings: Settings, name: str, purpose: str) -> Plan | None:
    """What is in memory, if that is everything: then no model need be loaded to know that nothing is missing."""
    manifest = snapshot.manifest
    layout = layout_of(manifest)
    if layout is None or (manifest.info.model, manifest.info.purpose) != (name, purpose):
        return None
    keys = manifest.keys_for(layout.fingerprint)
    if not keys.known.all() or not settings.places.store.is_dir():
        return None
    with Store.open(settings.places.store, layout) as store:
        there = present(keys, store)
    return Plan(manifest, keys, there) if there.all() else None


def _removed(last: Manifest | None, manifest: Manifest) -> int:
    """Documents of files that were there last time and are gone."""
    if last is None:
        return 0
    return sum(len(last.document_range(row)) for row, path in enumerate(last.paths) if path not in manifest)


def _engine_of(manifest: Manifest, load_engine: LoadEngine, name: str, options: IndexOptions) -> MemoryEngine:
    """The model; if its memory is of an earlier version, that version, for as long as nobody asks for the new one.

    Raises CodememError if the earlier version cannot be had: nothing is encoded anew unasked.
    """
    engine = load_engine(name)
    if options.upgrade or manifest.info.model != engine.name or same_version(manifest, engine):
        return engine
    earlier = earlier_engine([manifest], load_engine)
    if earlier is None:
        raise CodememError(
            f"the memory was made by an earlier version of model {engine.name!r}: `codemem index --upgrade` encodes "
            f"all {manifest.documents:,} documents anew; until then `codemem find --router outline` works"
        )
    return earlier


def earlier_engine(manifests: Sequence[Manifest], load_engine: LoadEngine) -> MemoryEngine | None:
    """The version that made these memories; None if it is not on this machine, or they are of several."""
    names = {earlier_name(manifest) for manifest in manifests if manifest.info.model}
    name = names.pop() if len(names) == 1 else None
    if name is None:
        return None
    try:
        engine = load_engine(name)
    except (CodememError, ModelError):
        return None
    return engine if all(same_version(m, engine) for m in manifests if m.info.model) else None


def same_version(manifest: Manifest, engine: MemoryEngine) -> bool:
    """Whether the memory was made by exactly this model, adapter and format."""
    known = {purpose: layout["fingerprint"] for purpose, layout in manifest.info.layouts.items()}
    return known == {"find": engine.find_layout.fingerprint, "ask": engine.layout.fingerprint}


def open_memory(engine: MemoryEngine, purpose: str, settings: Settings, *, read_only: bool = False) -> Memory:
    """The store, opened for the layout that serves a purpose. Close its store."""
    layout = engine.find_layout if purpose == "find" else engine.layout
    limit = settings.user.store_limit_gb
    size = None if limit is None else int(limit * 1e9)
    store = Store.open(settings.places.store, layout, size_limit_bytes=size, read_only=read_only)
    return Memory(engine, layout, store)


def _remember(
    snapshot: Snapshot, settings: Settings, engine: MemoryEngine, purpose: str, report: Report
) -> tuple[Plan, Encoded]:
    memory = open_memory(engine, purpose, settings)
    begin_memory(snapshot, engine, purpose)
    with memory.store:
        work = memory.plan(snapshot.manifest, snapshot.passages, report=report)
        snapshot.manifest = work.manifest
        snapshot.save()
        missing = _after_sharing(work, memory.store, settings, snapshot, report)
        order = encoding_order(work.manifest, missing)
        try:
            encoded = memory.encode(work, order, snapshot.passages, report=report)
        except KeyboardInterrupt:
            snapshot.manifest = work.manifest
            snapshot.save()  # what an earlier version had read goes by another key since it was encoded
            done = int(present(work.keys, memory.store).sum())
            raise WorkInterruptedError(
                f"stopped: {done:,} of {len(work.keys):,} documents are in memory and serve already; "
                "run `codemem index` again to go on"
            ) from None
    settle(snapshot, work, encoded)
    snapshot.save()
    return work, encoded


def _after_sharing(work: Plan, store: Store, settings: Settings, snapshot: Snapshot, report: Report) -> list[int]:
    """Documents to encode here, once what others have encoded is taken from the configured place."""
    missing = work.missing()
    if missing and settings.user.share is not None:
        from codemem.sharing.fetching import fetch_missing

        keys = [work.keys.keys[document].tobytes() for document in missing]
        if fetch_missing(settings, store, keys, tell=snapshot.workspace.notes.append, report=report):
            work.present = present(work.keys, store)
            return work.missing()
    return missing


def begin_memory(snapshot: Snapshot, engine: MemoryEngine, purpose: str) -> None:
    """Notes in the manifest whose memory this is and what for."""
    layouts = {"find": layout_info(engine.find_layout), "ask": layout_info(engine.layout)}
    snapshot.manifest = snapshot.manifest.with_info(model=engine.name, purpose=purpose, layouts=layouts)


def settle(snapshot: Snapshot, work: Plan, encoded: Encoded) -> None:
    """Notes in the manifest what is in memory now, and the speed."""
    manifest = work.manifest.with_remembered(complete_files(work.manifest, work.present))
    if encoded.tokens >= SPEED_TOKENS:
        manifest = manifest.with_info(tokens_per_second=encoded.tokens_per_second)
    snapshot.manifest = manifest


def _result(
    snapshot: Snapshot, work: Plan | None, encoded: Encoded | None, removed: int, started: float
) -> IndexResult:
    manifest = snapshot.manifest
    done = encoded.documents if encoded else 0
    return IndexResult(
        path=snapshot.workspace.name,
        model=manifest.info.model,
        documents=manifest.documents,
        tokens=int(work.keys.tokens.sum()) if work else 0,
        encoded=done,
        reused=int(work.present.sum()) - done if work else 0,
        removed=removed,
        skipped=manifest.all_skipped,
        seconds=round(time.monotonic() - started, 3),
        tokens_per_second=round(encoded.tokens_per_second, 1) if encoded else 0.0,
    )
