"""Where the names of a question are defined and referred to in what was read.

Who calls a function is written nowhere as such: it is the definition around the line of the call, which may stand far
above it, next to others. An editor shows such references; so does this, in a line a name, behind the sources
(decision 0035).
"""

import re
from collections.abc import Iterator, Sequence

from codemem.model.events import Definition, Source
from codemem.spelled import SHORTEST, names_to_find, standing_alone

DEFINED, USED, USES = 3, 6, 4
"""Definitions of a name, places that refer to it, and other definitions that its own text refers to, at most."""
MOST_DEFINITIONS = 400
"""Of all sources, whose names are looked for in the text of one: more than 3,000 tokens hold."""
_WORD = re.compile(r"[^\W\d]\w*(?:\s*\()?")

Numbered = tuple[int, Source]


def references(question: str, sources: Sequence[Source]) -> str:
    """A line for each name that the question writes as code and the sources define or refer to; '' if there is none.

    Sources are numbered from 1 on, and the last is the best: what stands there comes first.
    """
    numbered = list(enumerate(sources, start=1))[::-1]
    lines = (_line(name, numbered) for name in names_to_find(question))
    return "\n".join(line for line in lines if line)


def _line(name: str, numbered: Sequence[Numbered]) -> str:
    defined = [(number, source, found) for number, source in numbered for found in _named(source, name)]
    users = list(dict.fromkeys(_users(name, numbered)))[:USED]
    used = [] if not defined else list(dict.fromkeys(_uses(name, defined, numbered)))[:USES]
    parts = []
    if defined:
        places = dict.fromkeys(f"`{found.name}` [{number}]" for number, _, found in defined if found.start_line >= 0)
        parts += ["defined as " + ", ".join(list(places)[:DEFINED])] if places else []
    if users:
        parts.append("used in " + ", ".join(users))
    if used:
        parts.append("uses " + ", ".join(used))
    return f"`{name}`: {'; '.join(parts)}" if parts else ""


def _named(source: Source, name: str) -> Iterator[Definition]:
    return (definition for definition in source.definitions if definition.own_name == name)


def _users(name: str, numbered: Sequence[Numbered]) -> Iterator[str]:
    """Definitions of other names around the lines where a name stands by itself, with number and path."""
    pattern = re.compile(standing_alone([name]))
    for number, source in numbered:
        at, line = 0, 0
        for match in pattern.finditer(source.text) if source.definitions else ():
            line += source.text.count("\n", at, match.start())
            at = match.start()
            around = innermost(source.definitions, line)
            if around is not None and around.own_name != name:
                yield f"`{around.name}` [{number}] {_path(source)}"


def innermost(definitions: Sequence[Definition], line: int) -> Definition | None:
    """The shortest definition around a line."""
    around = [found for found in definitions if found.start_line <= line < found.end_line]
    return min(around, key=lambda found: (found.end_line - found.start_line, -found.start_line), default=None)


def _uses(name: str, defined: Sequence[tuple[int, Source, Definition]], numbered: Sequence[Numbered]) -> Iterator[str]:
    """Other definitions among the sources whose names stand in the text of those that bear the name."""
    known: dict[str, str] = {}
    for number, source in numbered:
        for definition in source.definitions:
            if len(definition.own_name) >= SHORTEST and definition.own_name != name and len(known) < MOST_DEFINITIONS:
                known.setdefault(definition.own_name, f"`{definition.name}` [{number}]")
    for _, source, definition in defined:
        own = {inner.own_name for inner in source.definitions if _within(inner, definition)}
        lines = source.text.split("\n")[max(0, definition.start_line) : definition.end_line]
        for match in _WORD.finditer("\n".join(lines)):
            word = match[0].rstrip("( \t\n")
            # A plain word is a variable's name as often as a function's, unless it is called.
            telling = match[0].endswith("(") or not (word.islower() and word.isalpha())
            if telling and word in known and word not in own:
                yield known[word]


def _within(inner: Definition, outer: Definition) -> bool:
    return outer.start_line <= inner.start_line and inner.end_line <= outer.end_line


def _path(source: Source) -> str:
    return source.header.rstrip("\n").partition(" ")[0]
