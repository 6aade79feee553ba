"""Records to batches: deterministic, grouped by package so that negatives come from the same repository.

The files are those of codemem.training.data (docs/data.md).
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from codemem.model.tokenizer import Tokenizer
from codemem.training.data.read import DOCUMENTS, PAIRS, QA, rows

Ids = npt.NDArray[np.uint32]


@dataclass(slots=True)
class Ragged:
    """Many token sequences in one array."""

    values: Ids
    offsets: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> Ids:
        return self.values[self.offsets[index] : self.offsets[index + 1]]

    @classmethod
    def of(cls, sequences: Sequence[Sequence[int]]) -> "Ragged":
        lengths = np.fromiter((len(s) for s in sequences), np.int64, len(sequences))
        offsets = np.concatenate(([0], np.cumsum(lengths)))
        values = np.empty(int(offsets[-1]), np.uint32)
        for start, sequence in zip(offsets, sequences, strict=False):
            values[start : start + len(sequence)] = sequence
        return cls(values, offsets)


@dataclass(slots=True)
class Corpus:
    """Everything that training reads, as token ids."""

    documents: Ragged
    headers: list[str]
    texts: list[str]
    packages: npt.NDArray[np.int32]
    queries: Ragged
    positives: list[list[int]]
    negatives: list[list[int]]
    kinds: list[str]
    answers: list[dict[str, Any]]

    @classmethod
    def load(cls, directory: Path, tokenizer: Tokenizer, *, max_tokens: int, limit: int | None = None) -> "Corpus":
        documents = list(rows(directory / DOCUMENTS))
        names: dict[str, int] = {}
        packages = np.asarray([names.setdefault(d["package"], len(names)) for d in documents], np.int32)
        pairs = list(islice(rows(directory / PAIRS), limit))
        headers = tokenizer.encode_batch([d["header"] for d in documents])
        texts = tokenizer.encode_batch([d["text"] for d in documents])
        return cls(
            documents=Ragged.of([(h + t)[:max_tokens] for h, t in zip(headers, texts, strict=True)]),
            headers=[d["header"] for d in documents],
            texts=[d["text"] for d in documents],
            packages=packages,
            queries=Ragged.of([ids[:128] for ids in tokenizer.encode_batch([p["q"] for p in pairs])]),
            positives=[p["pos"] for p in pairs],
            negatives=[p.get("neg", []) for p in pairs],
            kinds=[p["kind"] for p in pairs],
            answers=list(rows(directory / QA)),
        )


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
