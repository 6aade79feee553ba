"""What an answer says of a definition stands in that definition, where the answer has the form of a fact.

A small model that has read two definitions beside each other says of one what is true of the other, the more readily
the more of them a repository has. Which lines a definition has is known; so a value behind "`retry` raises" is one that
stands in the lines of `retry`, and behind "`width` defaults to `36` in" goes on the name of a definition that sets
`width` to `36` (decision 0043). Forms are those that training teaches (training/data/fact_answers.py, answer_hops.py).
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from codemem.model.asked import BUILT_ON, SPAN, Asked
from codemem.model.cues import OF_TESTS, PROSE
from codemem.model.events import Definition, Source
from codemem.model.framing import follows, to_come
from codemem.model.kin import of_kin
from codemem.model.quantity import asks_for_number, in_english, numbers_set
from codemem.model.references import users
from codemem.model.spelled import spelled_names, standing_alone
from codemem.model.stated import (
    Allowed,
    assignments,
    ends,
    is_whole,
    lines_of,
    named,
    one_of,
    own_part,
    presets,
    quoted_alike,
    set_in,
    starts,
    suffixes,
    tails_of,
)

_LIST = r"(?:`[^`\n]*`(?:, | and ))*`$"
"""Up to the opening of a code span, behind others of a list."""
_RAISED = re.compile(r"\b(?:raise|throw)\s+(?:new\s+)?([A-Za-z_][\w.:]*)")
_FAILING = re.compile(r"rais|throw|fail|reject|error|except|panic|abort|exit|die", re.IGNORECASE)
"""A part of some word, in any language, in what raises an error of its own."""
_DECLARED = "(?:derives|implements)"
_DECLARING = "abstract|class|enum|extends|final|implements|interface|public|record|struct|trait|type"
_RAISES, _RETURNS_ERROR = r"(?:raises|throws)", r"returns the errors?"
_COMMENTS = re.compile(r"^[ \t]*(?:#(?!\[)|//|/\*|\*(?=[\s/]|$)|--).*$", re.MULTILINE)
_ABOVE = 8
"""Lines above a definition in which decorators and derived traits are looked for."""


class Claims:
    """What the answer to one question may say of the definitions that were read."""

    def __init__(self, sources: Sequence[Source], question: str = "") -> None:
        """`sources`: as they were read, the best last; those whose definitions are not known bind nothing."""
        self._sources = sources[::-1]
        self._asked = Asked(question, self._sources)
        plain = asks_for_number(question) and not spelled_names(question)
        self._numbers = numbers_set(question, self._sources) if plain else {}
        """Where a number is asked for, and of nothing by its name: what is set to one."""
        self._quotes_alone = plain and not self._numbers and in_english(question)
        self._known: dict[str, Allowed | None] = {}

    def allows(self, text: str, piece: str) -> bool:
        """Whether the answer so far may go on with a piece: within a code span that says something of a definition
        alone by what that holds. No piece: whether it may end here."""
        whole = text + piece
        if self._quotes_alone and whole.startswith("`"):
            return False
        frame = self._asked.frame(whole)
        if frame is not None and not (follows(whole, frame) if piece else not to_come(whole, frame)):
            return False
        held = (self._more_callers, self._fails, self._asked.goes_on)
        if not all(holds(whole, len(text)) for holds in held):
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

    def to_come(self, text: str) -> tuple[str, ...]:
        """What the answer so far may go on with where that is known (`model/framing.py`), whatever is likely."""
        if self._numbers and text.startswith("`") and "`" not in text[1:] and not self._asked.first():
            return tuple(f"{name}`"[len(text) - 1 :] for name in self._numbers if name.startswith(text[1:]))
        frame = self._asked.frame(text)
        return () if frame is None else to_come(text, frame)

    def by_name(self, text: str) -> bool:
        """Whether the text so far ends within a code span of which is known what may stand in it: who holds what is
        said, what something is built on. However unlikely one of these is, another is wrong."""
        allowed = self._allowed(text[: text.rindex("`") + 1]) if text.count("`") % 2 else None
        return allowed is not None and allowed.sure

    def _allowed(self, before: str) -> Allowed | None:
        """What may stand in the code span that a text opens at its end; None: anything, as far as is known here."""
        if before not in self._known:
            found = self._asked_for(before)
            for form, may_be in _FORMS if found is None else ():
                if match := form.search(before):
                    found = may_be(self._sources, *match.groups())
                    break
            self._known[before] = found if found is not None and (found.names or found.tails) else None
        return self._known[before]

    def _asked_for(self, before: str) -> Allowed | None:
        """What may stand in the code span by what the question asks for."""
        for form, may_be in _ASKED_FORMS:
            if match := form.search(before):
                return may_be(self._asked, *match.groups())
        if before == "`":
            return self._asked.first() or Allowed(frozenset(self._numbers), sure=True)
        if self._numbers and (match := _VALUE.search(before)):
            return Allowed(tails=tuple(map(quoted_alike, self._numbers.get(match[1], ()))), sure=True)
        for form, called in ((_CALLER, self._callers), (_FILE_OF_CALLER, self._files_of_callers)):
            if match := form.search(before):
                return called(*match.groups())
        return None

    def _fails(self, whole: str, length: int) -> bool:
        """Whether a definition of which it is said that it raises something speaks of failing at all."""
        for said in _ANNOUNCED.finditer(whole):
            found = named(self._sources, said[1]) if said.end() > length else []
            if found and all(is_whole(*each) and not _FAILING.search(lines_of(*each)) for each in found):
                return False
        return True

    def _callers(self, name: str) -> Allowed | None:
        """Who may be said to call a definition, or to name it."""
        pattern = re.compile(standing_alone([own_part(name)]))
        known = {source.path for source in self._sources if source.definitions}
        unknown = [each for each in self._sources if each.path not in known and not each.path.endswith(PROSE)]
        if any(pattern.search(source.text) for source in unknown):
            return None
        found = _users(self._sources, name, tests=self._asked.of_tests)
        return Allowed(suffixes(each.name for each, _, _ in found), sure=True)

    def _files_of_callers(self, name: str, caller: str) -> Allowed | None:
        found = _users(self._sources, name, tests=True)
        return Allowed(frozenset(path for each, _, path in found if caller in suffixes([each.name])), sure=True)

    def _more_callers(self, whole: str, length: int) -> bool:
        """Whether a further caller that is announced behind those told is there."""
        told = _AND_BY.search(whole)
        if told is None or told.end() <= length:
            return True
        every = self._callers(told[1])
        return every is None or not every.names <= suffixes(re.findall(r"by `([^`\n]+)` in ", told[0]))


def _said_of(sources: Sequence[Source], name: str) -> Allowed | None:
    """Anything that stands in the lines of a definition, all of which were read."""
    found = named(sources, name)
    if not all(is_whole(source, each) for source, each in found):
        return None
    return one_of(tail for source, each in found for tail in tails_of(lines_of(source, each)))


def _built_on(sources: Sequence[Source], name: str) -> Allowed | None:
    """Bases: what a definition of which the beginning was read says of itself in code, not above it nor in comments;
    never its own name, nor the word that declares it."""
    found = [_COMMENTS.sub("", lines_of(source, each)) for source, each in _declaring(sources, name)]
    itself = re.compile(rf"(?:{re.escape(own_part(name))}|{_DECLARING})(?!\w)")
    allowed = one_of(tail for text in found for tail in tails_of(text) if not itself.match(tail))
    return replace(allowed, sure=True) if allowed else None


def _declared_of(sources: Sequence[Source], name: str) -> Allowed | None:
    """Decorators and traits: of a definition of which the beginning was read, with what stands above it."""
    found = [lines_of(source, each, _ABOVE) for source, each in _declaring(sources, name)]
    return one_of(tail for text in found for tail in tails_of(text))


def _declaring(sources: Sequence[Source], name: str) -> list[tuple[Source, Definition]]:
    """Definitions of a name that begin in what was read. What makes an object bears the name of its class in some
    languages, and declares nothing of the kind."""
    found = [(source, each) for source, each in named(sources, name) if each.start_line >= 0]
    return [(source, each) for source, each in found if not each.name.endswith(f"{each.own_name}.{each.own_name}")]


def _raised_by(sources: Sequence[Source], name: str) -> Allowed | None:
    """Errors that a definition raises by a statement; where it raises a variable, what stands in it."""
    heads = [match[1] for source, each in named(sources, name) for match in _RAISED.finditer(lines_of(source, each))]
    if not heads or any(not re.search(r"[A-Z]", head) for head in heads):
        return _said_of(sources, name)
    return one_of(tail for head in heads for tail in tails_of(head))


def _value(sources: Sequence[Source], name: str) -> Allowed | None:
    return one_of(tail for source in sources for _, tail in set_in(source.text, own_part(name)))


def _constant(sources: Sequence[Source], name: str) -> Allowed | None:
    """What is assigned to a name in the files that define it; else what it is set to anywhere in these, or in any."""
    defining = [source for source in sources if named([source], name)]
    own = own_part(name)
    assigned = tuple(value for source in defining for value in assignments(source.text, own))
    found = Allowed(tails=assigned) if assigned else _value(defining, name)
    return found if found and found.tails else _value(sources, name)


def _value_in(sources: Sequence[Source], definition: str, name: str) -> Allowed | None:
    """Of a parameter of a definition, or of what makes an object of it."""
    found = named(sources, definition)
    if heads := [preset for source, each in found if (preset := presets(source, each, own_part(name)))]:
        return one_of(tail for preset in heads for tail in preset.tails)
    within = one_of(tail for source, each in found for _, tail in set_in(lines_of(source, each), own_part(name)))
    return within if within is None or within.tails else _value(sources, name)


def _places(sources: Iterable[Source], name: str, value: str) -> Iterator[tuple[Source, int]]:
    """Lines in which a name is set to a value."""
    for source in sources:
        for at, tail in set_in(source.text, own_part(name)):
            if starts(tail, value) and ends(tail, value):
                yield source, source.text.count("\n", 0, at)


def _owners(sources: Sequence[Source], name: str, value: str) -> Allowed | None:
    """Definitions that set a name to a value."""
    found: set[str] = set()
    for source, line in _places(sources, name, value):
        around = {each.name for each in source.definitions if each.start_line <= line < each.end_line}
        if not around:
            return None
        found |= around
    return Allowed(suffixes(found), sure=True)


def _files(sources: Sequence[Source], name: str, value: str) -> Allowed | None:
    return Allowed(frozenset(source.path for source, _ in _places(sources, name, value)), sure=True)


def _users(sources: Sequence[Source], name: str, *, tests: bool) -> list[tuple[Definition, int, str]]:
    """Who calls a definition, or else who names it; of `tests` only those of no others, unless they are asked about."""
    numbered = list(enumerate(sources))
    every = list(users(own_part(name), numbered, calls=True)) or list(users(own_part(name), numbered, calls=False))
    every = list(of_kin(every, lambda user: user[2], {source.path for source, _ in named(sources, name)}))
    doing = [user for user in every if not OF_TESTS.search(user[0].name) and not _TEST_FILE.search(user[2])]
    return every if tests or not doing else doing


_TEST_FILE = re.compile(r"(?:^|/)(?:tests?|__tests__)/|(?:^|/)test_[^/]*$|[._]test\.\w+$")
_CALLED_BY = rf"{SPAN} is called by (?:`[^`\n]+` in `[^`\n]+`,? and by )*"
_CALLER, _FILE_OF_CALLER = re.compile(rf"{_CALLED_BY}`$"), re.compile(rf"{_CALLED_BY}{SPAN} in `$")
_AND_BY = re.compile(rf"{SPAN} is called by `[^`\n]+` in `[^`\n]+`(?: and by `[^`\n]+` in `[^`\n]+`)*,? and")
_ANNOUNCED = re.compile(rf"{SPAN},? (?:which )?{_RAISES}")
_VALUE = re.compile(rf"^{SPAN} (?:defaults to|is) `$")
_ASKED_FORMS: tuple[tuple[re.Pattern[str], Callable[..., Allowed | None]], ...] = (
    (re.compile(rf"{SPAN} (?:calls|creates) `$"), Asked.called),
    (re.compile(rf"{SPAN} uses `$"), Asked.used),
    (re.compile(rf"{BUILT_ON} {SPAN}, whose {SPAN} defaults to `$"), Asked.preset_above),
    (re.compile(rf"{SPAN}, (?:where|whose) {SPAN} defaults to `$"), Asked.preset_in),
    (re.compile(rf"takes {SPAN} from `?[^`;]+`?; its {SPAN} defaults to `$"), Asked.preset_in),
    (re.compile(rf"{SPAN} defaults to `$"), Asked.preset),
    (re.compile(rf"{SPAN} defaults to {SPAN} in `$"), Asked.owners),
)  # fmt: skip
"""Likewise, by what the question asks for; where that says nothing, the forms of above count."""
_FORMS: tuple[tuple[re.Pattern[str], Callable[..., Allowed | None]], ...] = (
    (re.compile(rf"{SPAN},? (?:which )?{_RAISES} {_LIST}"), _raised_by),
    (re.compile(rf"{SPAN},? (?:which )?{_RETURNS_ERROR} {_LIST}"), _said_of),
    (re.compile(rf"{SPAN},? (?:which )?(?:{_RAISES}|{_RETURNS_ERROR}) `[^`\n]*` if `$"), _said_of),
    (re.compile(rf"{SPAN},? (?:which )?returns `$"), _said_of),
    (re.compile(rf"takes {SPAN} from `?[^`;]+`?; it {BUILT_ON} {_LIST}"), _built_on),
    (re.compile(rf"takes {SPAN} from `?[^`;]+`?; it {_DECLARED} {_LIST}"), _declared_of),
    (re.compile(rf"{SPAN} {BUILT_ON} {_LIST}"), _built_on),
    (re.compile(rf"{SPAN} {_DECLARED} {_LIST}"), _declared_of),
    (re.compile(rf"{SPAN} is decorated with {_LIST}"), _declared_of),
    (re.compile(rf"{SPAN}, (?:where|whose) {SPAN} defaults to `$"), _value_in),
    (re.compile(rf"takes {SPAN} from `?[^`;]+`?; its {SPAN} defaults to `$"), _value_in),
    (re.compile(rf"{SPAN} defaults to `$"), _value),
    (re.compile(rf"{SPAN} defaults to {SPAN} in `$"), _owners),
    (re.compile(rf"uses {SPAN}, which is `$"), _constant),
    (re.compile(rf"{SPAN} is `$"), _constant),
    (re.compile(rf"{SPAN} is {SPAN}, set in `$"), _files),
)  # fmt: skip
"""Forms of a fact up to the code span that they open, and what may stand in it; the first that fits counts."""
