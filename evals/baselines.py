"""The systems that codemem is compared with, behind the harness's one protocol.

BM25 and all-MiniLM-L6-v2 see the same pieces: 50 lines of a file, or the whole file.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from codemem.evals.bm25 import BM25, ranking, reciprocal_rank_fusion
from codemem.evals.checkouts import Checkout
from codemem.evals.retrieval import Hit

CHUNK_LINES = 50

Scores = npt.NDArray[np.floating[Any]]


def pieces(checkout: Checkout, lines: int | None) -> tuple[list[Hit], list[str]]:
    """Spans of `lines` lines each (None: whole files) and their texts."""
    spans, texts = [], []
    for path, text in checkout.texts():
        rows = text.splitlines()
        step = lines or max(1, len(rows))
        for start in range(0, max(1, len(rows)), step):
            part = rows[start : start + step]
            spans.append(Hit(path, start + 1, start + max(1, len(part)), 0.0))
            texts.append("\n".join(part))
    return spans, texts


def _hits(spans: Sequence[Hit], scores: Scores, k: int, floor: float | None = None) -> list[Hit]:
    return [spans[index]._replace(score=float(scores[index])) for index in ranking(scores, floor=floor)[:k]]


class Bm25Retriever:
    """BM25 over pieces, with the path before each text if asked for."""

    def __init__(self, lines: int | None = CHUNK_LINES, *, with_path: bool = False) -> None:
        self.name = f"BM25 {'chunks' if lines else 'files'}{' with path' if with_path else ''}"
        self._lines = lines
        self._with_path = with_path

    def prepare(self, checkout: Checkout) -> None:
        self._spans, texts = pieces(checkout, self._lines)
        self._index = BM25(_with_paths(self._spans, texts) if self._with_path else texts)

    def rank(self, query: str, k: int) -> list[Hit]:
        return _hits(self._spans, self._index.scores(query), k, floor=0.0)


class Encoder(Protocol):
    """Turns texts into unit vectors [n, d]."""

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]: ...


class DenseRetriever:
    """Cosine similarity between the query and each piece, under any encoder."""

    def __init__(self, name: str, encoder: Encoder, *, with_path: bool = False) -> None:
        self.name = f"{name} with path" if with_path else name
        self._encoder = encoder
        self._with_path = with_path

    def prepare(self, checkout: Checkout) -> None:
        self._spans, texts = pieces(checkout, CHUNK_LINES)
        self._vectors = self._encoder.encode(_with_paths(self._spans, texts) if self._with_path else texts)

    @property
    def documents(self) -> list[Hit]:
        """The pieces, so that an encoder can stand in for the memory (`codemem.evals.systems.MemoryScorer`)."""
        return self._spans

    def scores(self, query: str) -> npt.NDArray[np.float32]:
        """Cosine of every piece with the query [pieces]."""
        similarity: npt.NDArray[np.float32] = self._vectors @ self._encoder.encode([query])[0]
        return similarity

    def rank(self, query: str, k: int) -> list[Hit]:
        return _hits(self._spans, self.scores(query), k)


class FusionRetriever:
    """Reciprocal-rank fusion of two retrievers over the same pieces."""

    def __init__(self, first: Bm25Retriever | DenseRetriever, second: Bm25Retriever | DenseRetriever) -> None:
        self.name = f"fusion of {first.name} and {second.name}"
        self._parts = (first, second)

    def prepare(self, checkout: Checkout) -> None:
        for part in self._parts:
            part.prepare(checkout)
        self._spans = pieces(checkout, CHUNK_LINES)[0]
        self._place = {span[:3]: index for index, span in enumerate(self._spans)}

    def rank(self, query: str, k: int) -> list[Hit]:
        every = len(self._spans)
        orders = [[self._place[hit[:3]] for hit in part.rank(query, every)] for part in self._parts]
        return _hits(self._spans, reciprocal_rank_fusion(orders, every), k, floor=0.0)


def _with_paths(spans: Sequence[Hit], texts: Sequence[str]) -> list[str]:
    return [f"{span.path}\n{text}" for span, text in zip(spans, texts, strict=True)]
