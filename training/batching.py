"""Questions to batches: deterministic, grouped by package so that negatives come from the same repository."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from codemem.training.corpus import Corpus


@dataclass(slots=True)
class RoutingBatch:
    """Questions and the documents that they compete over."""

    queries: list[int]
    documents: list[int]
    positive: npt.NDArray[np.bool_]
    """[questions, documents]"""
    ignore: npt.NDArray[np.bool_]
    """[questions, documents]: as text equal to a positive, so no negative."""


class RoutingBatches:
    """Endless batches of `size` questions, in runs of `group` questions from one package, each with its positives and
    up to `hard` mined negatives a question."""

    def __init__(self, corpus: Corpus, *, size: int, group: int, hard: int, seed: int) -> None:
        self.corpus, self.size, self.group, self.hard = corpus, size, group, hard
        self.random = np.random.default_rng(seed)
        self._queue: list[list[int]] = []

    def _refill(self) -> None:
        by_package: dict[int, list[int]] = defaultdict(list)
        for query, positives in enumerate(self.corpus.positives):
            by_package[int(self.corpus.packages[positives[0]])].append(query)
        for members in by_package.values():
            order = self.random.permutation(members)
            self._queue += [list(map(int, order[i : i + self.group])) for i in range(0, len(order), self.group)]
        self.random.shuffle(self._queue)

    def next(self) -> RoutingBatch:
        queries: list[int] = []
        while len(queries) < self.size:
            if not self._queue:
                self._refill()
            queries += self._queue.pop()
        queries = queries[: self.size]
        index: dict[int, int] = {}
        wanted: list[list[int]] = []
        for query in queries:
            positives = self.corpus.positives[query]
            chosen = (
                positives if len(positives) <= 2 else list(map(int, self.random.choice(positives, 2, replace=False)))
            )
            wanted.append(chosen)
            negatives = self.corpus.negatives[query]
            mined = list(map(int, self.random.permutation(negatives)[: self.hard])) if negatives else []
            for document in (*chosen, *mined):
                index.setdefault(document, len(index))
        documents = list(index)
        positive = np.zeros((len(queries), len(documents)), bool)
        ignore = np.zeros_like(positive)
        same_text: dict[str, list[int]] = defaultdict(list)
        for document, column in index.items():
            same_text[self.corpus.texts[document]].append(column)
        for row, (query, chosen) in enumerate(zip(queries, wanted, strict=True)):
            for document in self.corpus.positives[query]:
                ignore[row, same_text.get(self.corpus.texts[document], [])] = True
                if document in index:
                    ignore[row, index[document]] = True
            for document in chosen:
                positive[row, index[document]] = True
        return RoutingBatch(queries, documents, positive, ignore & ~positive)


def length_buckets(lengths: Sequence[int], *, tokens: int, multiple: int = 64) -> list[list[int]]:
    """Indices in buckets of similar length, each padding to at most `tokens` tokens."""
    order = sorted(range(len(lengths)), key=lambda i: lengths[i])
    buckets: list[list[int]] = []
    current: list[int] = []
    for i in reversed(order):
        widest = -(-lengths[current[0]] // multiple) * multiple if current else 0
        if current and widest * (len(current) + 1) > tokens:
            buckets.append(current)
            current = []
        current.append(i)
    return [*buckets, current] if current else buckets
