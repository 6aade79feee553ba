"""Questions as key words: what many people type, who are used to searching.

A model that was only ever asked in sentences refuses "area of a circle" (docs/training.md, "The sixth course"). So a
share of what is asked loses the words that make it a sentence. What is answered stays the same.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

FEWEST = 2
"""Words that must be left; a question that says less keeps its form."""
FUNCTION_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
    a about an and any are as asked at be been but by can could did do does doing each for from get gets given gives had
    has have he how i if in into is it its itself made make me my no not of on or our ours own shall she should so some
    someone something such tell than that the their them then there these they this those to under unless up us use used
    was we were what when where whether which while who whom whose why will with without would you your please find look
        """,
    )
)
"""Left out. Words that turn a meaning over ("not", "without") are among them: people who search leave those out too."""
_SPACES = re.compile(r"\s+")
_EDGES = ".,;:!?"


def key_words(question: str) -> str:
    """The telling words of a question in their order, names as they are spelled; the question if few are left.

    "What is the default of `retries` in connect()?" -> "default `retries` connect()".
    """
    words = [word.strip(_EDGES) for word in _SPACES.split(question.strip())]
    left = [word for word in words if word and word.lower() not in FUNCTION_WORDS]
    return " ".join(left) if len(left) >= FEWEST else question


class Wording:
    """Puts a share of the records in key words; deterministic by the generator."""

    def __init__(self, random: np.random.Generator, share: float) -> None:
        self._random, self._share = random, share

    def of(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """The record, or one with its question in key words and, as `sentence`, what it was.

        Chains over documents stay sentences: without their words nobody could tell what they ask.
        """
        if not self._share or len(record["gold"]) > 1 or self._random.random() >= self._share:
            return dict(record)
        return {**record, "question": key_words(record["question"]), "sentence": record["question"]}
