"""Opens what a question needs: trees, outlines and, where there is one, the memory with its model."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path

from codemem.config import RepositoryConfig, Settings
from codemem.engine_interface import MemoryEngine
from codemem.engines import LoadEngine, common_model, model_name
from codemem.errors import CodememError, NotIndexedError
from codemem.index import begin_memory, earlier_engine, open_memory, same_version
from codemem.memory import Memory
from codemem.model.errors import StoreError, WeightsCorrupt, WeightsMissing
from codemem.recall import Recall, Remembered, build_recall, catch_up
from codemem.snapshot import Behind, Snapshot, buffer_overlays, open_snapshot, parse_overlays
from codemem.workspace import Workspace, open_workspace

FIRST_DOCUMENTS = 8
"""Documents of the outline that `ask` has encoded before it answers, however long that takes: some 4,000 tokens."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be searched, as the command line says it."""

    paths: Sequence[Path] = (Path(),)
    overlays: Sequence[str] = ()
    buffers: Mapping[Path, bytes] = field(default_factory=dict)
    """Text not yet saved, by absolute path, as an editor holds it; files outside the trees are passed over."""
    model: str | None = None
    router: str | None = None
    """What `find` ranks by; None: as configured."""
    question: str | None = None
    """What will be asked first: what the outline names for it is remembered before everything else."""
    seconds: float | None = None
    """For bringing everything up to date; None: as configured."""


@dataclass(slots=True)
class Session:
    """Opened trees, and their memory if they have one. Close it, or use it in `with`."""

    snapshots: Sequence[Snapshot]
    config: RepositoryConfig
    """Of the first tree."""
    router: str = "outline"
    recall: Recall | None = None
    notes: list[str] = field(default_factory=list)
    _stack: ExitStack = field(default_factory=ExitStack)

    @property
    def behind(self) -> Behind:
        parts = [tree.behind for tree in self.recall.trees] if self.recall else [s.unread for s in self.snapshots]
        return reduce(Behind.__add__, parts)

    @property
    def unread(self) -> Behind:
        """Behind of the outlines alone."""
        return reduce(Behind.__add__, (snapshot.unread for snapshot in self.snapshots))

    @property
    def commit(self) -> str | None:
        """HEAD of the first tree."""
        return self.snapshots[0].manifest.info.commit

    def close(self) -> None:
        self._stack.close()

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_session(target: Target, settings: Settings, load_engine: LoadEngine, *, answering: bool = False) -> Session:
    """Opens trees and brings them up to date as far as that is cheap.

    Router 'outline' leaves the memory alone, 'both' uses it where the trees have one and its weights are here, 'memory'
    and `answering` raise CodememError or WeightsMissing otherwise. `answering` loads keys and values too; ranking needs
    the routing keys alone.
    """
    with ExitStack() as stack:
        workspaces = [stack.enter_context(open_workspace(path, settings, whole=True)) for path in target.paths]
        overlays = parse_overlays(workspaces, target.overlays)
        for root, texts in buffer_overlays(workspaces, target.buffers).items():
            overlays[root] = texts | overlays.get(root, {})
        seconds = workspaces[0].config.inline_seconds if target.seconds is None else target.seconds
        snapshots = [open_snapshot(w, overlays=overlays.get(w.root), seconds=seconds) for w in _distinct(workspaces)]
        config = workspaces[0].config
        router = "memory" if answering else target.router or config.router
        session = Session(snapshots, config, router, notes=[note for w in workspaces for note in w.notes])
        if answering:
            _begin_memory(session, target, settings, load_engine)
        engine = None if router == "outline" else _engine(session, target, load_engine)
        if engine is not None:
            opened = _open_memory(engine, session, settings)
            stack.callback(opened.store.close)
            unsaved = {root for root in overlays if overlays[root]}
            trees = [
                catch_up(
                    snapshot,
                    opened,
                    seconds=seconds,
                    save=snapshot.workspace.root not in unsaved,
                    first=snapshot.candidates(target.question, FIRST_DOCUMENTS) if target.question else (),
                )
                for snapshot in snapshots
            ]
            session.recall = _recall(trees, opened, whole_entries=answering)
        session.notes += [note for w in workspaces for note in w.notes if note not in session.notes]
        session._stack = stack.pop_all()
        return session


def _open_memory(engine: MemoryEngine, session: Session, settings: Settings) -> Memory:
    """A store that cannot be written answers with what is in it, and a note says so."""
    purpose = session.snapshots[0].manifest.info.purpose
    try:
        return open_memory(engine, purpose, settings)
    except StoreError as error:
        memory = open_memory(engine, purpose, settings, read_only=True)
        session.notes.append(f"the memory cannot be brought up to date: {error}")
        return memory


def _begin_memory(session: Session, target: Target, settings: Settings, load_engine: LoadEngine) -> None:
    """Gives trees that have an outline alone a memory to grow: an answer need not wait for the whole of `index`."""
    manifests = [snapshot.manifest for snapshot in session.snapshots]
    name = common_model(manifests, target.model)
    for snapshot in session.snapshots:
        if snapshot.manifest.info.model is None:
            chosen = name or model_name(snapshot.workspace, settings, None, target.model)
            begin_memory(snapshot, load_engine(chosen), "ask")


def _distinct(workspaces: Sequence[Workspace]) -> list[Workspace]:
    """Each tree once, however often it was named."""
    return list({(w.root, w.tree.prefix): w for w in workspaces}.values())


def _engine(session: Session, target: Target, load_engine: LoadEngine) -> MemoryEngine | None:
    """The model of the trees' memory; None, with a note that says why, if the memory cannot be used."""
    manifests = [snapshot.manifest for snapshot in session.snapshots]
    required = session.router == "memory"
    name = common_model(manifests, target.model)
    if name is None:
        if required:
            raise NotIndexedError("there is an outline but no memory yet: run `codemem index`")
        return None
    try:
        engine = load_engine(name)
    except (WeightsMissing, WeightsCorrupt) as error:
        if required:
            raise
        session.notes.append(f"answered by the outline alone: {error}")
        return None
    if all(same_version(manifest, engine) for manifest in manifests if manifest.info.model):
        return engine
    if earlier := earlier_engine(manifests, load_engine):
        session.notes.append(
            f"an earlier version of model {name!r}, which made the memory, answers: `codemem index --upgrade` encodes "
            "it anew"
        )
        return earlier
    stale = f"the memory was made by another version of model {name!r}: run `codemem index --upgrade`"
    if required:
        raise CodememError(stale)
    session.notes.append(f"answered by the outline alone: {stale}")
    return None


def _recall(trees: Sequence[Remembered], memory: Memory, *, whole_entries: bool) -> Recall | None:
    """None if nothing is in memory yet."""
    if not any(tree.work.present.any() for tree in trees):
        return None
    routing = sorted({spec.name.split(".")[0] for spec in memory.layout.tensors if spec.name.startswith("route")})
    return build_recall(trees, memory, parts=None if whole_entries else routing)
