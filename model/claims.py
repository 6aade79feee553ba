"""What an answer says of a definition stands in that definition, where the answer has the form of a fact.

A small model that has read two definitions beside each other says of one what is true of the other, the more readily
the more of them a repository has. Which lines a definition has is known; so a value behind "`retry` raises" is one that
stands in the lines of `retry`, and behind "`width` defaults to `36` in" goes on the name of a definition that sets
`width` to `36` (decision 0043). Forms are those that training teaches (training/data/fact_answers.py, answer_hops.py).
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from codemem.model.events import Definition, Source
from codemem.model.references import users
from codemem.model.spelled import standing_alone

LONGEST = 160
"""Characters of a value that is compared; it may go on beyond."""
MOST_NAMED, MOST_SET, MOST_TAILS = 32, 64, 20_000
"""Definitions of one name, places of one name in a text, and beginnings of values that are compared: more than code has
in what is read. A repository made to cost time may have any number, and then binds nothing."""
_SPAN = r"`([^`\n]+)`"
_LIST = r"(?:`[^`\n]*`(?:, | and ))*`$"
"""Up to the opening of a code span, behind others of a list."""
_START = re.compile(r"(?<!\w)\w|[^\w\s]")
"""Where a value may begin in a text."""
_RAISED = re.compile(r"\b(?:raise|throw)\s+(?:new\s+)?([A-Za-z_][\w.:]*)")
_FAILING = re.compile(r"rais|throw|fail|reject|error|except|panic|abort|exit|die", re.IGNORECASE)
"""A part of some word, in any language, in what raises an error of its own."""
_BUILT_ON = "(?:extends|inherits from|embeds|requires|derives from|derives|implements)"
_RAISES, _RETURNS_ERROR = r"(?:raises|throws)", r"returns the errors?"
_ABOVE = 8
"""Lines above a definition in which decorators and derived traits are looked for."""
_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")
_SIGN = re.compile(r"'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"|.", re.DOTALL)
"""A string, or one sign of what stands outside of strings."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """What may stand in a code span: a name of some, or the beginning of a text behind some place."""

    names: frozenset[str] = frozenset()
    tails: tuple[str, ...] = ()
    """With strings quoted one way (`_quoted`)."""

    def begins(self, inside: str) -> bool:
        return any(name.startswith(inside) for name in self.names) or any(_starts(tail, inside) for tail in self.tails)

    def is_whole(self, inside: str) -> bool:
        return inside in self.names or any(_starts(tail, inside) and _ends(tail, inside) for tail in self.tails)


def _quoted(text: str) -> str:
    """With every string in the same quotes: it may be told in others than it stands in."""
    return text.replace('"', "'")


def _starts(tail: str, inside: str) -> bool:
    return tail.startswith(_quoted(inside[:LONGEST]))


def _ends(tail: str, inside: str) -> bool:
    """Whether no word is cut where what stands inside ends."""
    behind = tail[len(inside) : len(inside) + 1]
    return not (inside[-1:].isalnum() and (behind.isalnum() or behind == "_"))


class Claims:
    """What the answer to one question may say of the definitions that were read."""

    def __init__(self, sources: Sequence[Source]) -> None:
        """`sources`: as they were read, the best last; those whose definitions are not known bind nothing."""
        self._sources = sources[::-1]
        self._known: dict[str, Allowed | None] = {}

    def allows(self, text: str, piece: str) -> bool:
        """Whether the answer so far may go on with a piece: within a code span that says something of a definition
        alone by what that holds. No piece: whether it may end here."""
        whole = text + piece
        if not self._more_callers(whole, len(text)) or not self._fails(whole, len(text)):
            return False
        at = whole.rfind("`", 0, len(text)) if text.count("`") % 2 else whole.find("`", len(text))
        while at >= 0:
            allowed = self._allowed(whole[: at + 1])
            inside, closed, _ = whole[at + 1 :].partition("`")
            fits = allowed is None or (allowed.is_whole(inside) if closed else allowed.begins(inside.rstrip("\ufffd")))
            if not fits:
                return False
            at = whole.find("`", at + len(inside) + 2) if closed else -1
        return True

    def by_name(self, text: str) -> bool:
        """Whether the text so far ends within a code span in which nothing but one of some names may stand: who holds
        what is said is known, so that however unlikely one of them is, another is wrong."""
        allowed = self._allowed(text[: text.rindex("`") + 1]) if text.count("`") % 2 else None
        return allowed is not None and not allowed.tails

    def _allowed(self, before: str) -> Allowed | None:
        """What may stand in the code span that a text opens at its end; None: anything, as far as is known here."""
        if before not in self._known:
            found = None
            for form, may_be in _FORMS:
                if match := form.search(before):
                    found = may_be(self._sources, *match.groups())
                    break
            self._known[before] = found if found is not None and (found.names or found.tails) else None
        return self._known[before]

    def _fails(self, whole: str, length: int) -> bool:
        """Whether a definition of which it is said that it raises something speaks of failing at all."""
        for said in _ANNOUNCED.finditer(whole):
            found = _named(self._sources, said[1]) if said.end() > length else []
            if found and all(_is_whole(*each) and not _FAILING.search(_lines(*each)) for each in found):
                return False
        return True

    def _more_callers(self, whole: str, length: int) -> bool:
        """Whether a further caller that is announced behind those told is there."""
        told = _AND_BY.search(whole)
        if told is None or told.end() <= length:
            return True
        every = _callers(self._sources, told[1])
        return every is None or not every.names <= _suffixes(re.findall(r"by `([^`\n]+)` in ", told[0]))


def _named(sources: Iterable[Source], name: str) -> list[tuple[Source, Definition]]:
    """Definitions of a name, of the scope that it tells, if it tells one; none where there are too many to compare."""
    found = (
        (source, each)
        for source in sources
        for each in source.definitions
        if each.name == name or each.name.endswith(f".{name}")
    )
    few = list(islice(found, MOST_NAMED + 1))
    return few if len(few) <= MOST_NAMED else []


def _lines(source: Source, definition: Definition, above: int = 0) -> str:
    lines = source.text.split("\n")
    return "\n".join(lines[max(0, definition.start_line - above) : definition.end_line])


def _tails(text: str) -> Iterator[str]:
    flat = _quoted(" ".join(text.split()))
    for match in _START.finditer(flat):
        yield flat[match.start() : match.start() + LONGEST]


def _one_of(tails: Iterable[str]) -> Allowed | None:
    """A value that begins one of them; None where there are too many to compare."""
    few = list(islice(tails, MOST_TAILS + 1))
    return Allowed(tails=tuple(dict.fromkeys(few))) if len(few) <= MOST_TAILS else None


def _said_of(sources: Sequence[Source], name: str) -> Allowed | None:
    """Anything that stands in the lines of a definition, all of which were read."""
    found = _named(sources, name)
    if not all(_is_whole(source, each) for source, each in found):
        return None
    return _one_of(tail for source, each in found for tail in _tails(_lines(source, each)))


def _is_whole(source: Source, definition: Definition) -> bool:
    return definition.start_line >= 0 and definition.end_line <= source.text.count("\n") + 1


def _declared_of(sources: Sequence[Source], name: str) -> Allowed | None:
    """Bases, decorators and traits: of a definition whose beginning was read, with what stands above it."""
    found = [(source, each) for source, each in _named(sources, name) if each.start_line >= 0]
    # What makes an object bears the name of its class in some languages, and declares nothing of the kind.
    found = [(source, each) for source, each in found if not each.name.endswith(f"{each.own_name}.{each.own_name}")]
    return _one_of(tail for source, each in found for tail in _tails(_lines(source, each, _ABOVE)))


def _raised_by(sources: Sequence[Source], name: str) -> Allowed | None:
    """Errors that a definition raises by a statement; where it raises a variable, what stands in it."""
    heads = [match[1] for source, each in _named(sources, name) for match in _RAISED.finditer(_lines(source, each))]
    if not heads or any(not re.search(r"[A-Z]", head) for head in heads):
        return _said_of(sources, name)
    return _one_of(tail for head in heads for tail in _tails(head))


def _set_in(text: str, name: str) -> Iterator[tuple[int, str]]:
    """Where a name is set in a text, and what it is set to, its beginning at any sign behind the name."""
    places = list(islice(re.finditer(standing_alone([name]), text), MOST_SET + 1))
    for match in places if len(places) <= MOST_SET else ():
        rest = _up_to_end(text[match.end() : match.end() + 2 * LONGEST])
        for tail in _tails(rest):
            yield match.start(), tail


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


def _own(name: str) -> str:
    return re.split(r"[.:#]", name.rstrip("()?!="))[-1]


def _value(sources: Sequence[Source], name: str) -> Allowed | None:
    return _one_of(tail for source in sources for _, tail in _set_in(source.text, _own(name)))


def _value_in(sources: Sequence[Source], definition: str, name: str) -> Allowed | None:
    """Of a parameter of a definition, or of what makes an object of it."""
    found = _named(sources, definition)
    within = _one_of(tail for source, each in found for _, tail in _set_in(_lines(source, each), _own(name)))
    return within if within is None or within.tails else _value(sources, name)


def _places(sources: Iterable[Source], name: str, value: str) -> Iterator[tuple[Source, int]]:
    """Lines in which a name is set to a value."""
    for source in sources:
        for at, tail in _set_in(source.text, _own(name)):
            if _starts(tail, value) and _ends(tail, value):
                yield source, source.text.count("\n", 0, at)


def _owners(sources: Sequence[Source], name: str, value: str) -> Allowed | None:
    """Definitions that set a name to a value."""
    found: set[str] = set()
    for source, line in _places(sources, name, value):
        around = {each.name for each in source.definitions if each.start_line <= line < each.end_line}
        if not around:
            return None
        found |= around
    return Allowed(_suffixes(found))


def _files(sources: Sequence[Source], name: str, value: str) -> Allowed | None:
    return Allowed(frozenset(source.path for source, _ in _places(sources, name, value)))


def _callers(sources: Sequence[Source], name: str) -> Allowed | None:
    pattern = re.compile(standing_alone([_own(name)]))
    if any(not source.definitions and pattern.search(source.text) for source in sources):
        return None
    return Allowed(_suffixes(each.name for each, _, _ in _users(sources, name)))


def _users(sources: Sequence[Source], name: str) -> list[tuple[Definition, int, str]]:
    numbered = list(enumerate(sources))
    return list(users(_own(name), numbered, calls=True)) or list(users(_own(name), numbered, calls=False))


def _files_of_callers(sources: Sequence[Source], name: str, caller: str) -> Allowed | None:
    return Allowed(frozenset(path for each, _, path in _users(sources, name) if caller in _suffixes([each.name])))


def _suffixes(names: Iterable[str]) -> frozenset[str]:
    """Names, and each without its outer scopes."""
    parts = [name.split(".") for name in names]
    return frozenset(".".join(part[at:]) for part in parts for at in range(len(part)))


_AND_BY = re.compile(rf"{_SPAN} is called by `[^`\n]+` in `[^`\n]+`(?: and by `[^`\n]+` in `[^`\n]+`)*,? and")
_ANNOUNCED = re.compile(rf"{_SPAN},? (?:which )?{_RAISES}")
_FORMS: tuple[tuple[re.Pattern[str], Callable[..., Allowed | None]], ...] = (
    (re.compile(rf"{_SPAN},? (?:which )?{_RAISES} {_LIST}"), _raised_by),
    (re.compile(rf"{_SPAN},? (?:which )?{_RETURNS_ERROR} {_LIST}"), _said_of),
    (re.compile(rf"{_SPAN},? (?:which )?(?:{_RAISES}|{_RETURNS_ERROR}) `[^`\n]*` if `$"), _said_of),
    (re.compile(rf"{_SPAN},? (?:which )?returns `$"), _said_of),
    (re.compile(rf"takes {_SPAN} from `?[^`;]+`?; it {_BUILT_ON} {_LIST}"), _declared_of),
    (re.compile(rf"{_SPAN} {_BUILT_ON} {_LIST}"), _declared_of),
    (re.compile(rf"{_SPAN} is decorated with {_LIST}"), _declared_of),
    (re.compile(rf"{_SPAN} is called by (?:`[^`\n]+` in `[^`\n]+`,? and by )*`$"), _callers),
    (re.compile(rf"{_SPAN} is called by (?:`[^`\n]+` in `[^`\n]+`,? and by )*{_SPAN} in `$"), _files_of_callers),
    (re.compile(rf"{_SPAN}, (?:where|whose) {_SPAN} defaults to `$"), _value_in),
    (re.compile(rf"takes {_SPAN} from `?[^`;]+`?; its {_SPAN} defaults to `$"), _value_in),
    (re.compile(rf"{_SPAN} defaults to `$"), _value),
    (re.compile(rf"{_SPAN} defaults to {_SPAN} in `$"), _owners),
    (re.compile(rf"uses {_SPAN}, which is `$"), _value),
    (re.compile(rf"{_SPAN} is `$"), _value),
    (re.compile(rf"{_SPAN} is {_SPAN}, set in `$"), _files),
)  # fmt: skip
"""Forms of a fact up to the code span that they open, and what may stand in it; the first that fits counts."""
