"""Questions in key words: what is left of them, and how many are asked so."""

import numpy as np
import pytest

from codemem.training.keywords import Wording, key_words


@pytest.mark.parametrize(
    ("question", "left"),
    [
        ("What is the default of `retries` in connect()?", "default `retries` connect()"),
        ("How does the store find a damaged entry?", "store damaged entry"),
        ("Which function calls codeFact?", "function calls codeFact"),
        ("Where is `Thing.of` defined?", "`Thing.of` defined"),
        ("what is it?", "what is it?"),
        ("Why foo?", "Why foo?"),
        ("", ""),
    ],
)
def test_key_words_are_the_telling_ones_in_their_order(question: str, left: str) -> None:
    assert key_words(question) == left


def test_the_share_is_of_what_is_asked_about_one_document() -> None:
    wording = Wording(np.random.default_rng(1), 0.25)
    one = {"question": "What does `parse` return?", "gold": [3], "answer": "a tree"}
    drawn = [wording.of(one) for _ in range(400)]
    assert 70 < sum(record["question"] == "`parse` return" for record in drawn) < 130
    assert {record["answer"] for record in drawn} == {"a tree"}
    assert one["question"] == "What does `parse` return?"
    chain = {**one, "gold": [3, 4]}
    assert all(wording.of(chain) == chain for _ in range(50))


def test_no_share_draws_nothing() -> None:
    random, untouched = np.random.default_rng(5), np.random.default_rng(5)
    Wording(random, 0.0).of({"question": "What does `parse` return?", "gold": [3]})
    assert random.random() == untouched.random()
