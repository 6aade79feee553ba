"""BM25 against its formula written out, and rank fusion by hand."""

import math
from collections import Counter

import numpy as np
import pytest

from codemem.evals.bm25 import BM25, ranking, reciprocal_rank_fusion, split_words

TEXTS = ["parse the request body", "send the response", "request request headers of the response", ""]


def by_formula(texts: list[str], query: str, k1: float = 1.5, b: float = 0.75) -> list[float]:
    documents = [text.split() for text in texts]
    mean = sum(map(len, documents)) / len(documents)
    scores = []
    for words in documents:
        score = 0.0
        for word in query.split():
            n = sum(word in other for other in documents)
            idf = math.log(1 + (len(documents) - n + 0.5) / (n + 0.5))
            tf = Counter(words)[word]
            score += idf * tf * (k1 + 1) / (tf + k1 * (1 - b + b * len(words) / mean)) if n else 0.0
        scores.append(score)
    return scores


@pytest.mark.parametrize("query", ["request", "the response", "request request body", "unknown", ""])
def test_scores_follow_the_formula(query: str) -> None:
    assert BM25(TEXTS).scores(query) == pytest.approx(by_formula(TEXTS, query))


def test_identifiers_give_themselves_and_their_parts() -> None:
    assert split_words("getHTTPResponse") == ["gethttpresponse", "get", "http", "response"]
    assert split_words("snake_case = 42") == ["snake_case", "snake", "case", "42"]
    assert split_words("plain Words") == ["plain", "words"]


def test_a_name_is_found_in_another_spelling() -> None:
    index = BM25(["def get_response(): ...", "def put(): ..."])
    assert ranking(index.scores("getResponse"), floor=0.0) == [0]


def test_an_index_of_nothing_is_no_error() -> None:
    assert BM25([]).scores("x").shape == (0,)
    assert BM25(["", ""]).scores("x").tolist() == [0.0, 0.0]


def test_ranking_keeps_the_order_of_equals() -> None:
    assert ranking(np.array([1.0, 2.0, 1.0, 0.0])) == [1, 0, 2, 3]
    assert ranking(np.array([1.0, 2.0, 1.0, 0.0]), floor=0.0) == [1, 0, 2]


def test_fusion_by_hand() -> None:
    fused = reciprocal_rank_fusion([[0, 1], [1, 2]], 4)
    assert fused == pytest.approx([1 / 61, 1 / 62 + 1 / 61, 1 / 62, 0.0])
