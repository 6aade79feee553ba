"""Explanations behind the line that they rest on."""

from pathlib import Path
from typing import Any

import pytest

from codemem.model.statements import LONGEST, statements
from codemem.training.quoting import quoted_answers, quoting, resting_on

from .conftest import corpus_of

HEADER = "net/lexer.py Lexer\n"
TEXT = (
    "    def decode(self, text, encoding=None):\n"
    "        # Bytes are decoded with an encoding.\n"
    "        if isinstance(text, bytes):\n"
    "            text = text.decode(encoding or 'utf-8')\n"
    "        return text\n"
)


def record(answer: str, kind: str = "explain") -> dict[str, Any]:
    return {"question": "How does decode work?", "gold": [0], "distractors": [], "kind": kind, "answer": answer}


def test_the_line_with_the_rarest_of_what_is_said_comes_first() -> None:
    learnt = quoting(record("Bytes are decoded as `utf-8` if no encoding is given."), HEADER, TEXT)
    whole = "if isinstance(text, bytes): text = text.decode(encoding or 'utf-8')"
    assert learnt["answer"] == f"See `{whole}` in `Lexer.decode`. Bytes are decoded as `utf-8` if no encoding is given."
    assert learnt["evidence"] == "if isinstance(text, bytes):"
    assert learnt["evidence"] in TEXT


def test_no_more_than_the_first_sentences_are_learnt() -> None:
    said = "It decodes bytes by 3.5 ways. Then text is returned! `decode` is called by nobody. It is old."
    learnt = quoting(record(said), HEADER, TEXT)
    assert learnt["answer"].endswith("`. It decodes bytes by 3.5 ways. Then text is returned!")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\ny = 2\n", "Nothing of this is there."),
        ("# utf-8 encoding of bytes\n", "Bytes have the encoding utf-8."),
        ("s = `utf-8 encoding`\n", "The encoding is utf-8."),
        ("encoding_of_bytes = " + "1, " * LONGEST + "\n", "The encoding of bytes."),
        ("", "Nothing."),
    ],
    ids=["shares nothing", "comment", "cannot be quoted", "too long", "empty"],
)
def test_without_such_a_line_only_the_words_are_learnt(text: str, said: str) -> None:
    assert resting_on(statements(text), said) is None
    assert quoting(record(said), HEADER, text)["answer"] == said


def test_another_line_tells_more_than_the_one_that_defines() -> None:
    said = "It decodes text by encoding."
    assert resting_on(["def decode(text, encoding):", "return text.decode(encoding)"], said) == 1
    assert resting_on(["def decode(text, encoding):", "pass"], said) == 0


def test_a_statement_of_several_lines_is_learnt_as_a_whole() -> None:
    text = "def decode(text):\n    text = text.decode(\n        'utf-8'\n    )\n    return text\n"
    learnt = quoting(record("Text is decoded as `utf-8`."), HEADER, text)
    assert learnt["answer"] == "See `text = text.decode('utf-8')` in `Lexer.decode`. Text is decoded as `utf-8`."
    assert learnt["evidence"] == "text = text.decode("  # as it stands in the document
    remark = {**record("Text is decoded.", "remark"), "evidence": "text = text.decode("}
    assert quoting(remark, HEADER, text)["answer"].startswith("See `text = text.decode('utf-8')` in")


def test_only_explanations_change(tmp_path: Path, base: Path) -> None:
    corpus = corpus_of(tmp_path, base, ((HEADER.strip(), TEXT),))
    said = "Bytes are decoded as `utf-8` if no encoding is given. So it is. And it ends."
    corpus.answers = [record(said, "default"), record(said, "dialogue"), record(said, "explain")]
    fact, *explained = quoted_answers(corpus)
    assert fact["answer"] == said
    assert all(
        found["answer"].startswith("See `if isinstance(text, bytes): text = text.decode(") for found in explained
    )
    assert corpus.answers[1]["answer"] == said
