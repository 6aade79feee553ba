"""Definitions in a file, found by tree-sitter queries that are kept as data in `queries/`.

Captures of a query:
`@definition.KIND`  a definition, KIND one of SYMBOL_KINDS; `@name` inside it names it (several names are joined by '.')
`@container`        a node that only gives `@name` as scope to what it holds (a Rust impl block)
`@scope`            a scope that is written elsewhere than around the definition (a Go receiver)
`@span`, `@end`     a wider node around the definition of that `@name`; a later node that still belongs to it
`@doc`              a docstring of the definition of that `@name`
`@above`            comments, attributes and decorators: they belong to the definition that starts on the next line
Where several patterns name the same place, the one that is written first gives the kind.

A query whose first line is `; inherits: LANGUAGE` (several separated by commas), as editors know it, begins with
theirs. One whose name begins with '_' is of no language itself.
"""

import re
import time
from collections.abc import Iterable
from functools import cache, partial
from importlib.resources import files
from typing import Literal, cast

from tree_sitter import Language, Node, Parser, Query, QueryCursor, Tree
from tree_sitter_language_pack import SupportedLanguage, get_language

from .nesting import Found, Region, nest

QUERY_ALIASES = {"cuda": "cpp", "arduino": "cpp", "terraform": "hcl"}
"""Languages that are read with another one's query."""
_CONSTANT = re.compile(r"_*[A-Z][A-Z0-9_]*")
_INHERITS = re.compile(r"; inherits: ?([\w, ]+)\n")
_SIGILS = {"simple_symbol": ":", "variable": "$"}
"""What is written before a name and is no part of it, by type of node."""
_UNSAID = re.compile(r"\A(?:module\.)?exports\Z|\.prototype\Z")
"""Of a scope in JavaScript: what no one names who speaks of what a module exports, or of a class's members."""
_MAX_NAME = 200
_PIECE = 1 << 12
"""Bytes that the parser is given at once."""
_WINDOW = 1 << 17
_MAX_MATCHES = 100_000
_Captures = dict[str, list[Node]]


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
    source = _query_text(QUERY_ALIASES.get(language, language))
    return None if grammar is None or source is None else Query(grammar, source)


def _query_text(language: str) -> str | None:
    """A language's query behind those that it inherits; None if it has none."""
    file = files(__package__).joinpath("queries", f"{language}.scm")
    if not file.is_file():
        return None
    own = file.read_text("utf-8")
    inherited = _INHERITS.match(own)
    names = inherited[1].split(",") if inherited else []
    return "".join([_query_text(name.strip()) or "" for name in names] + [own])


@cache
def outline_languages() -> tuple[str, ...]:
    """Languages that have an outline, sorted."""
    folder = files(__package__).joinpath("queries")
    queries = (item.name for item in folder.iterdir() if item.name.endswith(".scm"))
    named = {name.removesuffix(".scm") for name in queries if not name.startswith("_")}
    return tuple(sorted(named | QUERY_ALIASES.keys()))


def parse(source: bytes, language: str, seconds: float) -> Tree | None:
    """The syntax tree of UTF-8 text; None if there is no grammar, or it took longer than `seconds` of processor time.

    Not of time on the clock: what a file's documents are must not depend on what else the machine does.
    """
    grammar = _grammar(language)
    if grammar is None:
        return None
    deadline = time.thread_time() + seconds
    try:
        return Parser(grammar).parse(
            # A piece at a time: the lexer asks again whenever it looks back behind the piece's start, 70 times in a
            # usual file, and each answer is copied (py-tree-sitter crashes on views).
            lambda offset, _point: source[offset : offset + _PIECE],
            encoding="utf8",
            progress_callback=lambda _offset, _error: time.thread_time() > deadline,
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
    found, above = _collect(_matches(query, tree.root_node, source, seconds), source)
    return nest(found, above, source, language)


def _matches(query: Query, root: Node, source: bytes, seconds: float) -> Iterable[tuple[int, _Captures]]:
    """Matches, window by window so that time or patience can run out between them (then those found so far).

    A match that reaches into several windows comes several times. The cursor's own progress callback is not used: in
    py-tree-sitter 0.26 it crashes the process.
    """
    deadline = time.thread_time() + seconds
    predicate = partial(_is_one_of, source)
    count = 0
    for start in range(0, len(source), _WINDOW):
        cursor = QueryCursor(query)
        cursor.set_byte_range(start, min(start + _WINDOW, len(source)))
        matches = cursor.matches(root, predicate)
        yield from matches
        count += len(matches)
        if time.thread_time() > deadline or count > _MAX_MATCHES:
            break


def _is_one_of(
    source: bytes,
    predicate: str,
    arguments: list[tuple[str, Literal["capture", "string"]]],
    _pattern: int,
    captures: _Captures,
) -> bool:
    """`(#one-of? @capture "word" ...)` and `#not-one-of?`: the only predicates of our queries.

    tree-sitter's own predicates ask a tree that was parsed with a time limit for its text, at the cost of a copy of the
    file each.
    """
    if predicate not in ("one-of?", "not-one-of?"):
        raise ValueError(f"an outline query uses the unknown predicate #{predicate}")
    words = {word for word, kind in arguments if kind == "string"}
    nodes = captures.get(arguments[0][0], [])
    wanted = predicate == "one-of?"
    texts = (source[node.start_byte : node.end_byte].decode("utf-8", "replace") for node in nodes)
    return all((text in words) is wanted for text in texts)


def _collect(matches: Iterable[tuple[int, _Captures]], source: bytes) -> tuple[list[Found], dict[int, Node]]:
    """(definitions, one for each name; nodes that belong to what follows them, by the row on which they end)."""
    named: dict[int, Found] = {}
    above: dict[int, Node] = {}
    for pattern, captures in matches:
        names = captures.get("name")
        if names is None:
            for node in captures.get("above", ()):
                end = node.end_point
                row = end.row - (end.column == 0 and end.row > node.start_point.row)
                if row not in above or node.start_byte < above[row].start_byte:
                    above[row] = node
            continue
        place = names[0].start_byte
        found = named.get(place)
        if found is None:
            found = named[place] = Found()
        _merge(found, pattern, names, captures, source)
    return [found for found in named.values() if found.kind], above


def _merge(found: Found, pattern: int, names: list[Node], captures: _Captures, source: bytes) -> None:
    """Adds what one match says of a named place."""
    for capture, nodes in captures.items():
        if capture == "container" or capture.startswith("definition."):
            found.widen(nodes[0])
            if pattern < found.pattern:
                text = ".".join(_text(node, source) for node in names)
                found.pattern, found.name = pattern, text
                found.kind, found.core = _kind(capture, text), nodes[0].start_byte
        elif capture in ("span", "end"):
            found.widen(nodes[0], first=capture == "span")
        elif capture == "scope":
            found.scope = _UNSAID.sub("", _text(nodes[0], source))
        elif capture == "doc":
            found.doc = source[nodes[0].start_byte : nodes[0].end_byte]


def _text(node: Node, source: bytes) -> str:
    raw = source[node.start_byte : node.end_byte]
    sigil = _SIGILS.get(node.type, "")
    return " ".join(raw.decode("utf-8", "replace").split())[:_MAX_NAME].strip("\"'`").removeprefix(sigil)


def _kind(capture: str, name: str) -> str:
    """The captured kind; a variable whose name is all capitals is a constant by the custom of most languages."""
    kind = capture.removeprefix("definition.")
    return "constant" if kind == "variable" and _CONSTANT.fullmatch(name) else kind
