"""A statement that an answer quotes is one that was read, letter by letter, and is cited first."""

from pathlib import Path

import pytest
import torch

from codemem.model.choosing import REPETITION_PENALTY, Choosing
from codemem.model.citations import citations
from codemem.model.events import Definition, Source
from codemem.model.evidence import deciding_span
from codemem.model.quotes import (
    OPENING,
    Quotes,
    can_be_quoted,
    line_of,
    quoted_first,
    said_place,
    split_quotation,
)
from codemem.model.statements import LONGEST
from codemem.model.testing import tiny_engine
from codemem.model.tokenizer import Tokenizer

LINE = "text = text.decode(encoding or 'utf-8')"
TEXT = (
    f"def decode(text, encoding=None):\n    {LINE}\n    return text  # done\n    s = `x` + 'long enough'\n"
    "    gr\u00fc\u00dfe = 12345\n"
)
DEFINED = (Definition("Codec.decode", 0, 6), Definition("Codec", -3, 9))
QUOTES = Quotes([(TEXT, DEFINED)])
VOCABULARY = 300
"""Single bytes are among the first 256 tokens of the tiny model."""


@pytest.mark.parametrize(
    ("text", "piece", "allowed"),
    [
        ("", "anything", True),
        ("The line ", "`nowhere`", True),  # not how a quotation begins
        ("See ", "`text", True),
        ("See ", "`nowhere", False),
        (OPENING, "text = ", True),
        (OPENING, "decode", False),  # within a line, not its beginning
        (OPENING, "text ==", False),
        (OPENING + "text = text.decode(", "enc", True),
        (OPENING + "text = text.decode(", "text", False),
        (OPENING + LINE, "`", True),
        (OPENING + LINE, "` in `Codec.decode`.", True),
        (OPENING + LINE, "` in `decode`.", False),
        (OPENING + LINE[:-1], "`", False),  # ends before the line does
        (OPENING + LINE, "\n", False),
        (OPENING + LINE[:-1], ")`. Then", True),
        (OPENING + LINE, " and", False),
        (OPENING + "return text", "", False),  # the answer may not end within it
        (OPENING, "", False),
        (OPENING + LINE + "`", "", True),
        (OPENING + LINE + "`", ". It", True),  # no place is said
        (OPENING + LINE + "`", " in", True),
        (OPENING + LINE + "` in", " `", True),
        (OPENING + LINE + "` in `", "Cod", True),
        (OPENING + LINE + "` in `", "encode", False),
        (OPENING + LINE + "` in `", "", False),  # the answer may not end within it
        (OPENING + LINE + "` in `Codec", ".", True),
        (OPENING + LINE + "` in `Codec.", "\ufffd", False),  # a part of a letter that is not there
        (OPENING + LINE + "` in `Codec", "`", False),  # that is around it, not where it stands
        (OPENING + LINE + "` in `Codec.decode", "`. So", True),
        (OPENING + LINE + "` in `Codec.decode`", " in `anything", True),  # other judges' business
        (OPENING + LINE + "`.", " In `anything", True),
        (OPENING + "text", "\ufffd", False),  # a part of a letter that is not there
        (OPENING + "gr", "\ufffd", True),
        (OPENING + "gr\u00fc", "\u00dfe", True),
        (OPENING, "s = ", False),  # holds backticks itself
    ],
)
def test_within_a_quotation_only_a_line_goes_on(text: str, piece: str, allowed: bool) -> None:
    assert QUOTES.allows(text, piece) is allowed


def test_neither_fragments_nor_endless_lines_are_quoted() -> None:
    quotes = Quotes([("}\n" + "x" * (LONGEST + 1) + "\n", ())])
    assert not quotes.allows(OPENING, "}")
    assert not quotes.allows(OPENING, "x")


def test_where_no_line_can_be_quoted_none_is_begun() -> None:
    quotes = Quotes([("}\n", ())])
    assert not quotes.allows("See ", "`")
    assert not quotes.allows("", OPENING)
    assert quotes.allows("See ", "the")
    assert quotes.allows("The name is ", "`x")


def test_a_statement_of_several_lines_is_quoted_as_a_whole() -> None:
    text = (
        "def open(self):\n    self.limit = (\n        limit or\n        1024\n    )\n"
        "    if self.limit < 0:\n        fail()\n"
    )
    quotes = Quotes([(text, ())])
    whole = "self.limit = (limit or 1024)"
    assert quotes.allows(OPENING + "self.limit = (", "limit or 1024)`")
    assert not quotes.allows(OPENING + "self.limit = (", "`")
    assert not quotes.allows(OPENING + "if self.limit < 0:", "`")
    assert quotes.allows(OPENING + "if self.limit < 0: fail()", "`")
    assert line_of(text, whole) == 1
    assert line_of(text, "if self.limit < 0: fail()") == 5
    assert quoted_first([("nothing", ()), (text, ())], [0], whole) == [1, 0]
    cited = citations([Source(4, "a.py\n", text)], [], f"See `{whole}` in `open`. It is limited.", "What is the limit?")
    assert [(read.document, text[read.start_byte : read.end_byte].count("1024")) for read in cited] == [(4, 1)]


def test_a_line_of_several_definitions_may_stand_in_any_and_one_of_none_in_none() -> None:
    line = "return self.limit or 1024"
    text = f"limit = read_limit()\ndef a(self):\n    {line}\ndef b(self):\n    {line}\n"
    quotes = Quotes([(text, [Definition("A.a", 1, 3), Definition("A.b", 3, 5), Definition("\x1b[2J", 0, 0)])])
    assert quotes.allows(f"{OPENING}{line}` in `A.", "a`")
    assert quotes.allows(f"{OPENING}{line}` in `A.", "b`")
    beyond = Quotes([(text, [Definition("gr\u00fc\u00dfe", 1, 3)])])
    assert beyond.allows(f"{OPENING}{line}` in `gr", "\ufffd")
    assert not beyond.allows(f"{OPENING}{line}` in `", "\ufffd")
    outside = f"{OPENING}limit = read_limit()`"
    assert not quotes.allows(outside, " in")
    assert not quotes.allows(outside[:-1], "` in `A.a`")
    assert quotes.allows(outside, ". It")
    commanding = Quotes([(text, [Definition("\x1b[2J", 0, 5), Definition("x" * 999, 0, 5)])])
    assert not commanding.allows(outside, " in")


def test_imports_are_not_quoted_and_what_merely_looks_so_is() -> None:
    imports = [
        "import os.path",
        "from shop.cart import Cart",
        "export { Cart } from './cart'",
        "#include <vector>",
        "use std::io::Read;",
        "using System.Text;",
        "package main",
        "require 'mustache'",
        "const cart = require('./cart');",
        "if TYPE_CHECKING: from collections.abc import Callable",
        "try: import zstandard",
    ]
    code = ["imported = 12345", "used = fetch()", "packages.append(1)", "const cart = new Cart();", "user.save(now)"]
    code += ["if limit: importer(path)", "else: from_start = 12345"]
    assert not any(map(can_be_quoted, imports))
    assert all(map(can_be_quoted, code))


def test_what_is_beside_is_quoted_only_where_nothing_else_is(tokenizer: Tokenizer) -> None:
    beside = Source(1, "tests/test_a.py\n", "zebra = 12345\n", quotable=False)
    right, wrong = ids(tokenizer, "t")[0], ids(tokenizer, "z")[0]
    logits = torch.zeros(VOCABULARY)
    logits[wrong], logits[right] = 9.0, 5.0
    both = Choosing(tokenizer, "How?", "", [beside, Source(0, "a.py\n", TEXT)])
    assert both.choose(logits, OPENING) == right
    assert Choosing(tokenizer, "How?", "", [beside]).choose(logits, OPENING) == wrong


def test_what_would_command_a_terminal_is_not_quoted() -> None:
    quotes = Quotes([("print('\x1b[2J cleared')\nprint('\u202e turned')\nname\t= 'with a tab'\n", ())])
    assert not quotes.allows(OPENING, "p")
    assert quotes.allows(OPENING, "name\t= ")


def test_a_line_is_gone_on_with_however_unlikely_it_is(tokenizer: Tokenizer) -> None:
    choosing = Choosing(tokenizer, "How?", "", [Source(0, "a.py\n", TEXT)])
    text = OPENING
    while text.count("`") < 2:
        logits = torch.arange(VOCABULARY, 0, -1, dtype=torch.float32)
        text += tokenizer.decode([choosing.choose(logits, text)])
    assert line_of(TEXT, split_quotation(text)[0]) is not None


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (f"See `{LINE}` in `Lexer.decode`. Bytes are text.", (LINE, "Bytes are text.")),
        (f"See `{LINE}`. Bytes are text.", (LINE, "Bytes are text.")),
        (f"See `{LINE}` in `decode`.", (LINE, "")),
        ("`x` defaults to `7`.", ("", "`x` defaults to `7`.")),
        ("See `unclosed", ("", "See `unclosed")),
        ("", ("", "")),
    ],
)
def test_an_answer_is_what_it_quotes_and_what_it_says(text: str, parts: tuple[str, str]) -> None:
    assert split_quotation(text) == parts


def test_the_first_text_that_holds_the_line_comes_first() -> None:
    texts = [("nothing", ()), (TEXT, ()), (TEXT, ())]
    assert quoted_first(texts, [0, 2], LINE) == [1, 0, 2]
    assert quoted_first(texts, [2, 1], LINE) == [1, 2]
    assert quoted_first(texts, [0, 2], "not there") == [0, 2]
    assert quoted_first(texts, [0], "") == [0]
    assert line_of(TEXT, LINE) == 1
    assert line_of(TEXT, "text") is None
    assert line_of("one\n\ntwo\n", "") is None


def test_what_is_cited_is_where_the_answer_says_that_it_stands() -> None:
    line = "return self.limit or 1024"
    text = f"def a(self):\n    {line}\ndef b(self):\n    {line}\n"
    here, there = [Definition("A.a", 0, 2), Definition("A.b", 2, 4)], [Definition("B.a", 0, 2), Definition("B.b", 2, 4)]
    assert said_place(f"See `{line}` in `B.b`. It limits.") == "B.b"
    assert said_place(f"See `{line}`. It limits.") == said_place("It limits in `B.b`.") == ""
    assert [line_of(text, line, here, place) for place in ("A.a", "A.b", "", "C")] == [1, 3, 1, 1]
    both = [(text, here), (text, there)]
    assert [quoted_first(both, [0, 1], line, place)[0] for place in ("A.b", "B.b", "", "C")] == [0, 1, 0, 0]
    sources = [Source(7, "b.py\n", text, there), Source(8, "a.py\n", text, here)]
    (first, *_) = citations(sources, [], f"See `{line}` in `B.b`. It limits.", "What limits it?")
    assert first.document == 7
    assert "def b" in text[first.start_byte : first.end_byte]


def test_a_cited_span_holds_the_quoted_line() -> None:
    lines = [f"line {n}" for n in range(100)]
    lines[70] = "decode bytes encoding utf"  # shares more than what is quoted
    text = "\n".join(lines)
    for at in (0, 10, 55, 99):
        start, end = deciding_span(text, "decode bytes encoding utf", holding=at)
        shown = text[start:end].splitlines()
        assert f"line {at}" in shown or lines[at] in shown
        assert len(shown) <= 30
    free = deciding_span(text, "decode bytes encoding utf")
    assert "decode bytes" in text[slice(*free)]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    folder: Path = tmp_path_factory.mktemp("tiny")
    return tiny_engine(folder)._tokenizer


def ids(tokenizer: Tokenizer, text: str) -> list[int]:
    return tokenizer.encode_text(text)


def test_what_no_line_goes_on_with_is_not_chosen(tokenizer: Tokenizer) -> None:
    choosing = Choosing(tokenizer, "How?", "", [Source(0, "a.py\n", TEXT)])
    right, wrong = ids(tokenizer, "t")[0], ids(tokenizer, "z")[0]
    logits = torch.zeros(VOCABULARY)
    logits[wrong], logits[right] = 9.0, 5.0
    assert choosing.choose(logits, OPENING) == right
    assert choosing.choose(logits, "zero ") == wrong


def test_what_repeats_in_a_line_may_be_copied(tokenizer: Tokenizer) -> None:
    choosing = Choosing(tokenizer, "How?", "", [Source(0, "a.py\n", TEXT)])
    token = ids(tokenizer, "t")[0]
    before = torch.full((VOCABULARY,), 2.0)

    def penalised(text: str) -> float:
        logits = before.clone()
        choosing.penalise(logits, text)
        return float(logits[token])

    choosing.wrote(token, OPENING)  # within the quotation it is not counted
    assert penalised("It ") == 2.0
    choosing.wrote(token, "It ")
    assert penalised("It ") == pytest.approx(2.0 / REPETITION_PENALTY)
    assert penalised(OPENING + "te") == 2.0


def test_the_quoted_line_is_cited_first_and_does_not_outweigh_what_is_said() -> None:
    said = "Bytes of a `Lexer` come from `read_stream`."
    sources = [
        Source(0, "far.py\n", "nothing of this\n"),
        Source(1, "stream.py\n", "def read_stream(lexer):\n    return lexer.bytes\n"),
        Source(2, "lexer.py\n", TEXT),
    ]
    for cited in ([], [1], [2]):
        spans = citations(sources, cited, f"See `{LINE}` in `decode`. {said}", "Where do bytes come from?")
        assert [span.document for span in spans][:2] == [2, 1]
        start, end = spans[0].start_byte, spans[0].end_byte
        assert LINE in TEXT[start:end]
    # An explanation shows several files where it can, another place of the same file behind them.
    more = [*sources[:1], Source(3, "lexer.py\n", "read_stream = bytes_of(lexer)\n"), *sources[1:]]
    spans = citations(more, [], f"See `{LINE}` in `decode`. {said}", "Where do bytes come from?")
    assert [span.document for span in spans] == [2, 1, 3]
    # Without a quotation the words alone decide, as before.
    assert citations(sources, [], said, "Where do bytes come from?")[0].document == 1


def test_where_nothing_is_quoted_the_deciding_lines_are_cited_wherever_they_stand() -> None:
    lines = ["import os", "", *(f"filler_{n} = {n}" for n in range(80)), "def retry(call, attempts=7):", "    call()"]
    source = Source(0, "net/retry.py\n", "\n".join(lines))
    (span,) = citations([source], [1], "`attempts` defaults to `7` in `retry`.", "How many attempts does retry make?")
    assert "attempts=7" in source.text[span.start_byte : span.end_byte]
