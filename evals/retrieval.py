"""The retrieval harness: every system ranks spans of the same checkouts for the same queries, judged alike.

python -m codemem.evals.compare --help
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from codemem.evals import metrics
from codemem.evals.cases import Case, CaseSet, Span
from codemem.evals.checkouts import Checkout, Checkouts

DEPTH = 200
"""Spans asked of each system: enough for ten distinct files even where one long file takes the first hundred."""


class Hit(NamedTuple):
    """One ranked span: lines 1-based and inclusive, path from the repository's root."""

    path: str
    start_line: int
    end_line: int
    score: float


class Retriever(Protocol):
    """A system under test; `prepare` is called once a repository, before its queries."""

    @property
    def name(self) -> str: ...

    def prepare(self, checkout: Checkout) -> None: ...

    def rank(self, query: str, k: int) -> Sequence[Hit]:
        """At most `k` spans, best first."""
        ...


Metric = Callable[[Sequence[Hit], Case], float]


def _by_file(measure: Callable[[Sequence[str], Sequence[str]], float]) -> Metric:
    return lambda hits, case: measure(metrics.distinct_files([hit.path for hit in hits]), case.files)


def _hunks(k: int) -> Metric:
    return lambda hits, case: metrics.hunk_overlap([Span(*hit[:3]) for hit in hits], case.spans, k)


_FILE_METRICS: dict[str, Metric] = {
    "NDCG@10": _by_file(lambda files, gold: metrics.ndcg(files, gold, 10)),
    "MRR": _by_file(metrics.reciprocal_rank),
    "R@5": _by_file(lambda files, gold: metrics.recall(files, gold, 5)),
    "R@10": _by_file(lambda files, gold: metrics.recall(files, gold, 10)),
    "Acc@1": _by_file(lambda files, gold: metrics.accuracy(files, gold, 1)),
    "Acc@3": _by_file(lambda files, gold: metrics.accuracy(files, gold, 3)),
    "Acc@5": _by_file(lambda files, gold: metrics.accuracy(files, gold, 5)),
}
_SPAN_METRICS: dict[str, Metric] = {"hunks@10": _hunks(10)}

MAIN_METRIC = {"semble": "NDCG@10", "swe-qa": "R@5", "swe-bench-lite": "Acc@5"}
"""The figure by which a set is judged (shared/evals/README.md)."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a system returned for one case, and how good it was."""

    case: Case
    files: tuple[str, ...]
    """The first ten distinct files."""
    values: dict[str, float]
    seconds: float


@dataclass(frozen=True, slots=True)
class Run:
    """All outcomes of one system on one set, in the order of its cases."""

    system: str
    case_set: str
    outcomes: tuple[Outcome, ...]
    prepare_seconds: float

    def values(self, metric: str, where: Callable[[Case], bool] = lambda case: True) -> list[float]:
        return [outcome.values[metric] for outcome in self.outcomes if where(outcome.case)]

    @property
    def metric_names(self) -> tuple[str, ...]:
        return tuple(self.outcomes[0].values)


def evaluate(
    retriever: Retriever, case_set: CaseSet, checkouts: Checkouts, *, progress: Callable[[str], None] = lambda _: None
) -> Run:
    """Rank every case of a set; raises MissingCheckoutError for a repository that is not on disk."""
    outcomes: dict[str, Outcome] = {}
    prepare_seconds = 0.0
    for repository in case_set.repositories:
        checkout = checkouts.find(repository)
        started = time.perf_counter()
        retriever.prepare(checkout)
        prepare_seconds += time.perf_counter() - started
        progress(f"{retriever.name}: {repository.name} at {repository.revision[:7]}")
        cases = [case for case in case_set.cases if case.repository == repository]
        outcomes |= {outcome.case.identifier: outcome for outcome in _outcomes(retriever, cases)}
    ordered = tuple(outcomes[case.identifier] for case in case_set.cases)
    return Run(retriever.name, case_set.name, ordered, prepare_seconds)


def _outcomes(retriever: Retriever, cases: Iterable[Case]) -> Iterable[Outcome]:
    for case in cases:
        started = time.perf_counter()
        hits = retriever.rank(case.query, DEPTH)
        seconds = time.perf_counter() - started
        measures = _FILE_METRICS | (_SPAN_METRICS if case.spans else {})
        values = {name: measure(hits, case) for name, measure in measures.items()}
        files = tuple(metrics.distinct_files([hit.path for hit in hits])[:10])
        yield Outcome(case, files, values, seconds)
