"""Answers and places as Markdown whose links lead to lines. They come as the JSON that the command line prints."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any
from urllib.parse import quote, unquote_to_bytes

SHOWN_LINES = 12
_CONTROL = {c: 0xFFFD for c in (*range(0x20), 0x7F, *range(0x80, 0xA0)) if chr(c) not in "\n\t"}
"""What a file or a model says must not steer whatever shows it."""


def file_uri(repository: str, path: str) -> str:
    """The `file:` URI of a file of a repository; names that are not UTF-8 keep their bytes."""
    return "file://" + quote(os.path.join(os.fsencode(repository), unquote_to_bytes(path)))


Json = Mapping[str, Any]


def link(place: Json) -> str:
    """`[path:12-30](file:///repository/path#L12)`"""
    label = f"{place['path']}:{place['start_line']}-{place['end_line']}"
    escaped = "".join(f"\\{char}" if char in "\\[]`*_<>" else char for char in label)
    return f"[{escaped}]({file_uri(place['repository'], place['path'])}#L{place['start_line']})"


def growing_document(question: str, doing: str, text: str) -> str:
    """An answer that is being written."""
    parts = [f"# {_one_line(question)}", *([text] if text else []), *([f"*{doing} …*"] if doing else [])]
    return _clean("\n\n".join(parts) + "\n")


def answer_document(result: Json) -> str:
    """The question, the answer and where it is from."""
    parts = [f"# {_one_line(result['question'])}"]
    if result["found"]:
        parts.append(result["answer"])
        if result["citations"]:
            parts.append("\n".join(["## Sources", "", *(_item(citation) for citation in result["citations"])]))
    else:
        parts.append("The memory does not hold the answer. The nearest places:")
        parts.append(_places(result["places"]))
    return _document(parts, result["notes"], result["behind"])


def places_document(title: str, result: Json) -> str:
    """Places with their first lines."""
    parts = [f"# {_one_line(title)}", _places(result["results"]) if result["results"] else "Nothing was found."]
    return _document(parts, result["notes"], result["behind"])


def status_document(trees: Sequence[Json], model: str) -> str:
    """What is indexed, and what the model is doing."""
    lines = []
    for tree in trees:
        state = "up to date" if tree["fresh"] else f"behind by {_files(tree['behind'])}"
        memory = f"{tree['in_memory']:,} in the memory of {tree['model']}" if tree["model"] else "outline alone"
        lines.append(f"- `{tree['path']}`: {state}; {tree['documents']:,} documents, {memory}")
    return "\n".join(["# codemem", "", *lines, f"- model: {model}", ""])


def _document(parts: list[str], notes: Iterable[str], behind: Json) -> str:
    remarks = [f"*{note}*" for note in notes]
    if any(behind.values()):
        remarks.append(f"*The memory is behind by {_files(behind)}.*")
    return _clean("\n\n".join([*parts, *remarks]) + "\n")


def _clean(text: str) -> str:
    return text.translate(_CONTROL)


def _places(places: Sequence[Json]) -> str:
    return "\n\n".join(f"{_item(place)}\n\n{_code(place)}" for place in places)


def _item(place: Json) -> str:
    symbol = f" `{place['symbol']}`" if place["symbol"] else ""
    return f"- {link(place)}{symbol}"


def _code(place: Json) -> str:
    """The first lines in a fence longer than any within."""
    lines = place["text"].split("\n")[:SHOWN_LINES]
    fence = "```"
    while any(fence in line for line in lines):
        fence += "`"
    kind = PurePath(place["path"]).suffix.removeprefix(".")
    kind = kind if kind.isalnum() else ""
    return "\n".join(f"  {line}".rstrip() for line in [fence + kind, *lines, fence])


def _files(behind: Json) -> str:
    total = behind["added"] + behind["changed"] + behind["removed"]
    return f"{total:,} file{'s' * (total != 1)}"


def _one_line(text: str) -> str:
    return " ".join(text.split())
