"""Open documents against an oracle that thinks in code units; input of any size; options one by one."""

import io
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lsprotocol import types

from codemem.lsp.buffers import Buffer, Buffers, Encoding, file_of, may_be_read, offset
from codemem.lsp.options import Options, read_options
from codemem.lsp.transport import BODY_BYTES, HEADER_BYTES, BoundedReader

ENCODINGS: tuple[Encoding, ...] = ("utf-8", "utf-16", "utf-32")
WIDTHS = {"utf-8": ("utf-8", 1), "utf-16": ("utf-16-le", 2), "utf-32": ("utf-32-le", 4)}
TEXT = st.text(alphabet="ab é€😋\n\r\x0c\u2028\t", max_size=40)
URI = "file:///repository/a.py"


def position_of(text: str, index: int, encoding: Encoding) -> types.Position:
    """The oracle: lines end at \\n, \\r\\n and \\r alone, columns are code units of the encoding."""
    before = re.split(r"\r\n|\n|\r", text[:index])
    if text[:index].endswith("\r") and text[index : index + 1] == "\n":
        before = before[:-1]  # between \r and \n no line has begun
    codec, width = WIDTHS[encoding]
    return types.Position(len(before) - 1, len(before[-1].encode(codec)) // width)


@given(text=TEXT, index=st.integers(0, 40), encoding=st.sampled_from(ENCODINGS))
def test_a_position_leads_to_its_character(text: str, index: int, encoding: Encoding) -> None:
    index = min(index, len(text))
    if text[:index].endswith("\r") and text[index : index + 1] == "\n":
        index -= 1  # no position lies between the two
    assert offset(text, position_of(text, index, encoding), encoding) == index


@given(
    text=TEXT,
    line=st.one_of(st.integers(0, 60), st.just(2**31 - 1)),
    character=st.one_of(st.integers(0, 60), st.just(2**31 - 1)),
    encoding=st.sampled_from(ENCODINGS),
)
def test_any_position_leads_into_the_text(text: str, line: int, character: int, encoding: Encoding) -> None:
    assert 0 <= offset(text, types.Position(line, character), encoding) <= len(text)


@given(text=TEXT, edits=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40), TEXT), max_size=8))
def test_edits_build_what_the_editor_shows(text: str, edits: list[tuple[int, int, str]]) -> None:
    buffers = Buffers()
    buffers.opened(types.TextDocumentItem(URI, "python", 1, text))
    expected = text
    for version, (first, last, piece) in enumerate(edits, 2):
        start, end = (min(index, len(expected)) for index in sorted((first, last)))
        span = types.Range(*(position_of(expected, index, "utf-16") for index in (start, end)))
        start, end = (offset(expected, place, "utf-16") for place in (span.start, span.end))
        change = types.TextDocumentContentChangePartial(span, piece)
        identity = types.VersionedTextDocumentIdentifier(version, URI)
        buffers.changed(types.DidChangeTextDocumentParams(identity, [change]))
        expected = expected[:start] + piece + expected[end:]
    buffer = buffers.get(URI)
    assert buffer is not None
    assert buffer.text == expected


def test_a_form_feed_ends_no_line() -> None:
    """GNU's sources are full of them."""
    assert offset("a\x0cb\u2028c\nd", types.Position(1, 0), "utf-16") == 6


def test_unsaved_is_what_differs_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("x = 1\n")
    assert not Buffer(path.as_uri(), "x = 1\n", 1).unsaved
    assert Buffer(path.as_uri(), "x = 2\n", 1).unsaved
    assert Buffer((tmp_path / "new.py").as_uri(), "", 1).unsaved
    assert not Buffer("untitled:Untitled-1", "x", 1).unsaved
    assert file_of("file:///a%20b/%C3%A9.py") == Path("/a b/é.py")
    assert [file_of(uri) for uri in ("", "http://x/y", "file:///a%00b", "file://[")] == [None] * 4


def test_what_codemem_writes_is_no_change_to_follow() -> None:
    """An editor tells of every file below the folder; what codemem writes there must not make it write again."""
    followed = ["file:///r/src/a.py", "file:///r/.github/x.yml", "file:///r/git/codemem/a"]
    passed_over = ["file:///r/.git/codemem/manifest", "file:///r/.git/HEAD", "file:///r/.codemem/x", "untitled:x"]
    assert [may_be_read(uri) for uri in followed + passed_over] == [True] * 3 + [False] * 4


def test_lone_surrogates_are_no_end() -> None:
    buffer = Buffer(URI, "a\ud800b", 1)
    assert buffer.data == b"a?b"
    span = types.Range(types.Position(0, 1), types.Position(0, 9))
    assert [buffer.text_of(span, encoding) for encoding in ENCODINGS] == ["\ud800b"] * 3


class Endless(io.RawIOBase):
    """A stream that never ends, and counts how much was asked for at once."""

    def __init__(self) -> None:
        self.most = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        self.most = max(self.most, size)
        return b"x" * size

    def readline(self, size: int | None = -1) -> bytes:
        assert size == HEADER_BYTES
        return b"x" * size


def test_a_message_costs_no_more_than_its_bound() -> None:
    stream = Endless()
    reader = BoundedReader(stream)  # type: ignore[arg-type]
    assert reader.read(BODY_BYTES + 1) == b" "
    assert stream.most <= 1 << 16
    assert len(reader.readline()) == HEADER_BYTES
    assert reader.read(10) == b"x" * 10


def test_the_end_of_a_stream_is_an_end() -> None:
    assert BoundedReader(io.BytesIO(b"half")).read(10) == b""
    http = io.BytesIO(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")
    assert BoundedReader(http, strict=True).readline() == b""


@pytest.mark.parametrize(
    ("raw", "options", "problem"),
    [
        (None, Options(), None),
        ({}, Options(), None),
        ({"results": 5, "keepUp": False}, Options(results=5, keep_up=False), None),
        ({"keep_up": False}, Options(keep_up=False), None),
        ([1], Options(), "must be an object, not list"),
        ({"results": True}, Options(), "'results' must be a whole number"),
        ({"results": 0}, Options(), "must lie between 1 and 100"),
        ({"hover": "yes"}, Options(), "'hover' must be true or false"),
        ({"answers": "shout", "hover": True}, Options(hover=True), "one of document, notification, result"),
        ({"codelens": True}, Options(), "did you mean 'codeLens'?"),
        ({"zzz": 1}, Options(), "unknown option 'zzz'"),
    ],
)
def test_options(raw: object, options: Options, problem: str | None) -> None:
    read, problems = read_options(raw)
    assert read == options
    assert len(problems) == (problem is not None)
    assert problem is None or problem in problems[0]
