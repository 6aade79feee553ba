"""Measures of a ranking, and how sure a mean or a difference of two means is.

A ranking is judged by distinct files: several spans of one file count once, at the best of their ranks.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from codemem.evals.cases import Span

Values = npt.NDArray[np.float64]


def distinct_files(paths: Sequence[str]) -> list[str]:
    """The paths without repetitions, in the order of their first rank."""
    return list(dict.fromkeys(paths))


def rank_of(target: str, files: Sequence[str]) -> int | None:
    """1-based rank of the first file whose path ends with `target`, as semble's benchmark counts it."""
    return next((rank for rank, path in enumerate(files, 1) if path.endswith(target)), None)


def ndcg(files: Sequence[str], gold: Sequence[str], k: int = 10) -> float:
    """Normalised discounted cumulative gain at `k` with gain 1 for every gold file."""
    if not gold:
        raise ValueError("a case needs at least one gold file")
    ranks = [rank for target in gold if (rank := rank_of(target, files[:k])) is not None]
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(k, len(gold)) + 1))
    return sum(1 / math.log2(rank + 1) for rank in ranks) / ideal


def recall(files: Sequence[str], gold: Sequence[str], k: int) -> float:
    """Share of the gold files among the first `k`."""
    return sum(rank_of(target, files[:k]) is not None for target in gold) / len(gold)


def accuracy(files: Sequence[str], gold: Sequence[str], k: int) -> float:
    """1.0 if every gold file is among the first `k`, else 0.0 (LocAgent, arXiv 2503.09089, section 4.1)."""
    return float(all(rank_of(target, files[:k]) is not None for target in gold))


def reciprocal_rank(files: Sequence[str], gold: Sequence[str]) -> float:
    """1 / rank of the best gold file, 0 if none was returned."""
    ranks = [rank for target in gold if (rank := rank_of(target, files)) is not None]
    return 1 / min(ranks) if ranks else 0.0


def hunk_overlap(spans: Sequence[Span], gold: Sequence[Span], k: int) -> float:
    """Share of the gold hunks that one of the first `k` spans overlaps."""
    return sum(any(hunk.overlaps(span) for span in spans[:k]) for hunk in gold) / len(gold)


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its bootstrap confidence interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def bootstrap(values: Sequence[float], *, level: float = 0.95, draws: int = 10_000, seed: int = 0) -> Interval:
    """Percentile interval of the mean over resampled cases; the same seed gives the same interval.

    For a paired comparison of two systems pass the differences case by case: the difference is real at `level`
    if the interval leaves out 0 (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13).
    """
    if not values:
        raise ValueError("no values to average")
    sample: Values = np.asarray(values, dtype=np.float64)
    generator = np.random.default_rng(seed)
    means = np.array([sample[generator.integers(0, len(sample), len(sample))].mean() for _ in range(draws)])
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(sample.mean()), float(low), float(high))


def paired_difference(ours: Sequence[float], theirs: Sequence[float], *, seed: int = 0) -> Interval:
    """Interval of the mean of `ours - theirs` over the same cases."""
    return bootstrap([a - b for a, b in zip(ours, theirs, strict=True)], seed=seed)
