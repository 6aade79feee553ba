"""Where the words of a question stand in bodies: what the outline knows of documents, by the manifest's numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from codemem.outline.query import asked_kinds
from codemem.recall import Recall, file_key
from codemem.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class WordPlace:
    """The document of a file whose words fit a question best."""

    snapshot: Snapshot
    document: int
    """In the snapshot's manifest."""
    score: float


def words_of_files(snapshots: Sequence[Snapshot], query: str) -> dict[str, WordPlace]:
    """`file_key` -> the best document, of every file that was read; scores are weighed (`weigh_documents`)."""
    asked = asked_kinds(query)
    found = {}
    for tree, snapshot in enumerate(snapshots):
        manifest = snapshot.manifest
        for path, (score, number) in snapshot.outline.words(query).best_of_files(asked).items():
            row = manifest.index_of.get(path)
            documents = range(0) if row is None else manifest.document_range(row)
            if number < len(documents):
                found[file_key(tree, path)] = WordPlace(snapshot, documents[number], score)
    return found


def words_of_documents(recall: Recall, query: str) -> npt.NDArray[np.float32]:
    """[documents in the bank], weighed as the memory's own scores are; 0 where no word stands."""
    scores = np.zeros(len(recall), np.float32)
    for owner, tree in enumerate(recall.trees):
        mine = recall.owners == owner
        scores[mine] = _of_manifest(tree.snapshot, query)[recall.documents[mine]]
    return recall.weigh(scores, query)


def _of_manifest(snapshot: Snapshot, query: str) -> npt.NDArray[np.float32]:
    """[documents of the manifest]; 0 for those of a file that outline and manifest see in different states."""
    found, manifest = snapshot.outline.words(query), snapshot.manifest
    starts = manifest.columns.document_starts
    scores = np.zeros(int(starts[-1]), np.float32)
    for file, path in enumerate(found.paths):
        own = found.scores[found.starts[file] : found.starts[file + 1]]
        row = manifest.index_of.get(path)
        if row is not None and len(own) == starts[row + 1] - starts[row] and own.any():
            scores[starts[row] : starts[row + 1]] = own
    return scores
