"""Definitions of a file as lines of a document's text: what the model is told about where names stand."""

from collections.abc import Iterator, Sequence
from textwrap import dedent

from codemem.indexer import Document, SourceFile, Symbol, read_file
from codemem.model.events import Definition

PLACES_ALONE = frozenset({"module", "section"})
"""Kinds that hold code and are no definition that anything could be said to be used in."""


def definitions(document: Document, symbols: Sequence[Symbol]) -> tuple[Definition, ...]:
    """Those of a file's `symbols` that stand in a document, wholly or in part."""
    return tuple(definitions_between(symbols, *_lines(document)))


def definitions_between(symbols: Sequence[Symbol], first: int, last: int) -> Iterator[Definition]:
    """Those that stand in lines of their file, 1-based and inclusive, counted from the first of these."""
    for symbol in symbols:
        if symbol.start_line <= last and first <= symbol.end_line and symbol.kind not in PLACES_ALONE:
            yield Definition(symbol.qualified_name, symbol.start_line - first, symbol.end_line - first + 1)


def definitions_of_piece(header: str, text: str) -> tuple[Definition, ...]:
    """Those that a document shows by itself, its file not being at hand: what the cut left whole, within the scope that
    its header tells, which is around all of it."""
    path, _, scope = header.rstrip("\n").partition(" ")
    lines = text.count("\n") + 1
    around = (Definition(scope, -1, lines),) if scope else ()
    # A method stands indented, and without its class that is no valid program.
    file = read_file(path, dedent(text).encode("utf-8", "replace"), reincluded=True)
    if not isinstance(file, SourceFile):
        return around
    found = definitions_between(file.symbols, 1, lines)
    within = f"{scope}." if scope else ""
    return (*around, *(Definition(f"{within}{each.name}", each.start_line, each.end_line) for each in found))


def _lines(document: Document) -> tuple[int, int]:
    """First and last; no line at all where those of the text are not the file's in a row, as in notebooks."""
    return (1, 0) if document.line_numbers else (document.start_line, document.end_line)
