"""Sources as the indexer makes them: several definitions in one document, parts of long ones."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codemem.model.prompts import Prompts
from codemem.training.conversations import Conversations
from codemem.training.corpus import Corpus
from codemem.training.files import Files
from codemem.training.packed import LIMITS, IndexedFiles, PackedForm

from .conftest import corpus_of

LONG = (
    "def long_one(value):\n"
    + "".join(f"    step_{n} = value + {n}\n" for n in range(60))
    + "    return second(value)\n"
)
DOCUMENTS = (
    ("a.py", "def first(x):\n    return 1\n"),
    ("a.py", "def second(x):\n    return 2\n"),
    ("a.py", "def third(x):\n    return second(x) + 7\n"),
    ("b.py", LONG),
    ("c.py", "def fourth(y):\n    return y\n"),
    ("b.py", "def shortest(z):\n    return z\n"),
    ("d.py", "def fifth(y):\n    return 7 * y\n"),
    ("d.py", "def sixth(y):\n    return second(x) + 7\n"),
)
RECORD: dict[str, Any] = {
    "question": "What does `third` return?",
    "gold": [2],
    "answer": "`third` returns `second(x) + 7`.",
    "evidence": "return second(x) + 7",
    "kind": "returns",
    "distractors": [0, 1, 4, 6],
}


@pytest.fixture
def corpus(tmp_path: Path, base: Path) -> Corpus:
    return corpus_of(tmp_path, base, DOCUMENTS)


def test_neighbours_are_one_piece_and_stand_in_the_files_order(corpus: Corpus) -> None:
    indexed = IndexedFiles(corpus, Files(corpus))
    pieces = [indexed.piece(document, "", 1600) for document in (0, 1, 2)]
    assert len({piece.key for piece in pieces}) == 1
    assert re.findall(r"def (\w+)", pieces[0].text) == ["first", "second", "third"]
    assert pieces[0].header == "a.py\n"


def test_the_later_part_of_a_long_function_has_its_name_in_the_header_alone(corpus: Corpus) -> None:
    indexed = IndexedFiles(corpus, Files(corpus))
    part = indexed.piece(3, "return second(value)", 500)
    assert part.header == "b.py long_one\n"
    assert "return second(value)" in part.text
    assert "def long_one" not in part.text
    assert "def long_one" in indexed.piece(3, "", 500).text


def test_what_holds_the_answer_to_something_asked_brings_no_neighbour_in(corpus: Corpus) -> None:
    indexed, evidence = IndexedFiles(corpus, Files(corpus)), "return second(x) + 7"
    for seed in range(8):
        form = PackedForm(indexed, np.random.default_rng(seed), {2: evidence}, [evidence])
        assert form.shown(6).text == DOCUMENTS[6][1], "its neighbour in d.py returns the same"
        assert evidence in form.shown(2).text
        assert form.shown(1) is form.shown(1)


def sources(text: str) -> dict[int, str]:
    """Number -> what stands behind it up to the next, of the turn that shows sources."""
    shown = text.partition("[1]")[2]
    pieces = re.split(r"\n\[(\d+)\] ", shown.partition("\nWhat does `third`")[0])
    return {1: pieces[0], **{int(n): piece for n, piece in zip(pieces[1::2], pieces[2::2], strict=True)}}


def drawn(corpus: Corpus, record: dict[str, Any], packed: float) -> list[str]:
    conversations = Conversations(
        corpus,
        Prompts(corpus.tokenizer),
        tokens=1500,
        memory_documents=3,
        seed=4,
        by_hop=0.0,
        as_ranked=1.0,
        packed=packed,
    )
    return [corpus.tokenizer.decode(conversations.build(dict(record)).ids) for _ in range(16)]


def test_each_source_is_shown_once_and_the_one_that_answers_is_cited(corpus: Corpus) -> None:
    packed = 0
    for text in drawn(corpus, RECORD, 1.0):
        shown = sources(text)
        assert all(text.count(f"def {name}(") == 1 for name in ("first", "second", "third") if f"def {name}(" in text)
        holding = [number for number, piece in shown.items() if RECORD["evidence"] in piece]
        assert len(holding) == 1
        cited = int(text.rpartition("`.")[2])
        assert cited == holding[0]
        packed += "def second" in shown[cited]
    assert 0 < packed < 16, "some stay definitions"


def test_where_nothing_answers_nothing_is_packed(corpus: Corpus) -> None:
    unanswerable = {**RECORD, "gold": [], "answer": "No.", "evidence": "", "distractors": [0, 4]}
    assert not any("def third" in text for text in drawn(corpus, unanswerable, 1.0))


def test_the_largest_limit_is_the_products() -> None:
    from codemem.indexer import Selection

    assert max(LIMITS) == Selection().max_document_bytes


def test_what_begins_with_the_same_attribute_is_not_the_same_and_a_documented_one_is(
    tmp_path: Path, base: Path
) -> None:
    documents = (
        ("t.rs", "#[test]\nfn one() {\n    assert!(first());\n}\n"),
        ("t.rs", "#[test]\nfn two() {\n    assert!(second());\n    assert!(third());\n}\n"),
        ("t.rs", "fn kept() {\n    first();\n    third()\n}\n"),
        ("t.rs", "/// Keeps it.\nfn kept() {\n    first();\n    third()\n}\n"),
        ("p.py", "@property\ndef width(self):\n    return 1\n"),
        ("p.py", "@property\ndef height(self):\n    return self.width * 2 + 1\n"),
    )
    files = Files(corpus_of(tmp_path, base, documents))
    rust, python = "\n".join(files.of(0).lines), "\n".join(files.of(4).lines)
    assert [rust.count(name) for name in ("fn one", "fn two", "fn kept")] == [1, 1, 1]
    assert "/// Keeps it." in rust
    assert [python.count(name) for name in ("def width", "def height")] == [1, 1]
