"""Definitions of a file as lines of a document's text: what the model is told about where names stand."""

from collections.abc import Iterator, Sequence

from codemem.indexer import Document, Symbol
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


def _lines(document: Document) -> tuple[int, int]:
    """First and last; no line at all where those of the text are not the file's in a row, as in notebooks."""
    return (1, 0) if document.line_numbers else (document.start_line, document.end_line)
