"""What the processes of these tests do."""

import os
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from codemem.model.engine import Engine
from codemem.model.entry import Entry
from codemem.model.errors import ModelError, WorkerLost
from codemem.model.events import Answer, Definition, Round, Source
from codemem.model.msa4b import Limits
from codemem.model.msa4b import engine as msa4b_engine
from codemem.model.msa4b.engine import Msa4bEngine
from codemem.model.parallel import Group, Share, group, merge_top, watch
from codemem.model.parallel.engine import ParallelEngine, Worker
from codemem.model.store import LoadedEntries
from codemem.model.weights.registry import ModelEntry

TEXTS = [(f"f{i}.py\n", f"def f{i}(x):\n    return x + {i}\n" * (1 + i % 4)) for i in range(9)]
QUESTION = "what does `f3` return"

Join = Callable[..., Group]


def enter(work: Callable[..., Any], place: tuple[int, int, int], pipe: Any, arguments: tuple[Any, ...]) -> None:
    """The first function of a process: sends back what `work` returns, or how it failed. `place`: rank, size, port."""
    rank, size, port = place
    torch.set_num_threads(1)

    def join(**options: Any) -> Group:
        store = dist.TCPStore("127.0.0.1", port, is_master=False, timeout=timedelta(seconds=60))
        return Group(store, rank, size, torch.device("cpu"), **options)

    try:
        pipe.send(work(join, *arguments))
    except WorkerLost as error:
        pipe.send(f"lost: {error}")
        os._exit(1)  # a broken group cannot be left in order
    except Exception:
        pipe.send(traceback.format_exc())
        os._exit(1)
    pipe.close()


def exchange(join: Join) -> Any:
    """Every collective once."""
    g = join()
    found = {
        "gather": g.gather(torch.tensor([g.rank, 10 * g.rank])).tolist(),
        "nothing": list(g.gather(torch.zeros(0, 3)).shape),
        "broadcast": g.broadcast(torch.tensor([g.rank + 5])).tolist(),
        "bytes": g.broadcast_bytes(b"\x00\xffx" if g.rank == 0 else b"").hex(),
        "gathered": [part.decode() for part in g.gather_bytes(b"a" * g.rank)],
        "collected": [part.decode() for part in g.collect_bytes(b"b" * (2 - g.rank % 2))],
        "empty": g.collect_bytes(b""),
        "members": [str(member) for member in g.members],
    }
    rows = [1 + r for r in range(g.size)]
    whole = torch.arange(sum(rows) * 2, dtype=torch.int16).view(-1, 2)
    parts = list(whole.split(rows)) if g.rank == 0 else None
    group.SCATTER_BYTES = 8  # two rows at a time
    found["scattered"] = g.scatter(parts, rows, whole[:0]).tolist()
    g.leave()
    return found


def merge(join: Join) -> Any:
    """Ties across processes, and a process that has fewer than k."""
    g = join()
    ties = merge_top(g, torch.tensor([3 * g.rank, 3 * g.rank + 2]), torch.tensor([1.0, 0.5]), 3)
    few = merge_top(g, torch.tensor([g.rank])[: g.rank % 2], torch.tensor([0.25])[: g.rank % 2], 4)
    several = merge_top(
        g, torch.tensor([[g.rank, 9], [g.rank, 9]]), torch.tensor([[g.rank * 1.0, -1.0], [-g.rank * 1.0, -9.0]]), 2
    )
    known = merge_top(g, torch.tensor([0, 1]), torch.tensor([0.5, 0.5]), 3, first=2 * g.rank, total=2 * g.size)
    g.leave()
    return [(documents.tolist(), scores.tolist()) for documents, scores in (ties, few, several, known)]


def dies(join: Join, who: int, how: str) -> Any:
    """Process `who` ends, hangs or gives up where the others gather."""
    watch.BEAT_SECONDS, watch.DEAD_SECONDS = 0.1, 1.0
    g = join(patience_s=1.0 if how == "hangs" else 60.0)
    g.gather(torch.zeros(1))
    if g.rank == who and how == "ends":
        os._exit(9)
    if g.rank == who and how == "hangs":
        time.sleep(3.5)
    if g.rank == who and how == "gives up":
        g.fail("no room left")
        time.sleep(1.5)
        return g.members[who].pid
    started = time.monotonic()
    try:
        g.gather(torch.zeros(1))
    except WorkerLost as error:
        return str(error), time.monotonic() - started, g.members[who].pid
    return "no error"


def waits_for_a_dead_first(join: Join) -> Any:
    """The first process dies while the others wait for its next command."""
    watch.BEAT_SECONDS, watch.DEAD_SECONDS = 0.1, 1.0
    g = join()
    if g.rank == 0:
        time.sleep(0.5)
        os._exit(9)
    try:
        g.await_post("command/1")
    except WorkerLost as error:
        return str(error)
    return "no error"


def load(folder: Path) -> Engine | Msa4bEngine:
    if (folder / "adapter.safetensors").exists():
        return Engine.open("tiny", folder / "checkpoint", folder / "adapter.safetensors", device="cpu")
    # Random weights never end a round by themselves; 256 tokens of it would only take long.
    msa4b_engine.Limits = partial(Limits, retrieval_tokens=8)  # type: ignore[misc, assignment]
    entry = ModelEntry(name="tiny", title="tiny", path=folder)
    return Msa4bEngine.load(entry, directory=folder, numbers=None, device="cpu")


def another_model(join: Join, folder: Path, who: int) -> str:
    """Process `who` has an adapter of its own."""
    g, engine = join(), load(folder)
    if g.rank == who:
        engine.layout = replace(engine.layout, fingerprint="00" * 32)  # type: ignore[misc]
    try:
        Worker(engine, g)
    except ModelError as error:
        g.leave()
        return str(error)
    return "no error"


def read(index: int) -> Source:
    return Source(index, *TEXTS[index], (Definition(f"A.f{index}", -1, 2), Definition(f"f{index}", 0, 2)))


class Listening(Worker):
    """A process that keeps what it read."""

    def __init__(self, engine: Any, g: Group) -> None:
        super().__init__(engine, g)
        self.heard: list[Source] = []

    def _read(self, index: int, caller: Any) -> Source:
        self.heard.append(super()._read(index, caller))
        return self.heard[-1]


def same_as_one(join: Join, folder: Path) -> Any:
    """Encoding, routing, ranking and answering on all processes against the first one alone."""
    g = join()
    engine = load(folder)
    if g.rank > 0:
        worker = Listening(engine, g)
        worker.serve()
        g.leave()
        return sorted(worker.banks), worker.heard
    documents = engine.tokenise(TEXTS)
    expected = list(engine.encode(documents, engine.layout))
    every = {count: loaded(expected[:count]) for count in (len(expected), 1)}
    alone = {count: asked(engine, entries) for count, entries in every.items()}
    parallel = ParallelEngine(engine, g)
    found = {entry.key: entry for entry in parallel.encode(documents, parallel.layout)}
    report: dict[str, Any] = {
        "entries": all(_same_entry(entry, found[entry.key]) for entry in expected) and len(found) == len(expected),
        "none": list(parallel.encode([], parallel.layout)),
    }
    for count, entries in every.items():  # with one document, most processes hold nothing
        one, many = alone[count], asked(parallel, entries)
        np.testing.assert_allclose(many["scores"], one["scores"], rtol=1e-5, atol=1e-6)
        report[f"ranking {count}"] = many["best"] == one["best"] and many["order"] == one["order"]
        report[f"answers {count}"] = many["answer"] == one["answer"] and bool(one["answer"][0])
    shared = parallel.bank(entries, parallel.layout)
    report["refused"] = _refused(parallel, shared)
    parallel.close()
    return report


def _refused(parallel: ParallelEngine, shared: Any) -> list[str]:
    """What goes wrong in the first process alone leaves the others in step."""
    told = []

    def unreadable(index: int) -> Source:
        raise OSError("changed meanwhile")

    try:
        list(parallel.answer(QUESTION, shared, unreadable, max_tokens=4))
    except OSError as error:
        told.append(str(error))
    abandoned = parallel.answer(QUESTION, shared, read, max_tokens=4)
    next(abandoned)
    abandoned.close()
    told.append(str(len(parallel.rank(QUESTION, shared).scores)))
    return told


def asked(engine: Any, entries: LoadedEntries) -> dict[str, Any]:
    """What a memory of these entries ranks and answers."""
    bank = engine.bank(entries, engine.layout)
    ranking = engine.rank(QUESTION, bank)
    return {
        "scores": ranking.scores,
        "order": np.argsort(-ranking.scores, kind="stable").tolist(),
        "best": ranking.best_chunk.tolist(),
        "answer": answer(engine, bank, -np.arange(len(entries.keys), dtype=np.float32)),
    }


def answer(engine: Any, bank: Any, prior: Any) -> list[Any]:
    """What an answer is made of, times left out."""
    events = list(engine.answer(QUESTION, bank, read, prior=prior, max_rounds=1, max_tokens=6))
    rounds = [[list(layer.documents) for layer in e.layers] + [list(e.named)] for e in events if isinstance(e, Round)]
    last = events[-1]
    assert isinstance(last, Answer)
    return [rounds, last.text, last.found, list(last.read), list(last.cited), last.tokens, last.stopped]


def loaded(entries: list[Entry]) -> LoadedEntries:
    """As the store would give them back."""
    counts = [entry.chunks for entry in entries]
    return LoadedEntries(
        keys=tuple(entry.key for entry in entries),
        offsets=np.cumsum([0, *counts]).astype(np.int64),
        tokens=np.array([entry.tokens for entry in entries], np.uint32),
        chunk_ends=np.concatenate([entry.chunk_ends for entry in entries]),
        tensors={name: np.concatenate([e.tensors[name] for e in entries]) for name in entries[0].tensors},
        missing=(),
        corrupt=(),
        mapped=False,
    )


def _same_entry(one: Entry, other: Entry) -> bool:
    same = (one.tokens, one.chunk_ends.tolist()) == (other.tokens, other.chunk_ends.tolist())
    return same and all(one.tensors[name].tobytes() == other.tensors[name].tobytes() for name in one.tensors)


def shares(offsets: list[int], size: int) -> list[Share]:
    return [Share.of(np.array(offsets), rank, size) for rank in range(size)]
