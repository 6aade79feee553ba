"""Sources in the order in which the product reads: what defines a name that the question spells out stands last."""

from pathlib import Path

import pytest

from codemem.model.prompts import Prompts
from codemem.training.conversation import Conversation
from codemem.training.conversations import Conversations
from codemem.training.corpus import Corpus
from codemem.training.ranking import spelled_out

from .conftest import corpus_of

DOCUMENTS = (
    ("a.py", "def read_all(path):\n    return open(path)\n"),
    ("b.py", "def outer(path):\n    return read_all(path)\n"),
    ("c.py Store", "    @cached\n    def read_all(self, key):\n        return key\n"),
    ("d.py", "class Store(Base):\n    size = 3\n"),
    ("e.js", "export function other(x) {\n  return x\n}\n"),
    ("f.py", "# read_all is not here\nLIMIT = 3\n"),
)
RECORD = {
    "question": "Who calls `read_all`?",
    "gold": [1],
    "answer": "`outer`.",
    "kind": "caller",
    "distractors": [0, 4],
}


@pytest.fixture
def corpus(tmp_path: Path, base: Path) -> Corpus:
    return corpus_of(tmp_path, base, DOCUMENTS)


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("Who calls `read_all`?", [0, 2]),
        ("What does Store.read_all() return?", [0, 2]),  # the scope counts besides
        ("What is the size of `Store`?", [3]),
        ("how is other(x) used", [4]),
        ("Where do we read everything?", []),
    ],
)
def test_a_document_is_spelled_out_by_what_its_first_line_defines(
    corpus: Corpus, question: str, found: list[int]
) -> None:
    assert spelled_out(corpus, question, range(len(DOCUMENTS))) == found


def drawn(corpus: Corpus, as_ranked: float, count: int = 12) -> list[str]:
    conversations = Conversations(
        corpus, Prompts(corpus.tokenizer), tokens=900, memory_documents=3, seed=2, by_hop=0.0, as_ranked=as_ranked
    )
    return [text(corpus, conversations.build(RECORD)) for _ in range(count)]


def text(corpus: Corpus, conversation: Conversation) -> str:
    return corpus.tokenizer.decode(conversation.ids)


def test_what_is_asked_about_is_read_last_and_stands_in_the_naming_turn(corpus: Corpus) -> None:
    for shown in drawn(corpus, 1.0):
        named, _, sources = shown.partition("[1]")
        assert "a.py" in named
        assert "b.py" not in named
        assert sources.rindex("def read_all(path)") > sources.rindex("def outer")
        assert sources.rindex("def read_all(path)") > sources.rindex("function other")


def test_without_it_what_answers_stands_in_the_naming_turn(corpus: Corpus) -> None:
    named = [shown.partition("[1]")[0] for shown in drawn(corpus, 0.0)]
    assert all("b.py" in turn for turn in named)


def test_of_as_ranked_nothing_but_the_answer_is_learnt(corpus: Corpus) -> None:
    conversations = Conversations(
        corpus, Prompts(corpus.tokenizer), tokens=900, memory_documents=3, seed=2, by_hop=0.0, as_ranked=1.0
    )
    made = conversations.build(RECORD)
    (decision,) = made.decisions
    assert made.learn.index(True) == decision
    assert not made.choices
