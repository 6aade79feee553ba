"""What a model asks and answers about a document is learnt only where the source bears it out."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from codemem.training.data.read import DOCUMENTS, Writer
from codemem.training.dialogues import OPENINGS, answer_fault, dialogues, drawn, prompt, question_fault
from codemem.training.explain import explained

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


def fault(question: str, answer: str, document: dict[str, Any]) -> str | None:
    return question_fault(question, document) or answer_fault(question, explained(answer, whole=True), document)


def test_a_good_question_and_answer_pass() -> None:
    answer = "Four; `attempts=4`. Then it raises `GaveUp` with the request's URL."
    assert fault("How many attempts does retry_send make by default?", answer, RETRY) is None


@pytest.mark.parametrize(
    ("question", "answer", "why"),
    [
        ("How does this function retry a request?", "It sleeps and sends again.", "speaks of what is shown"),
        ("How does it try again after a timeout?", "It sleeps and sends again.", "says not what it is about"),
        ("What does retry_send do", "It sends again after a pause.", "no question"),
        (
            "How many attempts does retry_send make?",
            "It makes `max_attempts` in all, then it stops.",
            "names what is not there",
        ),
        (
            "How many attempts does retry_send make?",
            "It makes 12 attempts, and then it stops.",
            "names what is not there",
        ),
        ("How does retry_send try again?", "1. It sleeps. 2. It sends.", "no plain answer"),
        ("How does retry_send try again?", "```python\nsend()\n```", "no plain answer"),
    ],
)
def test_what_the_source_does_not_bear_out_is_left_out(question: str, answer: str, why: str) -> None:
    assert fault(question, answer, RETRY) == why


def test_a_number_may_be_spelled_in_the_source() -> None:
    spelled = RETRY | {"text": RETRY["text"] + "\n    # three requests at once"}
    assert (
        fault(
            "How many requests does retry_send make at once?",
            "It makes 3 at once and waits for them to end.",
            spelled,
        )
        is None
    )


ANSWER = "It tries again `attempts` times, then gives up."


class Model:
    """Writes what it is told to, and keeps what it was shown."""

    together = 8

    def __init__(self) -> None:
        self.shown: list[str] = []

    def write(self, prompts: Sequence[str], *, most: int = 112) -> list[tuple[str, bool]]:
        self.shown += prompts
        asks = most < 112
        return [
            (" often does retry_send try?" if asks else "It tries again `attempts` times, then gives up.", True)
        ] * len(prompts)


def test_what_passes_becomes_a_record_and_the_answer_is_asked_with_its_question() -> None:
    model, faults = Model(), Counter[str]()
    record = {"gold": [3], "distractors": [1], "kind": "dialogue", "language": "python", "opening": "How"}
    found = list(
        dialogues(model, [(RETRY, record), (RETRY | {"header": "x.py\n", "text": "1\n"}, record)], faults, until=1e18)
    )
    question = "How often does retry_send try?"
    assert [(row["question"], row["gold"], "opening" in row) for row in found] == [(question, [3], False)]
    assert found[0]["answer"] == ANSWER
    assert question in model.shown[-1]
    assert faults == {"asked": 1, "says not what it is about": 1, "kept": 1}


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
