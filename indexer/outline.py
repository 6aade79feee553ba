"""Definitions in a file, found by tree-sitter queries that are kept as data in `queries/`.

A query captures `@name` inside a node captured as `@definition.KIND` (one of SYMBOL_KINDS), or as `@container` where the
node only gives a scope to what it holds (a Rust impl block); `@scope` captures a scope that is written elsewhere than
around the definition (a Go receiver). Of two patterns that capture the same node, the one that is written first decides.
"""

import re
import time
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files
from typing import Literal, cast

from tree_sitter import Language, Node, Parser, Query, QueryCursor, Tree
from tree_sitter_language_pack import SupportedLanguage, get_language

from .document import Symbol

QUERY_ALIASES: dict[str, str] = {"cuda": "cpp"}
"""Languages that are read with another one's query."""
_WRAPPERS = frozenset(
    "decorated_definition export_statement ambient_declaration template_declaration type_declaration lexical_declaration "
    "expression_statement internal_module".split()
)
_MEMBER_HOLDERS = frozenset({"class", "interface", "struct", "trait", "enum"})
_CONSTANT = re.compile(r"_*[A-Z][A-Z0-9_]*")
_MAX_NAME = 200
_WINDOW = 1 << 17
_Matches = list[tuple[int, dict[str, list[Node]]]]


@dataclass(frozen=True, slots=True)
class Region:
    """A definition, or a mere container, with the bytes that belong to it: its comments, attributes and decorators too."""

    symbol: Symbol
    listed: bool
    """False for a container, which is no definition itself."""


@cache
def _grammar(language: str) -> Language | None:
    try:
        return get_language(cast(SupportedLanguage, language))
    except LookupError:
        return None


@cache
def _query(language: str) -> Query | None:
    """The outline query of a language; None if it has none."""
    grammar = _grammar(language)
    source = files(__package__).joinpath("queries", f"{QUERY_ALIASES.get(language, language)}.scm")
    if grammar is None or not source.is_file():
        return None
    return Query(grammar, source.read_text("utf-8"))


@cache
def outline_languages() -> tuple[str, ...]:
    """Languages that have an outline, sorted."""
    folder = files(__package__).joinpath("queries")
    named = {item.name.removesuffix(".scm") for item in folder.iterdir() if item.name.endswith(".scm")}
    return tuple(sorted(named | QUERY_ALIASES.keys()))


def parse(source: bytes, language: str, seconds: float) -> Tree | None:
    """The syntax tree of UTF-8 text; None if there is no grammar, or it took longer than `seconds`."""
    grammar = _grammar(language)
    if grammar is None:
        return None
    deadline = time.monotonic() + seconds
    try:
        return Parser(grammar).parse(
            lambda offset, _point: source[offset:],  # all of it at once, without a copy: py-tree-sitter crashes on views
            encoding="utf8",
            progress_callback=lambda _offset, _error: time.monotonic() > deadline,
        )
    except ValueError:  # py-tree-sitter's word for a parse that the progress callback ended
        return None


def outline_regions(source: bytes, language: str, seconds: float = 2.0) -> list[Region]:
    """Regions of UTF-8 text, outer before inner, by start. Empty for a language without a query, or if time ran out."""
    query = _query(language)
    if query is None:
        return []
    tree = parse(source, language, seconds)
    if tree is None:
        return []
    return _nest(_found(_matches(query, tree.root_node, source, seconds), source))


def _matches(query: Query, root: Node, source: bytes, seconds: float) -> _Matches:
    """All matches, window by window so that time can run out between them (then those found so far).

    A match that reaches into several windows comes several times. The cursor's own progress callback is not used: in
    py-tree-sitter 0.26 it crashes the process.
    """
    deadline = time.monotonic() + seconds
    matches: _Matches = []
    for start in range(0, len(source), _WINDOW):
        cursor = QueryCursor(query)
        cursor.set_byte_range(start, min(start + _WINDOW, len(source)))
        matches += cursor.matches(root, partial(_is_one_of, source))
        if time.monotonic() > deadline:
            break
    return matches


def _is_one_of(
    source: bytes,
    predicate: str,
    arguments: list[tuple[str, Literal["capture", "string"]]],
    _pattern: int,
    captures: dict[str, list[Node]],
) -> bool:
    """`(#one-of? @capture "word" ...)`: the only predicate of our queries.

    tree-sitter's own predicates ask a tree that was parsed with a time limit for its text, at the cost of a copy of the
    file each.
    """
    if predicate != "one-of?":
        raise ValueError(f"an outline query uses the unknown predicate #{predicate}")
    words = {word for word, kind in arguments if kind == "string"}
    nodes = captures.get(arguments[0][0], [])
    return all(source[node.start_byte : node.end_byte].decode("utf-8", "replace") in words for node in nodes)


@dataclass(slots=True)
class _Found:
    """One captured definition, before scopes are known. Bytes and 0-based rows, half-open and inclusive."""

    kind: str
    name: str
    scope: str
    start: int
    end: int
    start_row: int
    end_row: int
    body: int
    """Where the definition itself starts, after its comments and decorators."""
    listed: bool


def _found(matches: _Matches, source: bytes) -> list[_Found]:
    """Definitions of all matches, one a node: the first pattern's."""
    by_node: dict[tuple[int, int, str], tuple[int, _Found]] = {}
    for pattern, captures in matches:
        names = captures.get("name")
        if not names:
            continue
        capture = next((key for key in captures if key == "container" or key.startswith("definition.")), None)
        if capture is None:
            continue
        found = _definition(capture, captures[capture][0], names[0], captures.get("scope"), source)
        key = (found.body, found.end, found.name)
        if key not in by_node or pattern < by_node[key][0]:
            by_node[key] = (pattern, found)
    return [found for _, found in by_node.values()]


def _text(node: Node, source: bytes) -> str:
    raw = source[node.start_byte : node.end_byte]
    return " ".join(raw.decode("utf-8", "replace").split())[:_MAX_NAME].strip("\"'`")


def _definition(capture: str, node: Node, name: Node, scopes: list[Node] | None, source: bytes) -> _Found:
    parent = node.parent
    while parent is not None and parent.type in _WRAPPERS and parent.named_child_count <= _wrapped(parent):
        node, parent = parent, parent.parent
    first = _with_comments(node)
    text = _text(name, source)
    end, end_point = node.end_byte, node.end_point
    end_row = end_point.row - (end_point.column == 0 and end_point.row > node.start_point.row)
    return _Found(
        kind=_kind(capture, text),
        name=text,
        scope=_text(scopes[0], source) if scopes else "",
        start=first.start_byte,
        end=end,
        start_row=first.start_point.row,
        end_row=end_row,
        body=node.start_byte,
        listed=capture != "container",
    )


def _kind(capture: str, name: str) -> str:
    """The captured kind; a variable whose name is all capitals is a constant by the custom of most languages."""
    kind = capture.removeprefix("definition.")
    return "constant" if kind == "variable" and _CONSTANT.fullmatch(name) else kind


def _wrapped(parent: Node) -> int:
    """How many named children a wrapper may have and still belong to the one definition in it."""
    return 8 if parent.type in ("decorated_definition", "template_declaration", "export_statement") else 1


def _with_comments(node: Node) -> Node:
    """The first of the comments and attributes that stand directly above a node, or the node itself."""
    first = node
    sibling = node.prev_named_sibling
    while sibling is not None:
        kind = sibling.type
        if "comment" not in kind and "attribute" not in kind and kind != "decorator":
            break
        gap = first.start_point.row - sibling.end_point.row
        if gap > 1 or (gap == 1 and sibling.end_point.column == 0 and kind != "line_comment"):
            break
        before = sibling.prev_sibling
        if before is not None and before.end_point.row == sibling.start_point.row:
            break  # a comment at the end of the line above belongs to that line
        first, sibling = sibling, sibling.prev_named_sibling
    return first


def _nest(found: list[_Found]) -> list[Region]:
    """Scopes by containment; functions directly inside a type become methods."""
    regions: list[Region] = []
    open_: list[tuple[int, str, str]] = []
    for item in sorted(found, key=lambda item: (item.start, -item.end)):
        while open_ and open_[-1][0] < item.end:
            open_.pop()
        scope = open_[-1][1] if open_ else ""
        kind = item.kind
        if kind == "function" and open_ and open_[-1][2] in _MEMBER_HOLDERS:
            kind = "method"
        if item.scope and item.scope != scope:
            scope = f"{scope}.{item.scope}" if scope else item.scope
        symbol = Symbol(
            kind=kind if item.listed else "type",
            name=item.name,
            scope=scope,
            start_line=item.start_row + 1,
            end_line=item.end_row + 1,
            start_byte=item.start,
            end_byte=item.end,
        )
        regions.append(Region(symbol, item.listed))
        open_.append((item.end, symbol.qualified_name, "class" if not item.listed else kind))
    return regions

