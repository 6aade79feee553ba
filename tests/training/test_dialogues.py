"""What a model asks and answers about a document is learnt only where the source bears it out."""

from pathlib import Path
from typing import Any

import pytest

from codemem.training.data.read import DOCUMENTS, Writer
from codemem.training.dialogues import OPENINGS, asked_and_answered, drawn, fault, prompt

RETRY: dict[str, Any] = {
    "header": "src/net/retry.py Client\n",
    "text": "    def retry_send(self, request, attempts=4):\n"
    "        for attempt in range(attempts):\n"
    "            try:\n"
    "                return self.transport.send(request)\n"
    "            except Timeout:\n"
    "                time.sleep(0.5 * 2**attempt)\n"
    "        raise GaveUp(request.url)",
    "language": "python",
    "package": "p",
}


def test_a_good_question_and_answer_pass() -> None:
    written = " attempts does retry_send make by default?\nFour; `attempts=4`. Then it raises `GaveUp`."
    pair = asked_and_answered("How many", written, whole=True)
    assert pair == (
        "How many attempts does retry_send make by default?",
        "Four; `attempts=4`. Then it raises `GaveUp`.",
    )
    assert fault(*pair, RETRY) is None


@pytest.mark.parametrize(
    ("question", "answer", "why"),
    [
        ("How does this function retry a request?", "It sleeps and sends again.", "speaks of what is shown"),
        ("How does it try again after a timeout?", "It sleeps and sends again.", "says not what it is about"),
        ("What does retry_send do", "It sends again after a pause.", "no question"),
        ("How many attempts does retry_send make?", "It makes `max_attempts` of them.", "names what is not there"),
        ("How many attempts does retry_send make?", "It makes 12 attempts in all.", "names what is not there"),
        ("How does retry_send try again?", "1. It sleeps. 2. It sends.", "no plain answer"),
        ("How does retry_send try again?", "```python\nsend()\n```", "no plain answer"),
    ],
)
def test_what_the_source_does_not_bear_out_is_left_out(question: str, answer: str, why: str) -> None:
    assert fault(question, answer, RETRY) == why


def test_a_number_may_be_spelled_in_the_source() -> None:
    spelled = RETRY | {"text": RETRY["text"] + "\n    # three requests at once"}
    assert fault("How many requests does retry_send make at once?", "It makes 3 at once.", spelled) is None


def test_an_answer_that_was_cut_off_ends_with_its_last_whole_sentence() -> None:
    pair = asked_and_answered("When", " does retry_send stop?\nAfter four attempts. It then rai", whole=False)
    assert pair == ("When does retry_send stop?", "After four attempts.")
    assert asked_and_answered("When", " does retry_send stop?\nAfter four", whole=False) is None
    assert asked_and_answered("When", " does retry_send stop?", whole=True) is None


def test_documents_are_drawn_from_source_alone_and_the_same_each_time(tmp_path: Path) -> None:
    with Writer(tmp_path / DOCUMENTS) as writer:
        for number in range(20):
            writer.write(RETRY | {"header": f"src/m{number}.py Client\n", "text": f"# {number}\n{RETRY['text']}"})
        writer.write(RETRY | {"header": "tests/test_retry.py\n"})
        writer.write(RETRY | {"header": "src/short.py\n", "text": "x = 1"})
    found = drawn(tmp_path, 30)
    assert len(found) == 20
    assert drawn(tmp_path, 30) == found
    for document, record in found:
        assert document["header"].startswith("src/m")
        assert record["opening"] in OPENINGS
        assert len(record["distractors"]) == 4
        assert record["gold"][0] not in record["distractors"]
        assert prompt(document, record["opening"]).endswith(f"<|im_start|>assistant\n{record['opening']}")
