"""Metrics against values computed by hand."""

import math

import pytest

from codemem.evals import metrics
from codemem.evals.cases import Span

RANKED = ["src/a.py", "src/b.py", "lib/c.py", "d.py"]


def test_ndcg_of_one_file_is_the_discount_of_its_rank() -> None:
    assert metrics.ndcg(RANKED, ["src/a.py"]) == 1.0
    assert metrics.ndcg(RANKED, ["lib/c.py"]) == pytest.approx(1 / math.log2(4))
    assert metrics.ndcg(RANKED, ["none.py"]) == 0.0


def test_ndcg_of_two_files() -> None:
    ideal = 1 + 1 / math.log2(3)
    assert metrics.ndcg(RANKED, ["src/a.py", "src/b.py"]) == pytest.approx(1.0)
    assert metrics.ndcg(RANKED, ["src/b.py", "d.py"]) == pytest.approx((1 / math.log2(3) + 1 / math.log2(5)) / ideal)


def test_ndcg_looks_no_further_than_k() -> None:
    assert metrics.ndcg(RANKED, ["d.py"], k=3) == 0.0
    assert metrics.ndcg(RANKED, RANKED, k=2) == pytest.approx(1.0)


def test_a_target_matches_by_the_end_of_the_path() -> None:
    assert metrics.rank_of("b.py", RANKED) == 2
    assert metrics.rank_of("lib/b.py", RANKED) is None


def test_spans_of_one_file_count_once() -> None:
    assert metrics.distinct_files(["a", "a", "b", "a", "c"]) == ["a", "b", "c"]


def test_recall_and_accuracy() -> None:
    gold = ["src/b.py", "d.py", "missing.py"]
    assert metrics.recall(RANKED, gold, 2) == pytest.approx(1 / 3)
    assert metrics.recall(RANKED, gold, 4) == pytest.approx(2 / 3)
    assert metrics.accuracy(RANKED, gold[:2], 4) == 1.0
    assert metrics.accuracy(RANKED, gold[:2], 3) == 0.0


def test_reciprocal_rank_is_of_the_best_gold_file() -> None:
    assert metrics.reciprocal_rank(RANKED, ["d.py", "src/b.py"]) == 0.5
    assert metrics.reciprocal_rank(RANKED, ["missing.py"]) == 0.0


def test_hunk_overlap_needs_path_and_lines() -> None:
    gold = [Span("a.py", 10, 20), Span("b.py", 1, 5)]
    found = [Span("a.py", 20, 30), Span("b.py", 6, 9), Span("c.py", 1, 5), Span("b.py", 5, 5)]
    assert metrics.hunk_overlap(found, gold, 3) == 0.5
    assert metrics.hunk_overlap(found, gold, 4) == 1.0


def test_bootstrap_is_repeatable_and_holds_the_mean() -> None:
    values = [0.0, 1.0, 1.0, 0.5, 1.0, 0.0, 1.0, 1.0]
    interval = metrics.bootstrap(values)
    assert interval == metrics.bootstrap(values)
    assert interval.mean == pytest.approx(sum(values) / 8)
    assert interval.low < interval.mean < interval.high


def test_bootstrap_width_agrees_with_the_standard_error() -> None:
    values = [0.0, 1.0] * 200
    interval = metrics.bootstrap(values)
    expected = 2 * 1.96 * 0.5 / math.sqrt(400)
    assert interval.high - interval.low == pytest.approx(expected, rel=0.1)


def test_paired_difference_sees_what_single_intervals_hide() -> None:
    theirs = [0.0, 1.0] * 50
    ours = [value + 0.1 for value in theirs]
    difference = metrics.paired_difference(ours, theirs)
    assert (difference.low, difference.high) == pytest.approx((0.1, 0.1))
    assert metrics.bootstrap(ours).low < metrics.bootstrap(theirs).high


def test_nothing_to_average_is_an_error() -> None:
    with pytest.raises(ValueError, match="no values"):
        metrics.bootstrap([])
    with pytest.raises(ValueError, match="longer"):
        metrics.paired_difference([1.0], [1.0, 0.0])
    with pytest.raises(ValueError, match="gold"):
        metrics.ndcg(RANKED, [])
