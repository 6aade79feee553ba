"""Which lines and which sources carry an answer."""

import pytest

from codemem.model.citations import CITATIONS, citations
from codemem.model.events import Definition, Source
from codemem.model.evidence import deciding_span, supporting, surroundings

TEXT = "import os\n\n" + "# filler\n" * 60 + "def connect(timeout=30):\n    return timeout\n" + "# more\n" * 40


def test_the_lines_that_share_rare_words_decide() -> None:
    start, end = deciding_span(TEXT, "`connect` has a default timeout of 30.")
    assert TEXT.encode()[start:end].decode() == "def connect(timeout=30):\n    return timeout\n"


def test_a_span_is_bounded_and_lies_in_the_text() -> None:
    text = "word\n" * 100
    start, end = deciding_span(text, "word")
    assert text[start:end].count("\n") <= 30
    assert deciding_span("", "anything") == (0, 0)
    assert deciding_span("é = 1\nü = 2\n", "nothing shared")[1] <= len("é = 1\nü = 2\n".encode())


def test_words_that_every_source_holds_decide_nothing() -> None:
    texts = ["def get(self): ...", "def get(self): retry(3)", "def get(self): ..."]
    assert supporting(texts, "get calls retry")[0] == 1
    assert supporting(["abc", "def"], "unrelated") == []


def test_ranks_and_the_writers_own_numbers_weigh_in() -> None:
    texts = ["def close(self): flush()", "def close(self): flush()", "import os"]
    assert supporting(texts, "close flushes: flush()") == [0, 1]
    assert supporting(texts, "close flushes: flush()", cited=[1]) == [1, 0]
    assert supporting(texts, "close flushes: flush()", cited=[2]) == [0, 1]


def test_a_licence_shares_nothing_with_an_answer() -> None:
    licence = "".join(f"# Use of this source is governed by what is in the file, line {n}.\n" for n in range(31))
    text = licence + "def recover(stack):\n    return stack\n"
    start, end = deciding_span(text, "It is in the stack that this is what the recover function is for.")
    assert text.encode()[start:end].decode().startswith("def recover(stack):")


def test_the_line_that_decides_is_in_the_span() -> None:
    part = "    def part(self, tokens):\n        return Statement.type_of(self.list)\n"
    text = "class Statement(TokenList):\n" + 30 * part + "    def list_of_tokens(self): ...\n    token_list = 1\n"
    start, end = deciding_span(text, "Which type stands above `Statement`? `Statement` inherits from `TokenList`.")
    assert "class Statement(TokenList):" in text.encode()[start:end].decode()


COUNTED = 20 * "        self.count += frame.size\n"
RING = "".join(
    f"    def {name}(self, frame):\n        # {comment}\n{COUNTED}        raise {error}\n"
    for name, comment, error in (("peek", "the ring is full", "Empty"), ("push", "", "Full"), ("pop", "", "Empty"))
)
METHODS = tuple(Definition(f"Ring.{name}", at * 23, at * 23 + 23) for at, name in enumerate(("peek", "push", "pop")))


def test_a_line_is_said_of_the_definition_around_it() -> None:
    answer = "`Ring.push` raises `Full`."
    assert surroundings(RING, METHODS, answer)[22:24] == [{"ring"}, {"ring", "push"}]
    plain = deciding_span(RING, answer, most_lines=5)
    placed = deciding_span(RING, answer, most_lines=5, definitions=METHODS)
    assert "raise Full" in RING.encode()[slice(*placed)].decode()
    assert "raise Full" not in RING.encode()[slice(*plain)].decode()


def test_definitions_that_begin_before_a_text_are_around_its_first_lines() -> None:
    within = [Definition("Box.fill", -7, 2), Definition("Box", -9, 40)]
    around = surroundings("a = 1\nb = 2\nc = 3\n", within, "what does `fill` of Box do")
    assert around == [{"box", "fill"}, {"box", "fill"}, {"box"}]


def test_the_definition_that_an_answer_names_is_cited_before_what_only_speaks_of_it() -> None:
    speaks = Source(0, "ring/notes.py\n", "# Ring push raises Full: see Ring.push, which raises Full\n" * 3)
    defines = Source(1, "ring/ring.py\n", RING, METHODS)
    others = [Source(number, f"ring/{number}.py\n", "# push raises Full\n") for number in range(2, 6)]
    answer, question = "`Ring.push` raises `Full`.", "Which error does `push` of `Ring` raise?"
    found = citations([*others, defines, speaks], [], answer, question)
    assert found[0].document == 1
    assert "raise Full" in RING.encode()[found[0].start_byte : found[0].end_byte].decode()
    assert len(found) <= CITATIONS
    # An explanation cites what it quotes, as before.
    quoting = f"See `{speaks.text.splitlines()[0]}` in `notes`. {answer}"
    assert citations([*others, defines, speaks], [], quoting, question)[0].document == 0


def test_deep_and_many_definitions_take_no_longer_than_their_lines() -> None:
    depth = 700
    text = "".join(f"{level * ' '}class C{level}:\n" for level in range(depth))
    names = [".".join(f"C{outer}" for outer in range(level + 1)) for level in range(depth)]
    nested = tuple(Definition(name, level, depth) for level, name in enumerate(names))
    (found, *_) = citations([Source(0, "deep.py\n", text, nested)], [], f"`{names[-1]}` is a class.", "What is `C699`?")
    assert b"class C699:" in text.encode()[found.start_byte : found.end_byte]


@pytest.mark.parametrize("header", ["ring.py", "ring.py\n", "", "ring.py Ring\nand more\n"])
@pytest.mark.parametrize("text", ["", "\n", RING, f"\n{RING}", RING.rstrip("\n"), "def push():\f\n    raise Full"])
def test_any_header_and_any_text_can_be_cited(header: str, text: str) -> None:
    source = Source(0, header, text, (*METHODS, Definition("Ring", -3, 900)))
    other = Source(1, "other.py\n", "# nothing\n")
    spans = citations([other, source], [1, 2], "`Ring.push` raises `Full`.", "Which error does `push` raise?")
    assert bool(spans) == ("push" in text or "ring" in header)
    for found in spans:
        assert 0 <= found.start_byte <= found.end_byte <= len(text.encode())
        assert found.document == 0
