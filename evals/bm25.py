"""Okapi BM25 over identifiers split into their words: the lexical baseline.

Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond, 2009, with the inverse document
frequency of Lucene, log(1 + (N - n + 0.5) / (n + 0.5)), which is never negative.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float64]

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9]+")
_PART = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")


def split_words(text: str) -> list[str]:
    """Lower-case words of a text; an identifier of several parts gives itself and its parts.

    `getHTTPResponse` -> `gethttpresponse`, `get`, `http`, `response`.
    """
    words = []
    for word in _WORD.findall(text):
        parts = [part.lower() for part in _PART.findall(word)]
        if len(parts) != 1:
            words.append(word.lower())
        words.extend(parts)
    return words


class BM25:
    """Index over texts, scored in the order in which they were given."""

    def __init__(self, texts: Iterable[str], *, k1: float = 1.5, b: float = 0.75) -> None:
        counts = [Counter(split_words(text)) for text in texts]
        self.size = len(counts)
        lengths = np.array([sum(count.values()) for count in counts], dtype=np.float64)
        mean_length = lengths.mean() if lengths.any() else 1.0
        postings: dict[str, tuple[list[int], list[int]]] = {}
        for index, count in enumerate(counts):
            for word, frequency in count.items():
                indices, frequencies = postings.setdefault(word, ([], []))
                indices.append(index)
                frequencies.append(frequency)
        self._postings: dict[str, tuple[npt.NDArray[np.int64], Scores]] = {}
        for word, (indices, frequencies) in postings.items():
            documents = np.array(indices)
            tf = np.array(frequencies, dtype=np.float64)
            weight = tf * (k1 + 1) / (tf + k1 * (1 - b + b * lengths[documents] / mean_length))
            idf = math.log(1 + (self.size - len(indices) + 0.5) / (len(indices) + 0.5))
            self._postings[word] = (documents, weight * idf)

    def scores(self, query: str) -> Scores:
        """Score of every text [size]; a word repeated in the query counts again."""
        scores = np.zeros(self.size)
        for word in split_words(query):
            if (posting := self._postings.get(word)) is not None:
                scores[posting[0]] += posting[1]
        return scores


def ranking(scores: npt.ArrayLike, *, floor: float | None = None) -> list[int]:
    """Indices by falling score, earlier ones first among equals; those not above `floor` are left out."""
    values = np.asarray(scores)
    order = np.argsort(-values, kind="stable")
    return [int(index) for index in order if floor is None or values[index] > floor]


def reciprocal_rank_fusion(rankings: Sequence[Sequence[int]], size: int, *, k: int = 60) -> Scores:
    """Sum of 1 / (k + rank) over the rankings [size] (Cormack, Clarke and Buettcher, SIGIR 2009)."""
    fused = np.zeros(size)
    for order in rankings:
        for rank, index in enumerate(order, 1):
            fused[index] += 1 / (k + rank)
    return fused
