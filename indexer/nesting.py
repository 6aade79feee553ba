"""From captured definitions to symbols: what lies inside what, where each begins and ends, how it is introduced."""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from tree_sitter import Node

from .document import Symbol

_CONTAINER = "container"
_MEMBER_HOLDERS = frozenset({"class", "interface", "struct", "trait", "enum", _CONTAINER})
_CLAUSES = frozenset({"haskell", "elixir", "erlang", "purescript", "elm"})
"""Languages in which one function is written as several definitions of the same name, one after the other."""
_FLAT = frozenset({"module"})
_MAX_SIGNATURE = 200
_MAX_DOC = 200
_ATTRIBUTE = re.compile(rb"(?:@[\w.]+(?:\(.*\))?|\[[\w.]+(?:\(.*\))?\]|#\[.*\])\Z")
_ATTRIBUTE_MARKS = (b"@", b"[", b"#")
_TAG = re.compile(r"</?(?:summary|remarks|para|p|pre|code|b|i)\b[^>]*>")
_CONSTRUCTORS = frozenset({"__init__", "constructor", "initialize", "__construct"})
_OPENERS = ("(", "[", ",", "<")
_DOC_MARKS = re.compile(r"^[\s/*#;%|<>!\-\"'`({^=]+|[\s/*#;\-\"'`)}>]+$")
_NOT_DOC = ("#[", "#![", "@", "[", "//go:", "//nolint", "// eslint", "# noqa", "# type:")


@dataclass(slots=True)
class Found:
    """A captured definition before its surroundings are known. Bytes and 0-based rows; the end row is inclusive."""

    kind: str = ""
    name: str = ""
    scope: str = ""
    doc: bytes = b""
    pattern: int = sys.maxsize
    start: int = sys.maxsize
    end: int = 0
    start_row: int = 0
    end_row: int = 0
    body: int = 0
    """Where the definition with its decorators starts, below the comments above it."""
    core: int = 0
    """Where the node starts that gave the kind."""

    def widen(self, node: Node, *, first: bool = True) -> None:
        """Takes a node in; `first` if it may also begin earlier."""
        if first and node.start_byte < self.start:
            self.start = self.body = node.start_byte
            self.start_row = node.start_point.row
        if node.end_byte > self.end:
            point = node.end_point
            self.end = node.end_byte
            self.end_row = point.row - (point.column == 0 and point.row > self.start_row)


@dataclass(frozen=True, slots=True)
class Region:
    """A definition or a mere container, with the bytes that belong to it: comments, attributes and decorators too."""

    symbol: Symbol
    listed: bool
    """False for a container, which is no definition itself."""


def nest(found: list[Found], above: Mapping[int, Node], source: bytes, language: str) -> list[Region]:
    """Symbols with scopes by containment, outer before inner, by start."""
    for item in found:
        _take_above(item, above, source)
        if "::" in item.name and item.kind not in _FLAT:
            outer, _, item.name = item.name.rpartition("::")
            item.scope = outer.replace("::", ".")
    ordered = sorted(found, key=lambda item: (item.start, -item.end))
    if language in _CLAUSES:
        ordered = _join_clauses(ordered, source)
    regions: list[Region] = []
    around: list[tuple[Found, str]] = []
    for item in ordered:
        while around and (around[-1][0].end < item.end or _same_place(around[-1][0], item)):
            around.pop()
        scope = around[-1][1] if around else ""
        outer_kind = around[-1][0].kind if around else ""
        if item.scope and scope.rpartition(".")[2] != item.scope:
            scope = f"{scope}.{item.scope}" if scope else item.scope
        symbol = _symbol(item, scope, outer_kind, source)
        regions.append(Region(symbol, item.kind != _CONTAINER))
        around.append((item, symbol.qualified_name))
    return regions


def _same_place(one: Found, other: Found) -> bool:
    """Several names of one statement are neighbours, not nested."""
    return one.body == other.body and one.end == other.end


def _take_above(item: Found, above: Mapping[int, Node], source: bytes) -> None:
    """Moves the start to the first of the comments and attributes directly above."""
    row = item.start_row
    node = above.get(row)
    while True:
        if node is None or node.start_byte >= item.start:
            node = above.get(row - 1)
        if node is None or node.start_byte >= item.start:
            return
        line_start = source.rfind(b"\n", 0, node.start_byte) + 1
        if source[line_start : node.start_byte].strip():
            return  # at the end of a line of code: it belongs to that
        item.start, row = node.start_byte, node.start_point.row
        item.start_row = row
        node = None


def _join_clauses(ordered: list[Found], source: bytes) -> list[Found]:
    joined: list[Found] = []
    for item in ordered:
        before = joined[-1] if joined else None
        if (
            before is not None
            and (before.name, before.kind, before.scope) == (item.name, item.kind, item.scope)
            and before.end <= item.start
            and not source[before.end : item.start].strip(b" \t\r\n.;")
        ):
            before.end, before.end_row = item.end, item.end_row
        else:
            joined.append(item)
    return joined


def _symbol(item: Found, scope: str, outer_kind: str, source: bytes) -> Symbol:
    kind = item.kind
    if kind == "function" and outer_kind in _MEMBER_HOLDERS:
        kind = "method"
    elif kind == _CONTAINER:
        kind = "type"
    if kind == "method" and item.name in _CONSTRUCTORS:
        kind = "constructor"
    end = item.end
    while end > item.body and source[end - 1 : end] in (b"\n", b"\r", b" ", b"\t"):
        end -= 1
    return Symbol(
        kind=kind,
        name=item.name,
        scope=scope,
        start_line=item.start_row + 1,
        end_line=item.end_row + 1 - source.count(b"\n", end, max(item.end - 1, end)),
        start_byte=item.start,
        end_byte=end,
        signature=_signature(source, max(item.core, item.body), end),
        doc=_doc(item, source),
    )


def _signature(source: bytes, start: int, end: int) -> str:
    """The definition's first line; while it ends within brackets, the next ones too."""
    signature = ""
    end = min(end, start + 4 * _MAX_SIGNATURE)
    while start < end:
        stop = source.find(b"\n", start, end)
        raw = source[start : stop if stop >= 0 else end].strip()
        start = stop + 1 if stop >= 0 else end
        if not signature and raw[:1] in _ATTRIBUTE_MARKS and _ATTRIBUTE.match(raw):
            continue
        line = raw.decode("utf-8", "replace")
        signature = f"{signature} {line}" if signature else line
        if len(signature) >= _MAX_SIGNATURE or not line.endswith(_OPENERS):
            break
    return signature[:_MAX_SIGNATURE]


def _doc(item: Found, source: bytes) -> str:
    """The first line with words of the docstring, or of the comment above."""
    raw = item.doc or source[item.start : item.body]
    if not raw:
        return ""
    for line in raw[: 8 * _MAX_DOC].decode("utf-8", "replace").split("\n"):
        if line.strip().startswith(_NOT_DOC):
            continue
        words = _DOC_MARKS.sub("", _TAG.sub("", line)).strip()
        if any(char.isalnum() for char in words):
            return words[:_MAX_DOC]
    return ""
