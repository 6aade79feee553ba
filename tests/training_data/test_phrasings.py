"""Training asks in words of its own: the evaluation's are for the evaluation alone."""

import re

from codemem.evals.answers.phrasing import phrasings
from codemem.training.data.answer_forms import forms

LONGEST_SHARED = 6
"""Words in a row, names left open, that two ways to ask may have in common: "what does _ default to" are five."""


def words(template: str) -> list[str]:
    return re.findall(r"\w+", re.sub(r"\{\w\}", " _ ", template.lower()))


def runs(template: str) -> set[tuple[str, ...]]:
    found = words(template)
    return {tuple(found[n : n + LONGEST_SHARED]) for n in range(len(found) - LONGEST_SHARED + 1)}


def test_no_question_of_training_is_worded_as_one_of_the_evaluation() -> None:
    asked = [text for kind, tongues in phrasings().items() if kind != "spoken" for text in tongues["en"]]
    ours = [text for ways in forms().values() for text in ways]
    assert len(ours) > 500
    assert len(asked) > 50
    theirs = {run for text in asked for run in runs(text)}
    sentences = {tuple(words(text)) for text in asked}
    assert [text for text in ours if runs(text) & theirs or tuple(words(text)) in sentences] == []
