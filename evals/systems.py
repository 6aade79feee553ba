"""codemem's own ways to rank, behind the harness's protocol."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from codemem.evals.checkouts import Checkout
from codemem.evals.retrieval import Hit
from codemem.indexer import SourceFile, index_tree, open_tree
from codemem.outline import Outline
from codemem.outline.alike import space_out
from codemem.outline.mix import best_of_files, mix_files, mix_without_memory, outline_weight, words_weight
from codemem.outline.query import asked_kinds
from codemem.outline.records import FileRecord, record


class OutlineReader:
    """Reads checkouts as `codemem index` does; a file that several revisions share is parsed once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], FileRecord | None] = {}

    def records(self, checkout: Checkout) -> list[FileRecord]:
        """Outlines of all files, with paths from the repository's root."""
        folder = checkout.repository.folder
        with open_tree(checkout.searched) as tree:
            entries = tree.list().entries
            keys = [(f"{checkout.repository.name}/{folder}/{entry.path}", entry.oid) for entry in entries]
            new = [(key, entry) for key, entry in zip(keys, entries, strict=True) if key not in self._known]
            files = index_tree(tree, [entry for _, entry in new])
            for (key, _), file in zip(new, files, strict=True):
                self._known[key] = _record(file, folder) if isinstance(file, SourceFile) else None
        return [found for key in keys if (found := self._known[key]) is not None]


def _record(file: SourceFile, folder: str) -> FileRecord:
    return record(replace(file, path=f"{folder}/{file.path}") if folder else file)


class OutlineRetriever:
    """The outline alone: `codemem find --router outline`."""

    def __init__(self, reader: OutlineReader | None = None) -> None:
        self.name = "outline"
        self._reader = reader or OutlineReader()

    def prepare(self, checkout: Checkout) -> None:
        self.outline = Outline(self._reader.records(checkout), names=[checkout.repository.short_name])

    def rank(self, query: str, k: int) -> list[Hit]:
        """A place a file: the definition that the outline names there, else the file's first line."""
        named, words = self.sides(query)
        mixed = space_out(mix_without_memory({path: hit.score for path, hit in named.items()}, words))
        return [named.get(path, Hit(path, 1, 1, 0.0))._replace(score=score) for path, score in list(mixed.items())[:k]]

    def told(self, query: str) -> float:
        """How much of the question the best file's names say."""
        return self.outline.scores(query).told

    def sides(self, query: str) -> tuple[dict[str, Hit], dict[str, float]]:
        """By path, of all files: the definitions that are named, and scores of the words of bodies."""
        hits = self.outline.search(query, len(self.outline))
        words = self.outline.words(query).best_of_files(asked_kinds(query))
        named = {hit.path: Hit(hit.path, hit.start_line, hit.end_line, hit.score) for hit in hits}
        return named, {path: score for path, (score, _) in words.items()}


class MemoryScorer(Protocol):
    """Whatever scores documents for a query as the memory does: the routing model, or an encoder in its stead."""

    @property
    def name(self) -> str: ...

    def prepare(self, checkout: Checkout) -> None: ...

    @property
    def documents(self) -> Sequence[Hit]:
        """Spans of all documents, whose scores mean nothing yet."""
        ...

    def scores(self, query: str) -> npt.NDArray[np.floating[Any]]:
        """Score of every document [documents]."""
        ...


class MemoryRetriever:
    """The memory alone: `codemem find --router memory`."""

    def __init__(self, memory: MemoryScorer) -> None:
        self.name = memory.name
        self._memory = memory

    def prepare(self, checkout: Checkout) -> None:
        self._memory.prepare(checkout)

    def rank(self, query: str, k: int) -> list[Hit]:
        scores = np.asarray(self._memory.scores(query))
        order = np.argsort(-scores, kind="stable")[:k]
        return [self._memory.documents[index]._replace(score=float(scores[index])) for index in order]


class MixedRetriever:
    """Memory and outline by the rule of `codemem.outline.mix`: `codemem find --router both`."""

    def __init__(self, outline: OutlineRetriever, memory: MemoryScorer, *, weight: float | None = None) -> None:
        """`weight`: the outline's; None: as `find` weighs it for each question."""
        self.name = f"{outline.name} and {memory.name}"
        self._outline = outline
        self._memory = memory
        self._weight = weight

    def prepare(self, checkout: Checkout) -> None:
        self._outline.prepare(checkout)
        self._memory.prepare(checkout)

    def rank(self, query: str, k: int) -> list[Hit]:
        """One place a file: the outline's definition if it names one there, else the memory's best document."""
        places = [
            document._replace(score=float(score))
            for document, score in zip(self._memory.documents, self._memory.scores(query), strict=True)
        ]
        by_memory = {place.path: place for place in sorted(places, key=lambda place: place.score)}
        by_outline, words = self._outline.sides(query)
        mixed = mix_files(
            best_of_files((place.path, place.score) for place in places),
            {path: hit.score for path, hit in by_outline.items()},
            words,
            weight=outline_weight(query, self._outline.told(query)) if self._weight is None else self._weight,
            by_words=words_weight(query),
        )
        return [
            (by_outline.get(path) or by_memory.get(path) or Hit(path, 1, 1, 0.0))._replace(score=score)
            for path, score in list(space_out(mixed).items())[:k]
        ]
