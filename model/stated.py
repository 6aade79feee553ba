"""What stands in the lines of definitions that were read, as far as rules of text tell it for every language: what of
them may stand in a code span of an answer."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from codemem.model.events import Definition, Source
from codemem.model.signature import signature
from codemem.model.spelled import standing_alone

LONGEST = 160
"""Characters of a value that is compared; it may go on beyond."""
MOST_NAMED, MOST_SET, MOST_TAILS = 32, 64, 20_000
"""Definitions of one name, places of one name in a text, and beginnings of values that are compared: more than code has
in what is read. A repository made to cost time may have any number, and then binds nothing."""
LONGEST_HEAD = 4000
"""Characters of what declares a definition in which parameters are looked for."""
_COMPARED = re.compile(r"\s*(?:===?|!==?)")
_PRESET = re.compile(r"\s*(?:\??:[^=]*?)?=(?![=>~])\s*(.+)", re.DOTALL)
_KEYWORD, _KEYWORDS = re.compile(r"\s*(?::|=(?![=>~]))\s*([^\s,)].*)", re.DOTALL), (".rb",)
"""How a parameter is preset, and files of languages in which its name ends in a colon then."""
_START = re.compile(r"(?<!\w)\w|[^\w\s]")
"""Where a value may begin in a text."""
_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")
_SIGN = re.compile(r"'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"|.", re.DOTALL)
"""A string, or one sign of what stands outside of strings."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """What may stand in a code span: a name of some, or the beginning of a text behind some place."""

    names: frozenset[str] = frozenset()
    tails: tuple[str, ...] = ()
    """With strings quoted one way (`quoted_alike`)."""
    sure: bool = False
    """Whether no other can be right, however sure the model is of it."""

    def begins(self, inside: str) -> bool:
        return any(name.startswith(inside) for name in self.names) or any(starts(tail, inside) for tail in self.tails)

    def is_whole(self, inside: str) -> bool:
        return inside in self.names or any(starts(tail, inside) and ends(tail, inside) for tail in self.tails)


def quoted_alike(text: str) -> str:
    """With every string in the same quotes: it may be told in others than it stands in."""
    return text.replace('"', "'")


def starts(tail: str, inside: str) -> bool:
    return tail.startswith(quoted_alike(inside[:LONGEST]))


def ends(tail: str, inside: str) -> bool:
    """Whether neither a word nor a number is cut where what stands inside ends."""
    behind = tail[len(inside) : len(inside) + 2]
    cut_word = inside[-1:].isalnum() and (behind[:1].isalnum() or behind[:1] == "_")
    return not cut_word and not (inside[-1:].isdigit() and behind[:1] == "." and behind[1:].isdigit())


def named(sources: Iterable[Source], name: str) -> list[tuple[Source, Definition]]:
    """Definitions of a name, of the scope that it tells, if it tells one; none where there are too many to compare."""
    name = name.replace("::", ".")
    found = (
        (source, each)
        for source in sources
        for each in source.definitions
        if each.name == name or each.name.endswith(f".{name}")
    )
    few = list(islice(found, MOST_NAMED + 1))
    return few if len(few) <= MOST_NAMED else []


def lines_of(source: Source, definition: Definition, above: int = 0) -> str:
    lines = source.text.split("\n")
    return "\n".join(lines[max(0, definition.start_line - above) : definition.end_line])


def tails_of(text: str) -> Iterator[str]:
    flat = quoted_alike(" ".join(text.split()))
    for match in _START.finditer(flat):
        yield flat[match.start() : match.start() + LONGEST]


def one_of(tails: Iterable[str]) -> Allowed | None:
    """A value that begins one of them; None where there are too many to compare."""
    few = list(islice(tails, MOST_TAILS + 1))
    return Allowed(tails=tuple(dict.fromkeys(few))) if len(few) <= MOST_TAILS else None


def is_whole(source: Source, definition: Definition) -> bool:
    return definition.start_line >= 0 and definition.end_line <= source.text.count("\n") + 1


def set_in(text: str, name: str) -> Iterator[tuple[int, str]]:
    """Where a name is set in a text, and what it is set to, its beginning at any sign behind the name."""
    for start, rest in _behind(text, name):
        for tail in tails_of(rest):
            yield start, tail


def presets(source: Source, definition: Definition, name: str) -> Allowed | None:
    """What a definition presets a parameter to in its head; None where it presets it to nothing."""
    head = signature(source.text.split("\n"), definition, longest=LONGEST_HEAD)
    values = tuple(_values(head, name, _KEYWORD if source.path.endswith(_KEYWORDS) else _PRESET))
    return Allowed(tails=values) if values else None


def assignments(text: str, name: str) -> Iterator[str]:
    """What is assigned to a name in a text."""
    return _values(text, name, _PRESET)


def _values(text: str, name: str, form: re.Pattern[str]) -> Iterator[str]:
    for _, rest in _behind(text, name):
        if match := form.match(rest):
            yield quoted_alike(" ".join(match[1].split()))[:LONGEST]


def _behind(text: str, name: str) -> Iterator[tuple[int, str]]:
    """Where a name stands by itself in a text, and what follows up to where a value of it ends."""
    places = list(islice(re.finditer(standing_alone([name]), text), MOST_SET + 1))
    for match in places if len(places) <= MOST_SET else ():
        rest = text[match.end() : match.end() + 2 * LONGEST]
        if not _COMPARED.match(rest):
            yield match.start(), _up_to_end(rest)


def _up_to_end(rest: str) -> str:
    """Of what stands behind a name that which may be its value: up to the comma or the end of the line that no bracket
    encloses; behind a name in quotes, which is looked up, the comma is passed."""
    depth, begun = 0, False
    looked_up = rest[:1] in ("'", '"')
    for match in _SIGN.finditer(rest, 1 if looked_up else 0):
        at, sign = match.start(), match[0]
        depth += sign in _OPENING
        depth -= sign in _CLOSING
        ends = sign == ";" or (sign == "," and not (looked_up and not begun)) or (sign == "\n" and begun)
        if depth < 0 or (depth == 0 and ends):
            return rest[:at]
        begun = begun or (sign in (",", "=", ":", "|", "?", "(") if looked_up else not sign.isspace())
    return rest


def own_part(name: str) -> str:
    return re.split(r"[.:#]", name.rstrip("()?!="))[-1]


def suffixes(names: Iterable[str]) -> frozenset[str]:
    """Names, and each without its outer scopes."""
    parts = [name.split(".") for name in names]
    return frozenset(".".join(part[at:]) for part in parts for at in range(len(part)))
