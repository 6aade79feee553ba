"""Function retrieval: documentation sentences against every function of 20 packages in one pool.

    python -m codemem.evals.functions --pool DIR --out DIR

The pool is built by `codemem.evals.functions_pool`. A query's rank is 1 + the number of documents that score strictly
higher than its own function, so ties count for it.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from codemem.evals.baselines import Encoder
from codemem.evals.bm25 import BM25, ranking, reciprocal_rank_fusion
from codemem.evals.errors import BadCasesError
from codemem.evals.metrics import bootstrap, paired_difference
from codemem.evals.report import Report, Table, write_report
from codemem.outline.bodies import Bodies, file_words
from codemem.outline.mix import mix_files, words_weight


@dataclass(frozen=True, slots=True)
class FunctionPool:
    """Documents (header and source), and queries with the document that each was taken from."""

    documents: tuple[str, ...]
    queries: tuple[str, ...]
    gold: tuple[int, ...]


class FunctionScorer(Protocol):
    """A system under test."""

    @property
    def name(self) -> str: ...

    def prepare(self, documents: Sequence[str]) -> None: ...

    def scores(self, query: str) -> npt.NDArray[np.floating[Any]]:
        """Score of every document [documents]."""
        ...


def read_pool(folder: Path) -> FunctionPool:
    """The pool in `documents.jsonl` and `queries.jsonl`; raises BadCasesError."""
    try:
        documents, queries = (
            [json.loads(line) for line in (folder / name).read_text(encoding="utf-8").split("\n") if line]
            for name in ("documents.jsonl", "queries.jsonl")
        )
        texts = tuple(row["header"] + row["text"] for row in documents)
        pool = FunctionPool(texts, tuple(row["query"] for row in queries), tuple(row["gold"] for row in queries))
    except (OSError, json.JSONDecodeError, KeyError) as error:
        raise BadCasesError(
            f"no function pool in {folder} ({error}): build it with codemem.evals.functions_pool"
        ) from error
    if not pool.queries or any(not 0 <= gold < len(texts) for gold in pool.gold):
        raise BadCasesError(f"the function pool in {folder} names documents that it does not hold")
    return pool


class Bm25Functions:
    """BM25 over split identifiers."""

    name = "BM25 on split identifiers"

    def prepare(self, documents: Sequence[str]) -> None:
        self._index = BM25(documents)

    def scores(self, query: str) -> npt.NDArray[np.float64]:
        return self._index.scores(query)


class DenseFunctions:
    """Cosine under an encoder."""

    def __init__(self, name: str, encoder: Encoder) -> None:
        self.name = name
        self._encoder = encoder

    def prepare(self, documents: Sequence[str]) -> None:
        self._vectors = self._encoder.encode(documents)

    def scores(self, query: str) -> npt.NDArray[np.float32]:
        similarity: npt.NDArray[np.float32] = self._vectors @ self._encoder.encode([query])[0]
        return similarity


class FusedFunctions:
    """Reciprocal-rank fusion of two scorers."""

    def __init__(self, first: FunctionScorer, second: FunctionScorer) -> None:
        self.name = f"fusion of {first.name} and {second.name}"
        self._parts = (first, second)

    def prepare(self, documents: Sequence[str]) -> None:
        self._size = len(documents)
        for part in self._parts:
            part.prepare(documents)

    def scores(self, query: str) -> npt.NDArray[np.float64]:
        return reciprocal_rank_fusion([ranking(part.scores(query)) for part in self._parts], self._size)


class WordedFunctions:
    """A scorer with the words of bodies mixed in by the rule of `codemem find`; the outline's share is the scorer's,
    since in a pool of functions there is no tree to make an outline of."""

    def __init__(self, scorer: FunctionScorer) -> None:
        self.name = f"{scorer.name} and words of bodies"
        self._scorer = scorer

    def prepare(self, documents: Sequence[str]) -> None:
        self._scorer.prepare(documents)
        self._bodies = Bodies.of([file_words([document]) for document in documents])
        self._names = [str(number) for number in range(len(documents))]

    def scores(self, query: str) -> npt.NDArray[np.float64]:
        sides = (self._scorer.scores(query).tolist(), self._bodies.scores(query).tolist())
        scored, words = (dict(zip(self._names, side, strict=True)) for side in sides)
        mixed = mix_files(scored, {}, words, weight=0.0, by_words=words_weight(query))
        return np.array([mixed[name] for name in self._names])


def ranks(scorer: FunctionScorer, pool: FunctionPool, *, progress: Callable[[str], None] = lambda _: None) -> list[int]:
    """Rank of each query's own function, in the order of the queries."""
    scorer.prepare(pool.documents)
    progress(f"{scorer.name}: {len(pool.documents):,} documents ready")
    found = []
    for query, gold in zip(pool.queries, pool.gold, strict=True):
        scores = np.asarray(scorer.scores(query))
        found.append(1 + int((scores > scores[gold]).sum()))
    return found


def measures(found: Sequence[int]) -> dict[str, list[float]]:
    """Values of each metric, query by query."""
    return {
        "R@1": [float(rank <= 1) for rank in found],
        "R@10": [float(rank <= 10) for rank in found],
        "R@100": [float(rank <= 100) for rank in found],
        "MRR": [1 / rank for rank in found],
    }


def report(results: dict[str, list[int]], pool: FunctionPool) -> Report:
    """Table of all systems with bootstrap intervals."""
    names = ("R@1", "R@10", "R@100", "MRR")
    rows = []
    for system, found in results.items():
        values = measures(found)
        rows.append([system, *(str(bootstrap(values[name])) for name in names)])
    first, *others = results
    gaps = []
    for other in others:
        ours, theirs = measures(results[first]), measures(results[other])
        gaps.append([other, *(str(paired_difference(ours[name], theirs[name])) for name in names)])
    tables: list[Table] = [("", ["system", *names], rows)]
    if gaps:
        tables.append((f"{first} minus the other, paired", ["other", *names], gaps))
    note = f"{len(pool.queries):,} queries, {len(pool.documents):,} documents; 95% bootstrap intervals."
    return Report("functions", "Function retrieval", note, tables, {"ranks": results})


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure BM25 on a pool; the memory is measured by `codemem eval functions`."""
    parser = argparse.ArgumentParser(prog="python -m codemem.evals.functions", description=main.__doc__)
    parser.add_argument("--pool", type=Path, required=True, help="folder with documents.jsonl and queries.jsonl")
    parser.add_argument("--out", type=Path, required=True, help="folder for the report")
    options = parser.parse_args(arguments)
    started = time.perf_counter()
    pool = read_pool(options.pool)
    results = {Bm25Functions.name: ranks(Bm25Functions(), pool)}
    written = write_report(report(results, pool), options.out, seconds=time.perf_counter() - started)
    print(written.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
