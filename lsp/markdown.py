"""Answers and places as Markdown whose links lead to lines."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from codemem.indexer import decode_path

if TYPE_CHECKING:
    from codemem.results import AskResult, Citation, FindResult, FoundPlace, StatusResult
    from codemem.service import ModelState
    from codemem.snapshot import Behind

SHOWN_LINES = 12
_CONTROL = {c: 0xFFFD for c in (*range(0x20), 0x7F, *range(0x80, 0xA0)) if chr(c) not in "\n\t"}
"""What a file or a model says must not steer whatever shows it."""


def file_uri(repository: str, path: str) -> str:
    """The `file:` URI of a file of a repository; names that are not UTF-8 keep their bytes."""
    return "file://" + quote(os.path.join(os.fsencode(Path(repository)), decode_path(path)))


def link(place: "FoundPlace | Citation") -> str:
    """`[path:12-30](file:///repository/path#L12)`"""
    label = f"{place.path}:{place.start_line}-{place.end_line}"
    escaped = "".join(f"\\{char}" if char in "\\[]`*_<>" else char for char in label)
    return f"[{escaped}]({file_uri(place.repository, place.path)}#L{place.start_line})"


def answer_document(result: "AskResult") -> str:
    """The question, the answer and where it is from."""
    parts = [f"# {_one_line(result.question)}"]
    if result.found:
        parts.append(result.answer)
        if result.citations:
            parts.append("\n".join(["## Sources", "", *(_item(citation) for citation in result.citations)]))
    else:
        parts.append("The memory does not hold the answer. The nearest places:")
        parts.append(_places(result.places))
    return _document(parts, result.notes, result.behind)


def places_document(title: str, result: "FindResult") -> str:
    """Places with their first lines."""
    parts = [f"# {_one_line(title)}", _places(result.results) if result.results else "Nothing was found."]
    return _document(parts, result.notes, result.behind)


def status_document(results: "Sequence[StatusResult]", model: "ModelState") -> str:
    """What is indexed, and what the model is doing."""
    lines = []
    for result in results:
        state = "up to date" if result.fresh else f"behind by {_files(result.behind)}"
        memory = f"{result.in_memory:,} in the memory of {result.model}" if result.model else "outline alone"
        lines.append(f"- `{result.path}`: {state}; {result.documents:,} documents, {memory}")
    detail = f": {model.error}" if model.error else ""
    lines.append(f"- model: {model.state}{f' ({model.name})' if model.name else ''}{detail}")
    return "\n".join(["# codemem", "", *lines, ""])


def _document(parts: list[str], notes: Iterable[str], behind: "Behind") -> str:
    remarks = [f"*{note}*" for note in notes]
    if behind:
        remarks.append(f"*The memory is behind by {_files(behind)}.*")
    return ("\n\n".join([*parts, *remarks]) + "\n").translate(_CONTROL)


def _places(places: "Sequence[FoundPlace]") -> str:
    return "\n\n".join(f"{_item(place)}\n\n{_code(place)}" for place in places)


def _item(place: "FoundPlace | Citation") -> str:
    symbol = f" `{place.symbol}`" if place.symbol else ""
    return f"- {link(place)}{symbol}"


def _code(place: "FoundPlace") -> str:
    """The first lines in a fence longer than any within."""
    lines = place.text.split("\n")[:SHOWN_LINES]
    fence = "```"
    while any(fence in line for line in lines):
        fence += "`"
    kind = Path(place.path).suffix.removeprefix(".")
    kind = kind if kind.isalnum() else ""
    return "\n".join(f"  {line}".rstrip() for line in [fence + kind, *lines, fence])


def _files(behind: "Behind") -> str:
    total = behind.added + behind.changed + behind.removed
    return f"{total:,} file{'s' * (total != 1)}"


def _one_line(text: str) -> str:
    return " ".join(text.split())
