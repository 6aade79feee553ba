"""Where the names of a question are defined and referred to in what was read.

Who calls a function is written nowhere as such: it is the definition around the line of the call, which may stand far
above it, next to others. An editor shows such references; so does this, in a line a name, behind the sources
(decision 0035).
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence, Set
from heapq import heappop, heappush
from itertools import islice

from codemem.model.events import Definition, Source
from codemem.model.kin import of_kin
from codemem.model.signature import LONGEST as LONGEST_HEAD
from codemem.model.signature import signature
from codemem.model.spelled import SHORTEST, names_to_find, spelled_names, standing_alone

DEFINED, USED, USES = 3, 6, 4
"""Definitions of a name, places that refer to it, and other definitions that its own text refers to, at most."""
CALLED_CHARACTERS = 160
"""Of what declares a definition that is called: less than of the one that is asked about."""
LONGEST = 2400
"""Characters of all lines together: paths and names can be of any length, and what is told is read by the model. A line
that does not fit is left out."""
MOST_DEFINITIONS = 400
"""Of all sources, whose names are looked for in the text of one: more than 3,000 tokens hold."""
_WORD = re.compile(r"[^\W\d]\w*(?:\s*\()?")
_PART = re.compile(r"[^\W\d]\w*")
_CALL = r"\s*(?:(?:::)?<[^<>()]*>\s*)?\("
_COMMENT = ("#", "//", "*", "/*", "--", ";")
_BARE = (".rb", ".hs", ".ex", ".exs", ".pl", ".pm", ".sh", ".bash", ".ml", ".clj", ".el")
"""Files of languages that call without brackets behind the name."""

Numbered = tuple[int, Source]


def references(question: str, sources: Sequence[Source]) -> str:
    """A line for each name that the question writes as code and the sources define or refer to; '' if there is none.

    Sources are numbered from 1 on, and the last is the best: what stands there comes first.
    """
    numbered = list(enumerate(sources, start=1))[::-1]
    names = names_to_find(question)
    # Of "the `retry` method of `Session`" only `retry` is asked about: a class is named all over its own methods.
    scopes = {scope for source in sources for scope in _scopes(source, names)}
    spelled = set(_PART.findall(" ".join(spelled_names(question))))
    told, room = [], LONGEST
    for line in (_line(name, numbered, spelled) for name in names if name not in scopes):
        if line and len(line) < room:
            told.append(line)
            room -= len(line) + 1
    return "\n".join(told)


def _scopes(source: Source, names: Sequence[str]) -> Iterator[str]:
    """The names around definitions that bear one of `names`."""
    for definition in source.definitions:
        if definition.own_name in names:
            yield from definition.name.split(".")[:-1]


def _line(name: str, numbered: Sequence[Numbered], spelled: Set[str]) -> str:
    """`spelled`: every name of the question. Of several that bear the name those of such a scope are meant."""
    defined = [(number, found) for number, source in numbered for found in _named(source, name)]
    meant = [(number, found) for number, found in defined if not spelled.isdisjoint(found.name.split(".")[:-1])]
    defined = meant or defined
    paths = {number: source.path for number, source in numbered}
    defining = {paths[number] for number, _ in defined}

    def told_of(calls: bool) -> list[str]:
        found = of_kin(list(users(name, numbered, calls=calls)), lambda user: user[2], defining)
        return list(islice(_unique(map(_told, found)), USED))

    callers = told_of(calls=True)
    others = [] if callers else told_of(calls=False)
    used = list(islice(_uses(name, numbered, {found for _, found in defined}), USES)) if defined else []
    heads = _Heads(numbered)
    told = {
        "defined as": list(islice(_unique(heads.of(*place) for place in defined if place[1].start_line >= 0), DEFINED)),
        "called by": callers,
        "named in": others,
        "calls": [heads.of(number, found, CALLED_CHARACTERS) for number, found, called in used if called],
        "names": [f"`{found.name}` [{number}]" for number, found, called in used if not called],
    }
    parts = [f"{relation} {', '.join(places)}" for relation, places in told.items() if places]
    return f"`{name}`: {'; '.join(parts)}" if parts else ""


class _Heads:
    """Definitions by name, number and what declares them."""

    def __init__(self, numbered: Sequence[Numbered]) -> None:
        self._texts = {number: source.text for number, source in numbered}
        self._lines: dict[int, list[str]] = {}

    def of(self, number: int, found: Definition, longest: int = LONGEST_HEAD) -> str:
        if number not in self._lines:
            self._lines[number] = self._texts[number].split("\n")
        head = signature(self._lines[number], found, longest=longest)
        return f"`{found.name}` [{number}]" + (f" `{head}`" if head else "")


def _unique(places: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for place in places:
        if place not in seen:
            seen.add(place)
            yield place


def _named(source: Source, name: str) -> list[Definition]:
    return [definition for definition in source.definitions if definition.own_name == name]


User = tuple[Definition, int, str]
"""A definition, with the number and path of the source that it stands in."""


def _told(user: User) -> str:
    definition, number, path = user
    return f"`{definition.name}` [{number}] {path}"


def users(name: str, numbered: Sequence[Numbered], *, calls: bool) -> Iterator[User]:
    """Definitions of other names around the lines where a name stands by itself, one for every such line.

    `calls`: only lines that call it, as far as can be told. Where there are such, who merely speaks of it is passed
    over: comments, and parameters of the same name.
    """
    anywhere = re.compile(standing_alone([name]))
    called = re.compile(standing_alone([name]) + _CALL)
    for number, source in numbered:
        pattern = called if calls and not source.path.endswith(_BARE) else anywhere
        lines = _lines_with(pattern, source.text, comments=not calls) if source.definitions else ()
        for around in _innermost(source.definitions, lines):
            if around.own_name != name:
                yield around, number, source.path


def _lines_with(pattern: re.Pattern[str], text: str, *, comments: bool) -> Iterator[int]:
    """Lines in which a pattern is found, ascending; `comments`: also those that are one."""
    for number, line in enumerate(text.split("\n")):
        if pattern.search(line) and (comments or not line.lstrip().startswith(_COMMENT)):
            yield number


def _innermost(definitions: Sequence[Definition], lines: Iterable[int]) -> Iterator[Definition]:
    """The shortest definition around each of some lines that ascend, where there is one."""
    waiting = sorted(definitions, key=lambda found: found.start_line, reverse=True)
    around: list[tuple[int, int, int, Definition]] = []
    for line in lines:
        while waiting and waiting[-1].start_line <= line:
            found = waiting.pop()
            heappush(around, (found.end_line - found.start_line, -found.start_line, len(waiting), found))
        while around and around[0][-1].end_line <= line:
            heappop(around)
        if around:
            yield around[0][-1]


def _uses(name: str, numbered: Sequence[Numbered], meant: Set[Definition]) -> Iterator[tuple[int, Definition, bool]]:
    """Other definitions among the sources whose names stand in the text of those that are meant by the name, each once;
    and whether it is called there, as far as can be told by the first place."""
    seen: set[str] = set()
    known: dict[str, tuple[int, Definition]] = {}
    for number, source in numbered:
        for definition in source.definitions:
            if len(definition.own_name) >= SHORTEST and definition.own_name != name and len(known) < MOST_DEFINITIONS:
                known.setdefault(definition.own_name, (number, definition))
    for _, source in numbered:
        spans = _together([found for found in _named(source, name) if found in meant])
        own = {inner.own_name for inner in source.definitions if _within(inner, spans)} if spans else set()
        lines = source.text.split("\n") if spans else []
        for match in _WORD.finditer("\n".join("\n".join(lines[max(0, start) : end]) for start, end in spans)):
            word = match[0].rstrip("( \t\n")
            # A plain word is a variable's name as often as a function's, unless it is called.
            called = match[0].endswith("(")
            telling = called or not (word.islower() and word.isalpha())
            if telling and word in known and word not in own and word not in seen:
                seen.add(word)
                yield *known[word], called


def _together(definitions: Sequence[Definition]) -> list[tuple[int, int]]:
    """The lines of definitions, each once: ascending, and those that overlap in one."""
    spans: list[tuple[int, int]] = []
    for start, end in sorted((found.start_line, found.end_line) for found in definitions):
        if spans and start < spans[-1][1]:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
        else:
            spans.append((start, end))
    return spans


def _within(inner: Definition, spans: Sequence[tuple[int, int]]) -> bool:
    at = bisect_right(spans, inner.start_line, key=lambda span: span[0]) - 1
    return at >= 0 and inner.end_line <= spans[at][1]
