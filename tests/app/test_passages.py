"""From bytes of a document's text to lines and symbols of the file."""

from pathlib import Path

import pytest

from app.bench import Bench
from codemem.indexer import Document, Symbol
from codemem.passages import Lines, enclosing_symbol, lines_of, snap

TEXT = "def first():\n    return 1\n\n\ndef zweite_größe():\n    return 'ä'\n"


def document(text: str, start_line: int) -> Document:
    end = start_line + text.rstrip("\n").count("\n")
    return Document("a.py", "", "python", text, 0, len(text.encode()), start_line, end, None)


@pytest.mark.parametrize(
    ("piece", "expected"),
    [
        ("def first", Lines(11, 11)),
        ("return 1\n\n\n", Lines(12, 12)),
        ("\n\ndef zweite_größe", Lines(15, 15)),
        ("return 'ä'\n", Lines(16, 16)),
        (TEXT, Lines(11, 16)),
    ],
)
def test_bytes_lead_to_lines_without_blank_ends(piece: str, expected: Lines) -> None:
    start = len(TEXT[: TEXT.index(piece)].encode())
    assert lines_of(document(TEXT, 11), start, start + len(piece.encode())) == expected


def test_a_span_of_nothing_or_of_blanks_is_still_a_line_of_the_document() -> None:
    blank = document("\n \n\n", 5)
    for start, end in ((0, 0), (0, 4), (4, 4), (0, 999)):
        lines = lines_of(blank, start, end)
        assert 5 <= lines.start <= lines.end <= blank.end_line


def test_every_cut_of_a_text_gives_lines_inside_the_document() -> None:
    whole = document(TEXT, 11)
    size = len(TEXT.encode())
    for start in range(size):
        for end in range(start, size + 1):
            lines = lines_of(whole, start, end)
            assert 11 <= lines.start <= lines.end <= 16


def symbol(name: str, start: int, end: int, scope: str = "") -> Symbol:
    return Symbol("function", name, scope, start, end, 0, 0)


OUTER, INNER, LATER = symbol("Outer", 1, 100), symbol("inner", 10, 20, "Outer"), symbol("later", 30, 90, "Outer")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (Lines(11, 14), INNER),
        (Lines(5, 12), OUTER),
        (Lines(8, 14), INNER),
        (Lines(101, 110), None),
        (Lines(40, 44), LATER),
    ],
)
def test_the_innermost_symbol_around_most_lines(lines: Lines, expected: Symbol | None) -> None:
    assert enclosing_symbol([OUTER, INNER, LATER], lines) == expected


def test_a_symbol_that_starts_in_the_lines_names_them_if_none_is_around() -> None:
    late = symbol("late", 9, 60)
    assert enclosing_symbol([late], Lines(1, 10)) == late


@pytest.mark.parametrize(
    ("lines", "around", "document_lines", "expected"),
    [
        (Lines(12, 14), INNER, Lines(1, 40), Lines(10, 20)),
        (Lines(12, 14), INNER, Lines(11, 15), Lines(11, 15)),
        (Lines(32, 50), LATER, Lines(1, 100), Lines(30, 50)),
        (Lines(50, 60), LATER, Lines(1, 100), Lines(50, 60)),
        (Lines(12, 14), None, Lines(1, 40), Lines(12, 14)),
    ],
)
def test_lines_snap_to_short_symbols_and_near_borders(
    lines: Lines, around: Symbol | None, document_lines: Lines, expected: Lines
) -> None:
    assert snap(lines, around, document_lines) == expected


def test_a_citation_keeps_every_line_that_carries_it(bench: Bench, repository: Path) -> None:
    """The line above a short method decides (`class Cache:`): drawing the span in to the method would cut it off."""
    bench.index(repository)
    with bench.session(repository) as session:
        (tree,) = session.recall.trees
        number = tree.work.manifest.document_at("src/cache.py", 1)
        text = tree.passages.document(number).text
        end = len(text[: text.index("def evict")].encode())
        narrow = tree.passages.place(number, 0, end)
        whole = tree.passages.place(number, 0, end, whole=30)
        close = tree.passages.place(number, 0, end, whole=7)
    assert (whole.lines.start, whole.lines.end) == (1, 8)
    assert (close.lines.start, close.lines.end) == (1, 5)
    assert narrow.lines.start >= whole.lines.start
    assert narrow.lines.end <= 8
