"""Questions about one statement: what is asked about, what is kept, and that their line is the one that is quoted."""

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from codemem.training.pointed import asked_of, fault, pointed, prompt, question_and_answer, telling
from codemem.training.quoting import quoting

LIMITER: dict[str, Any] = {
    "header": "src/limiter.py Limiter\n",
    "text": "def take(self, count=1):\n"
    "    # wait for the next second\n"
    "    if self.left < count:\n"
    "        self.refused += 1\n"
    "        raise TooMany(count)\n"
    "    self.left -= count\n"
    "    return self\n"
    "    return self\n",
    "language": "python",
    "package": "p",
}
STATEMENT = "if self.left < count: self.refused += 1"
QUESTION, ANSWER = "What happens when more is asked for than is left?", "The limiter counts it as refused."


def test_what_decides_something_is_asked_about() -> None:
    weights = telling(LIMITER["text"])
    lines = LIMITER["text"].split("\n")
    assert [lines[at].strip() for at in weights] == [
        "if self.left < count:",
        "raise TooMany(count)",
        "self.left -= count",
    ]
    assert weights[2] > weights[4] > weights[5]
    call = (
        "def wait(self):\n    self.clock.sleep(\n        self.pause_seconds,\n        until=self.deadline_at,\n    )\n"
    )
    assert list(telling(call)) == [1]
    assert not telling(call.replace("self.pause_seconds", "x" * 200))
    assert not telling("def nothing():\n    pass\n    return found\n    seen_so_far = 0\n    names_found = []\n}\n")


def test_a_good_question_passes() -> None:
    assert fault(QUESTION, ANSWER, STATEMENT, LIMITER) is None


@pytest.mark.parametrize(
    ("question", "answer", "why"),
    [
        ("What happens when more is asked for than is left", ANSWER, "no question"),
        ("What does self_left do when it is small?", ANSWER, "speaks of what is shown"),
        ("What does this function do when little is left?", ANSWER, "speaks of what is shown"),
        (QUESTION, "Refused", "no plain answer"),
        (QUESTION, "It calls `refuse_all` on the queue.", "names what is not there"),
        (QUESTION, "More is asked for than left.", "says the question again"),
        (QUESTION, "It slows down gracefully because servers dislike bursts of traffic.", "makes things up"),
        ("How are old files thrown out?", "They are thrown out by their age.", "speaks of something else"),
    ],
)
def test_what_teaches_nothing_is_left_out(question: str, answer: str, why: str) -> None:
    assert fault(question, answer, STATEMENT, LIMITER) == why


class Model:
    """Writes what it is told to, and keeps what it was shown."""

    together = 2

    def __init__(self) -> None:
        self.shown: list[str] = []

    def write(self, prompts: Sequence[str], *, most: int = 112) -> list[tuple[str, bool]]:
        self.shown += prompts
        return [(f" {QUESTION}\n{ANSWER}\nAnd more.", True)] * len(prompts)


def test_a_record_quotes_the_statement_that_was_asked_about() -> None:
    model, faults = Model(), Counter[str]()
    record = {"gold": [3], "distractors": [1], "kind": "dialogue", "language": "python", "opening": "How"}
    only_one = LIMITER | {"text": "def take(self, count=1):\n    if self.left < count:\n        self.refused += 1\n"}
    found = list(pointed(model, [(only_one, record)] * 3, faults, until=1e18))
    assert faults == {"kept": 3}
    assert {row["kind"] for row in found} == {"statement"}
    assert all("opening" not in row for row in found)
    for row, shown in zip(found, model.shown, strict=True):
        learnt = quoting(row, only_one["header"], only_one["text"])["answer"]
        said = shown.rpartition("The statement: ")[2].partition("<|im_end|>")[0]
        assert row["evidence"] in only_one["text"]
        assert learnt == f"See `{said}` in `Limiter.take`. {ANSWER}"
    assert not list(pointed(model, [(LIMITER, record)], faults, until=0.0))


def test_a_question_names_its_definition_half_of_the_time() -> None:
    draw = random.Random(0)  # noqa: S311
    asked = [asked_of(QUESTION, LIMITER, draw) for _ in range(400)]
    assert 150 < asked.count(QUESTION) < 250
    assert set(asked) == {
        QUESTION,
        "In `Limiter.take`, what happens when more is asked for than is left?",
        "What happens when more is asked for than is left in `Limiter.take`?",
        "What happens when more is asked for than is left in take?",
    }


def test_the_model_is_shown_the_statement_last_and_two_lines_are_read() -> None:
    shown = prompt(LIMITER, STATEMENT)
    assert shown.endswith(f"The statement: {STATEMENT}<|im_end|>\n<|im_start|>assistant\n")
    assert question_and_answer(" Why?\n Because  of it.\nMore") == ("Why?", "Because of it.")
    assert question_and_answer("Why?") == ("Why?", "")
