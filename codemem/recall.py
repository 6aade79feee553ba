"""One bank over the memories of several trees."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from codemem.engine_interface import Bank
from codemem.index import settle
from codemem.memory import Memory, Plan, complete_files, encoding_order
from codemem.model.errors import StoreError
from codemem.model.events import Ranking
from codemem.model.store import LoadedEntries
from codemem.outline.mix import weigh_documents
from codemem.outline.query import asked_kinds
from codemem.passages import Passages
from codemem.snapshot import Behind, Snapshot

INLINE_TOKENS = 4096
"""Tokens given to the engine at once while someone waits."""
ASSUMED_TOKENS_PER_SECOND = 200.0
"""Until a run has measured this machine."""


@dataclass(slots=True)
class Remembered:
    """A tree and what of it is in memory."""

    snapshot: Snapshot
    work: Plan

    @property
    def passages(self) -> Passages:
        return self.snapshot.passages

    @property
    def behind(self) -> Behind:
        """Files of which something is not in memory, beside those that were not read."""
        manifest = self.work.manifest
        incomplete = ~complete_files(manifest, self.work.present)
        changed = int((incomplete & manifest.columns.remembered).sum())
        return self.snapshot.unread + Behind(added=int(incomplete.sum()) - changed, changed=changed)


def catch_up(
    snapshot: Snapshot, memory: Memory, *, seconds: float, save: bool, first: Sequence[int] = ()
) -> Remembered:
    """Encodes what is missing: documents of `first` in any case, then as many as `seconds` allow.

    Where another process encodes for the same tree, it is left to that.
    """
    deadline = time.monotonic() + seconds
    work = memory.plan(snapshot.manifest, snapshot.passages, first=first, deadline=deadline)
    tokenised = bool((work.keys.tokens != snapshot.manifest.keys_for(memory.layout.fingerprint).tokens).any())
    snapshot.manifest = work.manifest
    missing = work.missing()
    if missing:
        with snapshot.workspace.writing(wait=False) as free:
            if free:
                chosen = _affordable(work, missing, first, deadline)
                _encode(snapshot, memory, work, chosen)
    if save and (tokenised or missing):
        snapshot.save_for_next_time()
    return Remembered(snapshot, work)


def _encode(snapshot: Snapshot, memory: Memory, work: Plan, chosen: Sequence[int]) -> None:
    """Where the store takes nothing (a full disk), a note says so, and what is in memory answers."""
    try:
        encoded = memory.encode(work, chosen, snapshot.passages, call_tokens=INLINE_TOKENS)
    except StoreError as error:
        memory.store.discard_buffer()
        snapshot.workspace.notes.append(f"the memory could not be brought up to date: {error}")
        return
    settle(snapshot, work, encoded)
    work.manifest = snapshot.manifest


def _affordable(work: Plan, missing: Sequence[int], first: Sequence[int], deadline: float) -> list[int]:
    """`first`, then what the measured speed promises to finish by the deadline."""
    speed = work.manifest.info.tokens_per_second or ASSUMED_TOKENS_PER_SECOND
    order = encoding_order(work.manifest, missing, first)
    budget = max(0.0, deadline - time.monotonic()) * speed
    fits = np.cumsum(work.keys.tokens[order]) <= budget
    wanted = set(first)
    return [document for document, cheap in zip(order, fits.tolist(), strict=True) if cheap or document in wanted]


@dataclass(frozen=True)
class Recall:
    """Entries of several trees in one bank, and the way back from an index in it to a document."""

    memory: Memory
    trees: Sequence[Remembered]
    entries: LoadedEntries
    bank: Bank
    owners: npt.NDArray[np.int32]
    """[documents in the bank] which tree."""
    documents: npt.NDArray[np.int64]
    """[documents in the bank] which document of that tree's manifest."""

    def __len__(self) -> int:
        return len(self.documents)

    def where(self, index: int) -> tuple[Remembered, int]:
        return self.trees[int(self.owners[index])], int(self.documents[index])

    @cached_property
    def index_of(self) -> dict[tuple[int, int], int]:
        """(tree, document) -> index in the bank."""
        pairs = zip(self.owners.tolist(), self.documents.tolist(), strict=True)
        return {pair: index for index, pair in enumerate(pairs)}

    @cached_property
    def rows(self) -> npt.NDArray[np.int64]:
        """[documents in the bank] the row of its file in its tree's manifest."""
        found = [
            np.searchsorted(tree.work.manifest.columns.document_starts, self.documents[self.owners == owner], "right")
            for owner, tree in enumerate(self.trees)
        ]
        rows: npt.NDArray[np.int64] = np.concatenate(found).astype(np.int64) - 1
        return rows

    def rank(self, query: str) -> Ranking:
        """The memory's ranking of the documents in the bank, as it is shown and mixed (`weigh_documents`)."""
        ranking = self.memory.engine.rank(query, self.bank)
        return replace(ranking, scores=self.weigh(ranking.scores, query))

    def weigh(self, scores: npt.NDArray[np.float32], query: str) -> npt.NDArray[np.float32]:
        """`weigh_documents` of scores of the documents in the bank."""
        kinds, files = self._files
        return weigh_documents(scores, kinds, files, asked_kinds(query))

    @cached_property
    def _files(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        """[documents in the bank] the kind of its file, and a number that no other file of these trees has."""
        columns = [tree.work.manifest.columns for tree in self.trees]
        before = np.cumsum([0, *(len(column.kinds) for column in columns)])
        kinds = np.concatenate([column.kinds for column in columns])
        files = self.rows + before[self.owners]
        return kinds[files], files

    def best_of_files(self, scores: npt.NDArray[np.float32]) -> dict[str, int]:
        """`file_key` -> index of the file's best document, for every file in the bank."""
        if not len(self):
            return {}
        rows = self.rows
        # Documents stand tree by tree and file by file; within a file, the best comes first by score.
        order = np.lexsort((-scores, rows, self.owners))
        moved = (np.diff(rows[order]) != 0) | (np.diff(self.owners[order]) != 0)
        best = order[np.concatenate(([True], moved))].tolist()
        paths = (self.trees[int(self.owners[index])].work.manifest.paths[int(rows[index])] for index in best)
        return {file_key(int(self.owners[index]), path): index for index, path in zip(best, paths, strict=True)}

    def chunk_bytes(self, index: int, chunk: int) -> tuple[int, int]:
        """Bytes of a document's text (UTF-8) that a chunk covers."""
        first = int(self.entries.offsets[index])
        ends = self.entries.chunk_ends[first : int(self.entries.offsets[index + 1])]
        return (int(ends[chunk - 1]) if chunk else 0), int(ends[chunk])


def file_key(tree: int, path: str) -> str:
    """One name for a file of one of several trees."""
    return f"{tree}:{path}"


def build_recall(trees: Sequence[Remembered], memory: Memory, *, parts: Sequence[str] | None = None) -> Recall:
    """Loads the entries that are there; damaged ones are left out, and named as behind by their files."""
    owners, documents, keys = _present(trees)
    entries = memory.store.load(keys, parts=parts)
    while entries.missing:
        gone = set(entries.missing)
        for tree in trees:
            listed = tree.work.keys.key_list()
            tree.work.present &= np.array([key not in gone for key in listed], np.bool_)
        owners, documents, keys = _present(trees)
        entries = memory.store.load(keys, parts=parts)
    bank = memory.engine.bank(entries, memory.layout) if keys else None
    return Recall(memory, trees, entries, bank, owners, documents)


def _present(
    trees: Sequence[Remembered],
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], list[bytes]]:
    rows = [np.flatnonzero(tree.work.present) for tree in trees]
    owners = np.repeat(np.arange(len(trees), dtype=np.int32), [len(row) for row in rows])
    keys = [tree.work.keys.keys[row] for tree, row in zip(trees, rows, strict=True)]
    joined = np.concatenate(keys).tobytes() if keys else b""
    return owners, np.concatenate(rows), [joined[at : at + 32] for at in range(0, len(joined), 32)]
