"""Questions to batches: deterministic, grouped by package so that negatives come from the same repository."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
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
    up to `hard` mined negatives a question.

    Of several processes that compare their questions with all documents of all of them, each takes every `count`-th
    question of one larger batch, so that a run of one package spans all of them. `asked` gives the share of a kind's
    questions that are drawn each time around (`Recipe.asked`). Raises `ValueError` where that leaves none. With a
    `size` of 0 batches are empty.
    """

    def __init__(
        self,
        corpus: Corpus,
        *,
        size: int,
        group: int,
        hard: int,
        seed: int,
        rank: int = 0,
        count: int = 1,
        asked: Mapping[str, float] | None = None,
    ) -> None:
        self.corpus, self.size, self.group, self.hard = corpus, size, group, hard
        self.rank, self.count = rank, count
        self._order = np.random.default_rng(seed)  # the same in all processes
        self.random = np.random.default_rng((seed, rank))
        self._queue: list[list[int]] = []
        shares = asked or {}
        self._share = np.asarray([shares.get(kind, shares.get("", 1.0)) for kind in corpus.kinds])
        if size and not self._share.any():
            raise ValueError(f"no question is of a kind that the recipe draws ({dict(shares)})")

    def _refill(self) -> None:
        by_package: dict[int, list[int]] = defaultdict(list)
        drawn = self._order.random(len(self.corpus.positives)) < self._share
        for query, positives in enumerate(self.corpus.positives):
            if drawn[query]:
                by_package[int(self.corpus.packages[positives[0]])].append(query)
        for members in by_package.values():
            order = self._order.permutation(members)
            self._queue += [list(map(int, order[i : i + self.group])) for i in range(0, len(order), self.group)]
        self._order.shuffle(self._queue)

    def next(self) -> RoutingBatch:
        queries: list[int] = []
        while len(queries) < self.size * self.count:
            if not self._queue:
                self._refill()
            queries += self._queue.pop()
        queries = queries[: self.size * self.count][self.rank :: self.count]
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
        for row, chosen in enumerate(wanted):
            for document in chosen:
                positive[row, index[document]] = True
        ignore = no_negatives(self.corpus, queries, documents)
        return RoutingBatch(queries, documents, positive, ignore & ~positive)


def no_negatives(corpus: Corpus, queries: Sequence[int], documents: Sequence[int]) -> npt.NDArray[np.bool_]:
    """[queries, documents]: positives, texts equal to one, and other documents of a file that is asked for."""
    by_document: dict[int, list[int]] = defaultdict(list)
    by_text: dict[int, list[int]] = defaultdict(list)
    for column, document in enumerate(documents):
        by_document[document].append(column)
        by_text[int(corpus.copies[document])].append(column)
    found = np.zeros((len(queries), len(documents)), bool)
    for row, query in enumerate(queries):
        for document in corpus.positives[query]:
            found[row, by_text.get(int(corpus.copies[document]), [])] = True
        for document in corpus.same[query]:
            found[row, by_document.get(document, [])] = True
    return found


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
