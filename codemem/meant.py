"""Which definitions a question means whose names it spells out, where many bear the same name.

"Follow `Orders.total`", "the `total` method of `Orders`": what the definition belongs to is spelled too, so of all that
are named `total` that one is meant. "The `total` that `Orders` inherits" stands in none of its lines: what `Orders`
extends is looked up, and what that extends, until one defines it (docs/outline.md, "Links and mentions"; decision
0045).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from codemem.indexer import detect_language
from codemem.model.kin import of_kin
from codemem.outline.assembly import DECLARING
from codemem.outline.query import Query, folded, understand, unmarked
from codemem.outline.records import SymbolRecord
from codemem.outline.words import identifiers
from codemem.passages import FileChangedError, Lines
from codemem.recall import Remembered

SPELLED = 16
"""Names of a question that are looked up: a report that was pasted has thousands."""
PATHS = 4
"""Paths of a question that are looked into, and that are no names."""
MOST_BEARERS = 1000
"""A name that more definitions bear is not looked at: it would take time, and say little."""
CONTAINERS = frozenset(("class", "struct", "interface", "trait", "enum", "module", "type"))
"""Kinds of definitions that others belong to."""
HEIRS = 3
"""Definitions whose ancestors are looked for; of a name that more bear none is meant surely enough."""
GENERATIONS, ANCESTORS = 4, 24
"""Steps upwards from one of them, and all that it is looked for in."""
HEAD, BASES = 12, 8
"""Lines that say what a definition extends, up to where its body begins, and names in them that are looked up."""
DEEPEST = 64
"""Folders of a path that are compared: more than code has; a repository made to cost time could have a million."""

_BODY = re.compile(r":\s*(?:#.*)?$|\{")
_GOES_ON = re.compile(r"^\s*(?:extends|implements|with|permits|where|[:,<])")
_OPEN, _CLOSED = "([<", ")]>"

Spelled = tuple[str, SymbolRecord]
"""The path of a file and a definition in it."""


@dataclass(frozen=True, slots=True)
class Meant:
    """What a question means by the names that it spells."""

    definitions: Sequence[Spelled]
    surest: int = 0
    """How many of them, the first, are told from others of their name by what the question says they belong to."""
    between: Sequence[Spelled] = ()
    """What is extended on the way from a definition to one that it inherits."""
    heirs: Sequence[Spelled] = ()
    """What does not define what it is asked for: it only tells where that is looked for."""


def meant(tree: Remembered, asked: Query) -> Meant:
    """The definitions of a tree that a question means by the names that it spells, in no order."""
    names, scoped = asked.names[:SPELLED], asked.scoped[:SPELLED]
    every = _named(tree, names)
    owned = [each for each in every if _is_owned(each[1], names, scoped)]
    settled = {folded(symbol.name) for _, symbol in owned}
    owners = {belongs(symbol) for _, symbol in owned}
    rest = [each for each in every if folded(each[1].name) not in settled | owners]
    scopes = sorted({scope for scope, _ in scoped} - {*names, *owners})
    heirs = [each for each in (*rest, *_named(tree, scopes)) if each[1].kind in CONTAINERS]
    wanted = {folded(symbol.name) for _, symbol in rest if symbol.kind not in CONTAINERS}
    found = _inherited(tree, heirs, wanted) if wanted and 0 < len(heirs) <= HEIRS else {}
    settled = {folded(symbol.name) for _, symbol in found}
    return Meant(
        [*owned, *found, *_as_written([each for each in rest if folded(each[1].name) not in settled], asked)],
        len(owned) + len(found),
        list(dict.fromkeys(base for way in found.values() for base in way[1:])),
        list(dict.fromkeys(way[0] for way in found.values())),
    )


def _as_written(found: Sequence[Spelled], asked: Query) -> list[Spelled]:
    """Of definitions whose names differ in case and separators alone those that bear a name as it is written, where
    there are such: `transaction` is no `Transaction`, `__version__` no `VERSION`."""
    exact = {folded(symbol.name) for _, symbol in found if unmarked(symbol.name) in asked.written}
    return [
        (path, symbol)
        for path, symbol in found
        if folded(symbol.name) not in exact or unmarked(symbol.name) in asked.written
    ]


def _named(tree: Remembered, names: Sequence[str]) -> list[Spelled]:
    return [(record.path, symbol) for record, symbol in tree.snapshot.outline.named(names, most=MOST_BEARERS)]


def _is_owned(symbol: SymbolRecord, names: Sequence[str], scoped: Sequence[tuple[str, str]]) -> bool:
    """Whether the question spells what a definition that it names belongs to."""
    owner, name = belongs(symbol), folded(symbol.name)
    return owner != name and (owner in names or (owner, name) in scoped)


def spelled_by(question: str) -> Query:
    """A question taken apart, its paths left out of what it names."""
    return understand(without_paths(question), ())


def without_paths(question: str) -> str:
    """A question without the paths of files: `__init__` of `shop/__init__.py` names no method."""
    paths = [path for path in understand(question, ()).paths if "/" in path or detect_language(path) != "text"]
    for path in sorted(paths[:PATHS], key=len, reverse=True):
        question = question.replace(path, " ")
    return question


def belongs(symbol: SymbolRecord) -> str:
    """The name (folded) of what a definition belongs to."""
    return folded(symbol.scope.rpartition(".")[2])


def _inherited(tree: Remembered, heirs: Sequence[Spelled], wanted: set[str]) -> dict[Spelled, Sequence[Spelled]]:
    """Of the names wanted (folded) the definitions that heirs inherit -> the heir, and what it extends on the way."""
    bearers: dict[tuple[str, str, str], Spelled] = {}
    for record, symbol in tree.snapshot.outline.named(sorted(wanted), most=MOST_BEARERS):
        holder = symbol.scope.rpartition(".")[2]
        if holder:
            bearers.setdefault((record.path, holder, folded(symbol.name)), (record.path, symbol))
    found: dict[Spelled, Sequence[Spelled]] = {}
    for heir in heirs:
        left = set(wanted)
        for way in _ways_up(tree, heir):
            path, base = way[-1]
            for name in sorted(left):
                if inherited := bearers.get((path, base.name, name)):
                    found.setdefault(inherited, way)
                    left.discard(name)
            if not left:
                break
    return found


def _ways_up(tree: Remembered, heir: Spelled) -> Iterator[Sequence[Spelled]]:
    """From a definition to each of its ancestors, the nearest generation first."""
    seen = {heir}
    line: list[tuple[Spelled, ...]] = [(heir,)]
    for _ in range(GENERATIONS):
        following: list[tuple[Spelled, ...]] = []
        for way in line:
            for base in _bases(tree, way[-1]):
                if base not in seen and len(seen) <= ANCESTORS:
                    seen.add(base)
                    following.append((*way, base))
                    yield following[-1]
        line = following


def _bases(tree: Remembered, below: Spelled) -> Iterator[Spelled]:
    """What a definition says in its head that it extends, where it is clear which one is meant."""
    path, symbol = below
    for name in list(dict.fromkeys(identifiers(_head(tree, path, symbol))))[: BASES + 1]:
        if name != symbol.name:
            named = tree.snapshot.outline.named([folded(name)], most=MOST_BEARERS)
            places = [(r.path, base) for r, base in named if base.name == name and base.kind in CONTAINERS]
            near = within_reach(path, [place for place, _ in places])
            if len(near) == 1:
                yield places[near[0]]


def _head(tree: Remembered, path: str, symbol: SymbolRecord) -> str:
    """A definition's lines up to where its body begins, decorators left out."""
    last = min(symbol.end_line, symbol.start_line + HEAD - 1)
    try:
        lines = tree.passages.lines(path, Lines(symbol.start_line, last)).split("\n")
    except FileChangedError:
        return ""
    head: list[str] = []
    for line in lines:
        if line.lstrip().startswith("@") and not head:
            continue
        text = "\n".join(head)
        if head and sum(map(text.count, _OPEN)) <= sum(map(text.count, _CLOSED)) and not _GOES_ON.match(line):
            break
        head.append(line)
        if _BODY.search(line):
            break
    return "\n".join(head)


def within_reach(origin: str, paths: Sequence[str]) -> list[int]:
    """Places in `paths` of those that code of a file means by a name which they define: files of its kind
    (`model/kin.py`) and bodies before what merely declares them, where there are such; of these the nearest."""
    places = of_kin(range(len(paths)), paths.__getitem__, [origin])
    bodies = [place for place in places if not paths[place].lower().endswith(DECLARING)] or places
    return [bodies[place] for place in nearest(origin, [paths[place] for place in bodies])]


def nearest(origin: str, paths: Sequence[str]) -> list[int]:
    """Places in `paths` of those nearest to a file: itself, else those that share most of its folders.

    In any language a name is looked for near by before it is looked for elsewhere. However much else is remembered,
    what lies near stays the same.
    """
    shared = [_shared(origin, path) for path in paths]
    most = max(shared, default=0)
    return [place for place, count in enumerate(shared) if count == most]


def _shared(origin: str, path: str) -> int:
    """Folders from the root on that two files share; the same file has one more."""
    if origin == path:
        return origin.count("/") + 1
    count = 0
    for one, other in zip(origin.split("/", DEEPEST)[:-1], path.split("/", DEEPEST)[:-1], strict=False):
        if one != other:
            break
        count += 1
    return count
