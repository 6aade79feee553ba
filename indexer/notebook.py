"""Jupyter notebooks: one document a cell or more, without outputs, each leading to the lines of the JSON file.

The JSON is read by its grammar and not by `json`, because citations need to know where in the file a line of a cell is.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tree_sitter import Node

from .document import Document, Symbol
from .outline import outline_regions, parse
from .source_text import SourceText
from .split import split

_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_LANGUAGES = {"ir": "r", "c++": "cpp", "c++17": "cpp", "c#": "csharp"}


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of a cell's text: the file's 1-based line and bytes of the JSON string that holds it."""

    text: str
    line: int
    start: int
    end: int


def read_notebook(
    path: str, text: SourceText, *, limit: int, seconds: float
) -> tuple[tuple[Document, ...], tuple[Symbol, ...]] | None:
    """Documents and definitions of a notebook; None if it is not one, or is no valid JSON."""
    tree = parse(text.source, "json", seconds)
    if tree is None or tree.root_node.has_error:
        return None
    root = tree.root_node.named_child(0) if tree.root_node.named_child_count else None
    members = _members(root, text.source)
    cells = members.get("cells")
    if cells is None or cells.type != "array":
        return None
    language = _language(members.get("metadata"), text.source)
    documents: list[Document] = []
    symbols: list[Symbol] = []
    for cell in cells.named_children:
        parts = _members(cell, text.source)
        lines = list(_lines(parts.get("source"), text))
        kind = _string(parts.get("cell_type"), text.source)
        if any(line.text.strip() for line in lines):
            cell_language = language if kind == "code" else "markdown" if kind == "markdown" else "text"
            found, named = _read_cell(path, lines, cell_language, limit, seconds)
            documents += found
            symbols += named
    return tuple(documents), tuple(symbols)


def _read_cell(
    path: str, lines: Sequence[_Line], language: str, limit: int, seconds: float
) -> tuple[list[Document], list[Symbol]]:
    cell = SourceText("".join(line.text for line in lines).encode("utf-8", "replace"))
    regions = outline_regions(cell.source, language, seconds)
    documents = []
    for part in split(cell, regions, limit):
        first, last = cell.line(part.start), cell.line(part.end - 1)
        documents.append(
            Document(
                path=path,
                scope=part.scope,
                language=language,
                text=cell.source[part.start : part.end].decode("utf-8"),
                start_byte=lines[first].start,
                end_byte=lines[last].end,
                start_line=lines[first].line,
                end_line=lines[last].line,
                symbol=part.symbol,
                line_numbers=tuple(line.line for line in lines[first : last + 1]),
            )
        )
    symbols = [_in_file(region.symbol, lines) for region in regions if region.listed]
    return documents, symbols


def _in_file(symbol: Symbol, lines: Sequence[_Line]) -> Symbol:
    first, last = lines[symbol.start_line - 1], lines[symbol.end_line - 1]
    return replace(symbol, start_line=first.line, end_line=last.line, start_byte=first.start, end_byte=last.end)


def _members(node: Node | None, source: bytes) -> dict[str, Node]:
    """Values of a JSON object by key; empty for anything else."""
    members = {}
    if node is not None and node.type == "object":
        for pair in node.named_children:
            key, value = pair.child_by_field_name("key"), pair.child_by_field_name("value")
            if key is not None and value is not None:
                members[_string(key, source)] = value
    return members


def _string(node: Node | None, source: bytes) -> str:
    """A JSON string's value; '' for anything else."""
    if node is None or node.type != "string":
        return ""
    try:
        value = json.loads(source[node.start_byte : node.end_byte])
    except ValueError:
        return ""
    return value if isinstance(value, str) else ""


def _language(metadata: Node | None, source: bytes) -> str:
    """The kernel's language, Python where the notebook does not say."""
    members = _members(metadata, source)
    named = _string(_members(members.get("kernelspec"), source).get("language"), source)
    named = named or _string(_members(members.get("language_info"), source).get("name"), source)
    return _LANGUAGES.get(named.lower(), named.lower()) or "python"


def _lines(node: Node | None, text: SourceText) -> Iterator[_Line]:
    """Lines of a cell: one string or a list of them, each of which may hold several lines, or part of one."""
    if node is None:
        return
    unfinished: _Line | None = None
    for string in node.named_children if node.type == "array" else [node]:
        start, end = text.to_raw(string.start_byte), text.to_raw(string.end_byte)
        number = string.start_point.row + 1
        for piece in _LINE.findall(_string(string, text.source)):
            line = _Line(piece, number, start, end)
            if unfinished is not None:
                line = replace(unfinished, text=unfinished.text + piece, end=end)
            unfinished = line if not line.text.endswith("\n") else None
            if unfinished is None:
                yield line
    if unfinished is not None:
        yield unfinished
