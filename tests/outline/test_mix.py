"""The mixing rule against values computed by hand."""

import numpy as np
import pytest

from codemem.indexer.document import FILE_KINDS
from codemem.outline.mix import (
    FEW_WEIGHT,
    LITTLE_TOLD,
    MANY_WEIGHT,
    MUCH_TOLD,
    OUTLINE_WEIGHT,
    PROSE_WEIGHT,
    WORDS_WEIGHT,
    best_of_files,
    mix_files,
    mix_without_memory,
    outline_weight,
    weigh_documents,
    words_weight,
)
from codemem.outline.query import asked_kinds
from codemem.outline.ranking import FILE_WEIGHTS


def test_the_rule_by_hand() -> None:
    memory = {"a": 0.9, "b": 0.5, "c": 0.3}
    outline = {"b": 4.0, "c": 1.0}
    # median 0.5, so a: 0.4 * 1; b: 0.6 * 1 + 0; c: 0.6 * 0.25 + 0
    mixed = mix_files(memory, outline, weight=0.6)
    assert mixed == pytest.approx({"b": 0.6, "a": 0.4, "c": 0.15})
    assert list(mixed) == ["b", "a", "c"]


def test_the_words_of_bodies_have_their_share() -> None:
    memory, outline = {"a": 0.9, "b": 0.5, "c": 0.3}, {"b": 4.0, "c": 1.0}
    # With a file that holds none the median is (0 + 2) / 2, so a: 0, b: 1, c: 1/5.
    mixed = mix_files(memory, outline, {"a": 0.0, "b": 6.0, "c": 2.0}, weight=0.6)
    rest = 1 - WORDS_WEIGHT
    assert mixed == pytest.approx(
        {"b": rest * 0.6 + WORDS_WEIGHT, "a": rest * 0.4, "c": rest * 0.15 + WORDS_WEIGHT / 5}
    )


def test_without_a_memory_only_files_that_something_speaks_for_are_named() -> None:
    mixed = mix_without_memory({"named": 2.0}, {"named": 0.0, "spoken": 3.0, "silent": 0.0})
    assert mixed == pytest.approx({"named": 1 - WORDS_WEIGHT, "spoken": WORDS_WEIGHT})
    assert mix_without_memory({}, {"only": 3.0}) == pytest.approx({"only": WORDS_WEIGHT})
    assert list(mix_without_memory({}, {"a": 3.0, "b": 3.0})) == ["a", "b"], "alike is not silent"


def test_one_silent_side_leaves_the_other_order() -> None:
    memory = {"a": -3.0, "b": -1.0, "c": -2.0}
    assert next(iter(mix_files(memory, {}))) == "b"
    assert list(mix_files({}, {"x": 1.0, "y": 2.0})) == ["y", "x"]
    assert mix_files({}, {}) == {}


def test_the_scale_and_zero_of_the_memory_do_not_matter() -> None:
    memory = {"a": 0.9, "b": 0.5, "c": 0.3}
    shifted = {path: 100 * score - 7 for path, score in memory.items()}
    assert mix_files(shifted, {"c": 2.0}) == pytest.approx(mix_files(memory, {"c": 2.0}))


def test_a_single_file_and_equal_scores_are_no_error() -> None:
    assert mix_files({"a": 0.5}, {"a": 1.0}) == pytest.approx({"a": OUTLINE_WEIGHT})
    assert mix_files({"a": 0.5, "b": 0.5}, {}) == {"a": 0.0, "b": 0.0}


def test_names_lead_to_definitions_and_prose_to_what_code_does() -> None:
    for named in ("Session.get", "where is `retry` configured?", "who calls split_words?", "retry"):
        assert outline_weight(named, 1.0) == OUTLINE_WEIGHT
    assert outline_weight("where is a damaged entry found?", 1.0) == PROSE_WEIGHT


def test_the_outline_speaks_as_loud_as_it_tells_of_the_question() -> None:
    assert outline_weight("retry", MUCH_TOLD) == OUTLINE_WEIGHT
    assert outline_weight("retry", (LITTLE_TOLD + MUCH_TOLD) / 2) == pytest.approx(OUTLINE_WEIGHT / 2)
    assert outline_weight("retry", LITTLE_TOLD) == outline_weight("retry", 0.0) == 0.0


def test_many_words_of_a_question_weigh_more_than_few() -> None:
    assert words_weight("retry") == words_weight("where do we retry a request") == FEW_WEIGHT
    assert words_weight(" ".join(["word"] * 17)) == pytest.approx((FEW_WEIGHT + MANY_WEIGHT) / 2)
    assert words_weight("word " * 28) == words_weight("word " * 900) == MANY_WEIGHT
    memory, words = {"a": 1.0, "b": 0.8, "c": 0.0, "d": 0.0}, {"b": 5.0}
    found = [list(mix_files(memory, {}, words, weight=0.0, by_words=share)) for share in (FEW_WEIGHT, MANY_WEIGHT)]
    assert [order[0] for order in found] == ["a", "b"]


@pytest.mark.parametrize("weight", [-0.1, 1.1])
def test_a_weight_is_a_share(weight: float) -> None:
    with pytest.raises(ValueError, match="share"):
        mix_files({}, {}, weight=weight)
    with pytest.raises(ValueError, match="share"):
        mix_files({}, {}, by_words=weight)


def test_best_of_files() -> None:
    assert best_of_files([("a", -2.0), ("b", 1.0), ("a", -1.0)]) == {"a": -1.0, "b": 1.0}


def test_a_test_as_good_as_what_it_tests_comes_behind_it_unless_tests_are_asked_for() -> None:
    scores = np.array([0.9, 0.88, 0.3, 0.2, 0.1], np.float32)
    kinds = np.array([FILE_KINDS.index(kind) for kind in ("test", "code", "code", "docs", "test")])
    alone = np.arange(5)
    weighed = weigh_documents(scores, kinds, alone)
    assert int(weighed.argmax()) == 1
    assert weighed[0] == pytest.approx(0.3 + 0.6 * FILE_WEIGHTS["test"] ** 0.5)
    assert weighed[2:].tolist() == scores[2:].tolist(), "what lies at the median or below it keeps its place"
    for question in ("which test covers the parser?", "which benchmark measures the parser?"):
        assert weigh_documents(scores, kinds, alone, asked_kinds(question)) == pytest.approx(scores)


def test_the_best_document_of_a_file_gains_by_the_others() -> None:
    scores = np.array([0.8, 0.9, 0.7, 0.5, 0.5, 0.4, 0.3, 0.2], np.float32)
    files = np.array([7, 3, 7, 7, 9, 9, 9, 9])
    weighed = weigh_documents(scores, np.zeros(8, np.int64), files)
    # median 0.5: file 7 has 0.3, 0.2 and 0, file 3 has 0.4
    assert weighed == pytest.approx(np.array([0.5 + 0.3 + 0.1, 0.9, 0.7, 0.5, 0.5, 0.4, 0.3, 0.2], np.float32))
    many = np.linspace(0.5, 0.9, 40, dtype=np.float32)
    one_file = weigh_documents(
        np.concatenate([many, np.zeros(41, np.float32)]), np.zeros(81, int), np.repeat([0, 1], [40, 41])
    )
    assert one_file[39] == pytest.approx(sum(many[39 - i] * 0.5**i for i in range(5)))


def test_documents_that_are_not_ranked_stay_so() -> None:
    scores = np.array([0.5, -np.inf, 0.1], np.float32)
    weighed = weigh_documents(scores, np.zeros(3, np.int64), np.array([0, 0, 1]))
    assert weighed[1] == -np.inf
    assert not len(weigh_documents(scores[:0], np.zeros(0, np.int64), np.zeros(0, np.int64)))
