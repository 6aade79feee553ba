"""Conversations that tell where the names of a question stand in their sources, as the product does."""

import re
from pathlib import Path
from typing import Any

import pytest

from codemem.model.events import Definition, Source
from codemem.model.prompts import Prompts
from codemem.model.references import references
from codemem.model.tokenizer import Tokenizer
from codemem.training import writing
from codemem.training.conversation import Conversation
from codemem.training.conversations import Conversations
from codemem.training.corpus import Corpus
from codemem.training.files import Files
from codemem.training.packed import IndexedFiles

from .conftest import corpus_of, write_rows
from .test_packed import LONG

CLASS = (
    "class Store:\n"
    "    @property\n    def size(self):\n        return len(self.kept)\n\n"
    "    @property\n    def age(self):\n        return clock_of(self)\n"
)
DOCUMENTS = (
    ("a.py", CLASS),
    ("a.py Store", "    @property\n    def age(self):\n        return clock_of(self)\n"),
    ("a.py", "def clock_of(store):\n    return store.clock\n"),
    ("b.py", LONG),
    ("c.py", "def second(x):\n    return 2\n"),
    ("d.py", "def third(x):\n    return second(x) + 7\n"),
    ("e.py", "def fourth(y):\n    return y\n"),
    ("README.md", "# second\n\nCall second(x).\n"),
)
RECORD: dict[str, Any] = {
    "question": "Who calls `second`?",
    "gold": [5],
    "answer": "`third`.",
    "evidence": "return second(x) + 7",
    "kind": "caller",
    "distractors": [4, 6],
}


@pytest.fixture
def corpus(tmp_path: Path, base: Path) -> Corpus:
    return corpus_of(tmp_path, base, DOCUMENTS)


@pytest.fixture
def indexed(corpus: Corpus) -> IndexedFiles:
    return IndexedFiles(corpus, Files(corpus))


def lines_of(text: str, found: Definition) -> str:
    return "\n".join(text.split("\n")[max(0, found.start_line) : found.end_line])


def test_a_packed_document_has_the_definitions_of_its_lines(corpus: Corpus, indexed: IndexedFiles) -> None:
    piece = indexed.piece(2, "", 1600)
    held = {found.name: lines_of(piece.text, found) for found in piece.definitions}
    assert held.keys() == {"Store", "Store.age", "clock_of"}
    assert held["Store"] == CLASS.rstrip("\n")
    # It stands within its class; the decorator of another method is not where it begins.
    assert held["Store.age"] == DOCUMENTS[1][1].rstrip("\n")
    assert held["clock_of"] == DOCUMENTS[2][1].rstrip("\n")


def test_the_later_part_of_a_definition_has_begun_before(indexed: IndexedFiles) -> None:
    part = indexed.piece(3, "return second(value)", 500)
    (found,) = part.definitions
    assert (found.name, found.start_line < 0) == ("long_one", True)
    assert found.end_line - found.start_line == LONG.count("\n")
    assert part.text.split("\n")[found.end_line - 1] == "    return second(value)"


def test_definitions_within_lines_of_a_file_are_counted_from_the_first(indexed: IndexedFiles) -> None:
    file = indexed._files.of(0)
    start, end = file.spans[2]
    assert list(indexed.within(0, start, end)) == [Definition("clock_of", 0, 2)]
    names = [found.name for found in indexed.within(0, 0, len(file.lines))]
    assert sorted(names) == ["Store", "Store.age", "clock_of"]
    assert indexed.within(0, len(file.lines), len(file.lines) + 9) == ()
    assert indexed.within(0, start, start + 1) == (Definition("clock_of", 0, 2),)  # one that is cut is there


def test_a_document_as_it_is_defines_itself_and_prose_nothing(indexed: IndexedFiles) -> None:
    assert indexed.alone(5).definitions == (Definition("third", 0, 3),)
    assert indexed.alone(7).definitions == ()


def drawn(corpus: Corpus, record: dict[str, Any] = RECORD, count: int = 12, **settings: Any) -> list[Conversation]:
    given = {"tokens": 1500, "memory_documents": 3, "by_hop": 0.0, **settings}
    conversations = Conversations(corpus, Prompts(corpus.tokenizer), seed=4, **given)
    return [conversations.build(dict(record)) for _ in range(count)]


FORMS: list[dict[str, Any]] = [{}, {"as_ranked": 1.0}, {"as_ranked": 1.0, "packed": 1.0}, {"by_hop": 1.0}]


def behind_sources(corpus: Corpus, conversation: Conversation) -> str:
    """What stands from the fork on, up to what the model writes."""
    first = max(
        at for at in conversation.decisions if at < (conversation.further or [(len(conversation.ids), 0)])[0][0]
    )
    return corpus.tokenizer.decode(conversation.ids[conversation.fork : first])


def sources(corpus: Corpus, conversation: Conversation) -> dict[int, str]:
    """What is shown, by number."""
    _, *parts = re.split(r"\n\[(\d+)\] ", corpus.tokenizer.decode(conversation.ids[: conversation.fork]))
    return {int(number): text for number, text in zip(parts[::2], parts[1::2], strict=True)}


@pytest.mark.parametrize("form", FORMS)
def test_the_line_stands_behind_the_sources_that_it_speaks_of(corpus: Corpus, form: dict[str, Any]) -> None:
    for conversation in drawn(corpus, noted=1.0, **form):
        told = behind_sources(corpus, conversation)
        assert told.startswith("\n`second`: ")
        line = told.split("\n")[1]
        assert told.index(line) < told.index(RECORD["question"])
        (number,) = [n for n, text in sources(corpus, conversation).items() if "def third" in text]
        assert f"`third` [{number}] d.py" in line


@pytest.mark.parametrize("form", FORMS)
def test_without_it_no_conversation_tells_anything(corpus: Corpus, form: dict[str, Any]) -> None:
    for settings in ({"noted": 0.0}, {}):
        for conversation in drawn(corpus, **settings, **form):
            assert behind_sources(corpus, conversation).startswith(f"\n{RECORD['question']}\n")


def test_a_share_is_told(corpus: Corpus) -> None:
    told = [behind_sources(corpus, c).startswith("\n`second`: ") for c in drawn(corpus, noted=0.5, count=60)]
    assert 15 < sum(told) < 45


def test_a_plain_text_from_no_memory_is_told_nothing(corpus: Corpus) -> None:
    for conversation in drawn(corpus, noted=1.0, plain=1.0):
        assert "`second`: " not in corpus.tokenizer.decode(conversation.ids)


def test_where_there_is_no_room_for_the_line_it_is_left_out(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "REFERENCES", 0)  # of the tiny tokenizer, a line of bytes is longer than what is kept
    told = []
    for tokens in range(430, 760, 30):
        for form in FORMS[:3]:
            for conversation in drawn(corpus, noted=1.0, tokens=tokens, count=4, **form):
                assert len(conversation.ids) == len(conversation.learn) <= tokens
                told.append(behind_sources(corpus, conversation).startswith("\n`second`: "))
    assert 5 < sum(told) < len(told) - 5


def test_further_questions_are_told_of_their_own_names_from_the_fork_on(tmp_path: Path, base: Path) -> None:
    documents = [
        {"header": f"f{n}.py\n", "text": f"def outer_{n}():\n    return inner_{n}()\n", "language": "python",
         "package": "p"} for n in range(6)
    ]  # fmt: skip
    answers = [
        {"question": f"Who calls `inner_{n}`?", "gold": [n], "answer": f"`outer_{n}`.", "evidence": f"inner_{n}",
         "kind": "caller", "distractors": [], "language": "python"} for n in range(6)
    ]  # fmt: skip
    write_rows(tmp_path / "documents.jsonl.zst", documents)
    write_rows(tmp_path / "pairs.jsonl.zst", [])
    write_rows(tmp_path / "qa.jsonl.zst", answers)
    corpus = Corpus.load(tmp_path, Tokenizer.from_folder(base))
    decode, prompts = corpus.tokenizer.decode, Prompts(corpus.tokenizer)
    conversations = Conversations(corpus, prompts, tokens=1600, memory_documents=3, seed=1, further=4, noted=1.0)
    asked = 0
    for conversation in (conversations.next() for _ in range(12)):
        assert len(conversation.ids) <= 1600
        shown = decode(conversation.ids[: conversation.fork])
        branches = [(conversation.fork, (conversation.further or [(len(conversation.ids), 0)])[0][0])]
        for start, end in [*branches, *conversation.further]:
            line, question = decode(conversation.ids[start:end]).split("\n")[1:3]
            name = question.partition("`")[2].partition("`")[0]
            if f"{name}()" not in shown:
                continue  # what nothing shown answers
            assert line.startswith(f"`{name}`: called by `outer_{name[-1]}` ["), "its own line, and first"
            asked += start != conversation.fork
        assert "`inner_" not in shown.partition("[1]")[2]
        for start, _ in conversation.further:
            assert conversation.branch_of_tokens()[start] == conversation.branch_of_tokens()[start - 1] + 1
    assert asked > 12


def test_what_is_told_is_what_the_product_tells_of_these_sources(corpus: Corpus, indexed: IndexedFiles) -> None:
    (conversation,) = drawn(corpus, noted=1.0, count=1, tokens=560)
    parts = sources(corpus, conversation).values()
    documents = [
        next(d for d, (header, text) in enumerate(DOCUMENTS) if part.startswith(f"{header}\n{text}")) for part in parts
    ]
    pieces = [indexed.alone(document) for document in documents]
    expected = references(
        RECORD["question"], [Source(0, piece.header, piece.text, piece.definitions) for piece in pieces]
    )
    assert behind_sources(corpus, conversation).split("\n")[1] == expected
