"""Comments turned about: a question, what answers it, and the line that the comment speaks of."""

import random
from pathlib import Path

import pytest

from codemem.training.data.read import DOCUMENTS, Writer, rows
from codemem.training.quoting import quoting
from codemem.training.remark_questions import asked, said
from codemem.training.remarks import main, records, remarks


def draw(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311


POOL = """def release(self, connection):
    # When the pool is full, drop the oldest connection.
    log.debug("released")
    if len(self.pool) >= self.size:
        self.pool.pop(0)
    # We keep a weak reference
    # because the pool must not keep its owner alive.
    self.owner = weakref.ref(self.owner)
    # TODO: if it fails, retry the release later on.
    self.pool.append(connection)
    # If anything goes wrong, tell the caller.
    return None
"""


def test_a_comment_goes_with_the_line_below_that_it_speaks_of() -> None:
    found = list(remarks(POOL, "python"))
    assert [remark.line for remark in found] == [
        "if len(self.pool) >= self.size:",
        "self.owner = weakref.ref(self.owner)",
    ]
    assert found[1].sentence == "We keep a weak reference because the pool must not keep its owner alive."


def test_comments_are_told_by_the_language() -> None:
    said_of = "If a name is empty, skip the name here."
    found = {
        (language, marker): [remark.line for remark in remarks(f"{marker} {said_of}\nname = 1\n", language)]
        for language in ("python", "go", "php", "lua")
        for marker in ("#", "//", "--")
    }
    fitting = {("python", "#"), ("go", "//"), ("php", "//"), ("php", "#"), ("lua", "--")}
    assert {told for told, lines in found.items() if lines == ["name = 1"]} == fitting


def test_a_line_that_stands_twice_is_not_rested_on() -> None:
    assert not list(remarks("# Drop the pool when the pool is full.\npool.drop()\npool.drop()\n", "python"))


@pytest.mark.parametrize(
    ("sentence", "question", "answer"),
    [
        ("When the pool is full, drop the oldest.", "pool is full", "`f` drops the oldest."),
        ("If the slug has changed, then we issue a redirect", "slug has changed", "We issue a redirect."),
        ("In case the file is gone, don't raise.", "if the file is gone", "`f` does not raise."),
        ("Only copy the data if we have to.", "copy the data", "If we have to."),
        ("Skip hidden files unless they are asked for.", "skip hidden files", "Unless they are asked for."),
        ("Make a copy since we are going to change it.", "why do we make a copy", "Because we are going to change it."),
        ("We can't use a set here because order counts.", "why can't we use a set here", "Because order counts."),
        ("Don't cache this, so that tests see changes.", "why do we not cache this", "So that tests see changes."),
        ("The name is public because others read it.", "why is it that the name is public", "Because others read it."),
    ],
)
def test_a_sentence_becomes_a_question_and_its_answer(sentence: str, question: str, answer: str) -> None:
    for seed in range(20):
        named = asked(sentence, "f", draw(seed))
        assert named is not None
        assert "f" in named.replace("`", "").replace(":", "").replace(",", "").replace("?", "").split()
        assert question in named.lower()
        unnamed = asked(sentence, "", draw(seed))
        assert unnamed is not None
        assert question in unnamed.lower()
        assert "`" not in unnamed
    assert said(sentence, "f") == answer


@pytest.mark.parametrize(
    "sentence",
    [
        "The pool of connections that are kept open.",
        "Returns the size as if it were a file.",
        "If so, go on.",
        "Use the first one, otherwise fall back to the second.",
    ],
)
def test_a_sentence_without_two_halves_asks_nothing(sentence: str) -> None:
    assert asked(sentence, "f", draw(0)) is None


def test_records_are_written_for_a_course_and_quote_their_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = [POOL, "def other():\n    return 1\n"]
    documents = [{"package": "p", "language": "python", "header": "pool.py Pool\n", "text": text} for text in texts]
    with Writer(tmp_path / DOCUMENTS) as writer:
        for document in documents:
            writer.write(document)
    main(["--data", str(tmp_path), "--most", "10"])
    (record,) = rows(tmp_path / "explained-remark-0.jsonl.zst")
    assert record["gold"] == [0]
    assert record["distractors"] == [1]
    assert record["evidence"] in POOL
    learnt = quoting(record, "pool.py Pool\n", POOL)
    assert learnt["answer"] == (f"See `{record['evidence']} self.pool.pop(0)` in `Pool.release`. {record['answer']}")
    assert '"python": 1' in capsys.readouterr().out
    assert records(documents) == records(documents)
