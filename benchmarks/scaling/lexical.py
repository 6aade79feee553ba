"""BM25 for questions that are known beforehand, over any part of a large pool.

The scores of `evals.bm25.BM25`, whose word weights depend on the pool, for hundreds of millions of words: a text is
read once, by one of several processes, and only what the questions' words need is kept.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from multiprocessing import get_context
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from codemem.evals.bm25 import split_words

K1, B = 1.5, 0.75
_BATCH = 2000

Batch = TypeVar("Batch")
Common = TypeVar("Common")
Made = TypeVar("Made")
Counted = tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.int32]]
"""Of some documents: words in each; and for each word asked for that stands in one: document, word, how often."""


@dataclass(frozen=True, slots=True)
class WordCounts:
    """How often the questions' words stand in each document."""

    questions: list[Counter[int]]
    """Words of each question by number."""
    lengths: npt.NDArray[np.int32]
    """[N] words."""
    postings: list[tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]]
    """By word: documents, ascending, and how often it stands there."""

    @classmethod
    def of(cls, texts: Sequence[str], questions: Sequence[str], *, processes: int = 1) -> "WordCounts":
        words: dict[str, int] = {}
        asked = [Counter(words.setdefault(word, len(words)) for word in split_words(text)) for text in questions]
        batches = [texts[at : at + _BATCH] for at in range(0, len(texts), _BATCH)]
        counted = in_processes(_count, batches, words, processes)
        starts = np.cumsum([0, *(len(part[0]) for part in counted)])
        lengths = np.concatenate([part[0] for part in counted]) if counted else np.zeros(0, np.int32)
        documents = np.concatenate([part[1] + start for part, start in zip(counted, starts[:-1], strict=True)])
        numbers, often = (np.concatenate([part[i] for part in counted]) for i in (2, 3))
        order = np.argsort(numbers, kind="stable")
        cuts = np.searchsorted(numbers[order], np.arange(1, len(words)))
        parts = zip(np.split(documents[order], cuts), np.split(often[order], cuts), strict=True)
        return cls(asked, lengths, [(d.astype(np.int32), n) for d, n in parts])

    def scores(self, question: int, chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
        """[N] of one question over the documents chosen [N] of the first N; the others score 0."""
        size, mean = int(chosen.sum()), float(self.lengths[: len(chosen)][chosen].mean() or 1.0)
        scores = np.zeros(len(chosen))
        for word, times in self.questions[question].items():
            documents, often = self.postings[word]
            documents = documents[: np.searchsorted(documents, len(chosen))]
            held = chosen[documents]
            documents, tf = documents[held], often[: len(held)][held].astype(np.float64)
            weight = tf * (K1 + 1) / (tf + K1 * (1 - B + B * self.lengths[documents] / mean))
            idf = np.log(1 + (size - len(documents) + 0.5) / (len(documents) + 0.5))
            scores[documents] += times * weight * idf
        return scores.astype(np.float32)


def in_processes(
    work: Callable[[Batch, Common], Made], batches: Sequence[Batch], common: Common, processes: int
) -> list[Made]:
    """What `work` makes of each batch and what all have in common, in order."""
    if processes <= 1 or len(batches) <= 1:
        return [work(batch, common) for batch in batches]
    # Not forked: the caller may hold a GPU, whose driver does not survive that.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        return list(pool.map(work, batches, repeat(common)))


def _count(texts: Sequence[str], words: dict[str, int]) -> Counted:
    lengths, documents, numbers, often = [], [], [], []
    for index, text in enumerate(texts):
        found = split_words(text)
        lengths.append(len(found))
        for word, times in Counter(word for word in found if word in words).items():
            documents.append(index)
            numbers.append(words[word])
            often.append(times)
    return (
        np.array(lengths, np.int32),
        np.array(documents, np.int32),
        np.array(numbers, np.int32),
        np.array(often, np.int32),
    )
