"""What a question asks of the definitions that were read, where it says so: what a parameter that it names is preset
to, which error comes out of what something calls, which constant something uses.

A small model answers about what it read, not always what was asked: "which value stands in for `version` in what
`connect` calls?" is answered with a callee that has no `version`, or with an error. What is asked for is known by the
names that a question spells and a few words (`model/cues.py`), what a definition has by its lines (decision 0046).
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set

from codemem.model.cues import (
    BASED,
    BASES,
    CALLERS,
    CALLS,
    CONSTANTS,
    DEFAULTS,
    ELSEWHERE,
    EMBEDDED,
    ERROR_RETURNED,
    ERRORS,
    RAISING,
    TESTS,
    WHERE,
    is_constant,
)
from codemem.model.events import Definition, Source
from codemem.model.spelled import last_parts, spelled_names, standing_alone
from codemem.model.stated import Allowed, lines_of, named, one_of, own_part, presets, set_in, starts, suffixes

SPELLED = 8
"""Names of a question that are looked at: a report that was pasted has thousands."""
MOST_DEFINITIONS = 400
"""Of all sources: more than 3,000 tokens hold."""
_MAKERS = frozenset(("__init__", "__new__", "constructor", "initialize", "new"))
"""Names of what makes an object, which is called by the name of its class."""
_FAILS = re.compile(rf"\b(?:raise|throw)\b|{RAISING.pattern}", re.MULTILINE)
"""How code fails, in the midst of a line, too."""
_CONSTANT = re.compile(r"\b[A-Z][A-Z0-9_]{2,}\b")
_CALLED = re.compile(r"(?<!\w)([^\W\d]\w*)[!?]?\(")
SPAN = r"`([^`\n]+)`"
BUILT_ON = r"(?:inherits from|extends|embeds|derives from|requires)"
"""How it is told of a definition what it is built on; and that what it inherits stands there."""
_OF_OTHERS = re.compile(
    rf"{SPAN},? (?:which )?(?:raises|throws|returns|overrides|implements|defaults to|is decorated|is called|is `"
    rf"|uses `)|; it \w+|{BUILT_ON} {SPAN};"
)
"""How a fact is told of a definition that is not what a parameter is preset to."""
_CALLS = re.compile(rf"{SPAN} calls\b")
_LEADS = re.compile(rf"{SPAN} (?:calls|creates)\b")
_IS = re.compile(rf"{SPAN} is\b")
_LINKED = re.compile(rf"^{SPAN} (?:calls|creates|takes|{BUILT_ON}) [^.;]*`\.(?:\s|$)")
"""A first sentence that says where what is asked for is to be found, and nothing else."""

_COMMENTED = re.compile(r"\A(?:\s*(?:#(?!\[)|//|/?\*|--)[^\n]*\n)+")

_Found = tuple[Source, Definition]


class Asked:
    """What one question asks of what was read for it."""

    def __init__(self, question: str, sources: Sequence[Source]) -> None:
        """`sources`: the best first."""
        spelled = [name for name in spelled_names(question) if "/" not in name]
        self._spelled = frozenset(last_parts(spelled)[:SPELLED])
        self._parts = frozenset(part for name in spelled[:SPELLED] for part in re.findall(r"\w+", name))
        self._sources = sources
        every = [(source, each) for source in sources for each in source.definitions]
        self._definitions: Sequence[_Found] = every if len(every) <= MOST_DEFINITIONS else ()
        self._of_value = DEFAULTS.search(question) is not None
        self._presetting = self._parameters_asked({part for _, each in every for part in each.name.split(".")})
        self._parameters = frozenset(self._presetting)
        self._of_error = not self._parameters and ERRORS.search(question) is not None
        self._of_constant = CONSTANTS.search(question) is not None
        self.of_tests = TESTS.search(question) is not None
        """Whether it speaks of tests."""
        self._of_callers = CALLERS.search(question) is not None
        led = "/" in question or CALLS.search(question) is not None
        of_base = BASES.search(question) and not WHERE.search(question)
        self._based = self._spelled_with(_is_based, any) if of_base else frozenset()
        of_own_error = self._of_error and not ELSEWHERE.search(question)
        self._failing = self._spelled_with(_fails, all) if of_own_error else frozenset()
        self._own = self._own_parameters() if self._of_value and not led else frozenset()

    def goes_on(self, whole: str, length: int) -> bool:
        """Whether an answer, of which all behind `length` is new, still comes to what is asked for.

        Where that is what a parameter is preset to, it tells no other fact, nor ends its first sentence, before it has
        named that; where it is who calls something, it does not begin to tell what that calls. Of what says itself
        what it is built on, or which error comes out of it, no other fact is told where that is asked for.
        """
        turning = (
            (_CALLS, self._spelled if self._of_callers else ()),
            (_LEADS, self._failing),
            (_IS, self._based),
        )
        for form, of in turning:
            turned = form.match(whole) if of else None
            if turned and turned.end() > length and own_part(turned[1]) in of:
                return False
        if not self._of_value or not self._parameters or any(f"`{name}`" in whole for name in self._parameters):
            return True
        told = [*_OF_OTHERS.finditer(whole), *_LINKED.finditer(whole)]
        return all(match.end() <= length for match in told)

    def first(self) -> Allowed | None:
        """What an answer that begins with a code span begins with, where the default is asked for of a parameter of
        what the question spells: that parameter."""
        return Allowed(self._own, sure=True) if self._own else None

    def called(self, caller: str) -> Allowed | None:
        """What `caller` may be said to call: what presets a parameter that is asked for, or raises an error where one
        is asked for, of what stands in its lines; and what it calls that was not read, for an answer that speaks of it
        leads there (decision 0040). None: anything."""
        own = named(self._sources, caller)
        if self._parameters:
            found = [pair for name in sorted(self._parameters) for pair in self._presetting[name]]
        elif self._of_error:
            found = [pair for pair in self._definitions if _FAILS.search(lines_of(*pair))]
        else:
            return None
        found = [pair for pair in found if pair not in own]
        standing = [pair for pair in found if _stands(own, _called_as(pair[1]))]
        if not standing and (not self._parameters or own):
            return None
        names = suffixes(name for _, each in standing or found for name in _names(each))
        return Allowed(names | self._called_unread(own))

    def used(self, user: str) -> Allowed | None:
        """Constants that stand in the lines of `user`, where a constant is asked for; others likewise."""
        if not self._of_constant:
            return None
        constants = [pair for pair in self._definitions if is_constant(pair[1].own_name)]
        own = named(self._sources, user)
        standing = [each.name for _, each in constants if _stands(own, each.own_name)]
        written = {name for pair in own for name in _CONSTANT.findall(lines_of(*pair))}
        unread = written - {each.own_name for _, each in self._definitions}
        return Allowed(suffixes(standing) | unread) if standing else None

    def preset(self, name: str) -> Allowed | None:
        """What a name is set to in what the question spells; None where that sets it to nothing."""
        return _preset(self._meant(name), name)

    def preset_in(self, owner: str, name: str) -> Allowed | None:
        """Likewise, of what belongs to `owner`, or is it."""
        own = own_part(owner)
        return _preset([pair for pair in self._meant(name) if own in re.split(r"[.?!=]", pair[1].name)], name)

    def preset_above(self, owner: str, name: str) -> Allowed | None:
        """Likewise, of what belongs to `owner`, or is inherited by that."""
        return self.preset_in(owner, name) or self.preset(name)

    def owners(self, name: str, value: str) -> Allowed | None:
        """Of the definitions that the question spells those that preset a name to a value; None where none does."""
        found = [
            each.name
            for source, each in self._meant(name)
            if (preset := presets(source, each, own_part(name))) and any(starts(tail, value) for tail in preset.tails)
        ]
        return Allowed(suffixes(found), sure=True) if found else None

    def _meant(self, name: str) -> list[_Found]:
        """Definitions that the question spells, but for those of a name; of a scope that it spells, too, where there
        are such."""
        spelled = self._spelled - {own_part(name)} or self._spelled
        found = [pair for pair in self._definitions if pair[1].own_name in spelled]
        scoped = [pair for pair in found if not self._parts.isdisjoint(_scope(pair[1]))]
        return scoped or found

    def _spelled_with(self, has: Callable[[_Found], bool], of: Callable[[Iterable[bool]], bool]) -> frozenset[str]:
        """Names that the question spells of whose definitions that were read any has something, or all have."""
        found: dict[str, list[_Found]] = {}
        for pair in self._definitions:
            if (name := pair[1].own_name) in self._spelled:
                found.setdefault(name, []).append(pair)
        return frozenset(name for name, pairs in found.items() if of(map(has, pairs)))

    def _parameters_asked(self, borne: Set[str]) -> Mapping[str, list[_Found]]:
        """Parameters that the question spells -> what presets them. A name that definitions bear, too, is one where no
        other is: of something that the question spells, or, where it asks for a default, of anything."""
        every = {name: found for name in sorted(self._spelled) if (found := self._with_preset(name))}
        own = {name: found for name, found in every.items() if name not in borne}
        spelled = {
            name: found
            for name, found in every.items()
            if any(each.own_name in self._spelled - {name} for _, each in found)
        }
        members = {each.own_name for _, each in self._definitions if not self._parts.isdisjoint(_scope(each))}
        elsewhere = {name: found for name, found in every.items() if name not in members}
        told = self._of_value and not borne.isdisjoint(self._spelled - elsewhere.keys())
        return own or spelled or (elsewhere if told else {})

    def _own_parameters(self) -> frozenset[str]:
        """Parameters that are asked for of definitions that the question spells with their scope, or alone."""
        alone = len(self._spelled - self._parameters) == 1
        meant = [pair for pair in self._definitions if pair[1].own_name in self._spelled]
        scoped = [pair for pair in meant if not self._parts.isdisjoint(_scope(pair[1]))]
        own = scoped or (meant if alone else [])
        return frozenset(name for name, found in self._presetting.items() if any(pair in own for pair in found))

    def _with_preset(self, name: str) -> list[_Found]:
        mentioned = re.compile(standing_alone([name]))
        holding = {id(source) for source, _ in self._definitions if mentioned.search(source.text)}
        return [pair for pair in self._definitions if id(pair[0]) in holding and presets(*pair, name)]

    def _called_unread(self, own: Sequence[_Found]) -> frozenset[str]:
        """Names that are called in the lines of definitions, alone and as their own members, and that nothing bears
        that was read."""
        called = {name for pair in own for name in _CALLED.findall(lines_of(*pair))}
        unread = called - {_called_as(each) for _, each in self._definitions}
        scopes = {_scope(each)[-1] for _, each in own if _scope(each)}
        return frozenset(unread | {f"{scope}.{name}" for scope in scopes for name in unread})


def _preset(found: Sequence[_Found], name: str) -> Allowed | None:
    """What definitions preset a name to in their heads, or set it to in their lines; None where none does."""
    own = own_part(name)
    heads = [preset for pair in found if (preset := presets(*pair, own))]
    within = (tail for pair in found for _, tail in set_in(lines_of(*pair), own))
    allowed = one_of(tail for preset in heads for tail in preset.tails) if heads else one_of(within)
    return allowed if allowed and allowed.tails else None


def _is_based(found: _Found) -> bool:
    """Whether a definition that begins in what was read says what it is built on."""
    if found[1].start_line < 0:
        return False
    head, *others = _COMMENTED.sub("", lines_of(*found)).lstrip().split("\n")
    embeds = "struct {" in head and any(EMBEDDED.match(line) for line in others)
    return embeds or BASED.search("\n".join((head, *others[:2]))) is not None


def _fails(found: _Found) -> bool:
    """Whether an error comes out of a definition by its own lines."""
    text = lines_of(*found)
    return _FAILS.search(text) is not None or ERROR_RETURNED.search(text) is not None


def _scope(definition: Definition) -> list[str]:
    return definition.name.split(".")[:-1]


def _called_as(definition: Definition) -> str:
    """The name by which a definition is called; of what makes an object the class's."""
    own = definition.own_name
    return definition.name.split(".")[-2] if own in _MAKERS and "." in definition.name else own


def _names(definition: Definition) -> Iterator[str]:
    """How a definition may be named where it is said to be called."""
    yield definition.name
    if definition.own_name in _MAKERS:
        yield definition.name.rpartition(".")[0]


def _stands(own: Sequence[_Found], name: str) -> bool:
    """Whether a name stands by itself in the lines of some definitions."""
    return any(re.search(standing_alone([name]), lines_of(*pair)) for pair in own)
