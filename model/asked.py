"""What a question asks of the definitions that were read, where it says so: what a parameter that it names is preset
to, which error comes out of what something calls, which constant something uses.

A small model answers about what it read, not always what was asked: "which value stands in for `version` in what
`connect` calls?" is answered with a callee that has no `version`, or with an error. What is asked for is known by the
names that a question spells and a few words (`model/cues.py`), what a definition has by its lines (decision 0046).
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set

from codemem.model.cues import (
    BASES,
    CALLED_BY,
    CALLERS,
    CALLS,
    CONSTANTS,
    DECORATORS,
    DEFAULTS,
    ELSEWHERE,
    ERRORS,
    EXPLAINS,
    FURTHER,
    ONE_THING_CHARACTERS,
    ONE_THING_NAMES,
    TESTS,
    WHERE,
    is_constant,
)
from codemem.model.events import Definition, Source
from codemem.model.framing import (
    BASE,
    CALLED,
    CALLED_DEFAULT,
    CALLED_ERROR,
    DECORATOR,
    DEFAULT,
    HANDED_ON,
    RAISED,
    RETURNED,
    RETURNING,
    Frame,
)
from codemem.model.spelled import blanked, last_parts, spelled_names, standing_alone
from codemem.model.stated import Allowed, lines_of, named, one_of, own_part, presets, set_in, starts, suffixes
from codemem.model.traits import Found, fails, is_based, is_decorated, raises

SPELLED = 8
"""Names of a question that are looked at: a report that was pasted has thousands."""
MOST_DEFINITIONS = 400
"""Of all sources: more than 3,000 tokens hold."""
_MAKERS = frozenset(("__init__", "__new__", "constructor", "initialize", "new"))
"""Names of what makes an object, which is called by the name of its class."""
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

_FIRST = re.compile(SPAN)
_PATH = re.compile(r"`([\w./@+-]+\.\w{1,5})`")


class Asked:
    """What one question asks of what was read for it."""

    def __init__(self, question: str, sources: Sequence[Source]) -> None:
        """`sources`: the best first."""
        spelled = [name for name in spelled_names(question) if "/" not in name]
        self._spelled = frozenset(last_parts(spelled)[:SPELLED])
        self._parts = frozenset(part for name in spelled[:SPELLED] for part in re.findall(r"\w+", name))
        self._sources = sources
        every = [(source, each) for source in sources for each in source.definitions]
        self._definitions: Sequence[Found] = every if len(every) <= MOST_DEFINITIONS else ()
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
        self._based = self._spelled_with(is_based, any) if of_base else frozenset()
        of_own_error = self._of_error and not ELSEWHERE.search(question)
        self._failing = self._spelled_with(fails, all) if of_own_error else frozenset()
        self._own = self._own_parameters() if self._of_value and not led else frozenset()
        self._frames = dict(self._framed(question))

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

    def frame(self, whole: str) -> Frame | None:
        """How an answer goes on that begins with a code span; None: as it likes."""
        name = _FIRST.match(whole)
        return None if name is None else self._frames.get(own_part(name[1])) or self._frames.get(name[1])

    def _framed(self, question: str) -> Iterator[tuple[str, Frame]]:
        """Names and paths that an answer may begin with, and how it goes on then."""
        said = blanked(question)
        if EXPLAINS.search(said) or len(self._spelled) > ONE_THING_NAMES or len(question) > ONE_THING_CHARACTERS:
            return
        handing = self._handing_on(question)
        led = FURTHER.search(said) or handing
        if BASES.search(said) or self._of_value:
            yield from ((path, HANDED_ON) for path in handing)
        if CALLS.search(said) and led:
            how = CALLED_DEFAULT if self._parameters else CALLED_ERROR if self._of_error else None
            yield from ((name, how) for name in self._spelled - self._parameters if how)
        if led:
            return
        yield from ((name, DEFAULT) for name in self._own)
        returning = self._spelled_with(lambda found: found[0].path.endswith(RETURNING), all)
        yield from ((name, RETURNED if name in returning else RAISED) for name in self._failing)
        yield from ((name, BASE) for name in self._based)
        if DECORATORS.search(said):
            yield from ((name, DECORATOR) for name in self._spelled_with(is_decorated, all))
        elif CALLED_BY.search(said) and not self._parameters:
            yield from ((name, CALLED) for name in self._spelled_with(lambda _: True, all))

    def _handing_on(self, question: str) -> list[str]:
        """Paths that the question spells of files that were read and that a name of the question stands in."""
        found = []
        for path in _PATH.findall(question)[:ONE_THING_NAMES]:
            texts = [each.text for each in self._sources if each.path == path or each.path.endswith(f"/{path}")]
            named = re.compile(standing_alone(sorted(self._spelled))) if self._spelled else None
            if named and any(map(named.search, texts)):
                found.append(path)
        return found

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
            found = [pair for pair in self._definitions if raises(pair)]
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

    def _meant(self, name: str) -> list[Found]:
        """Definitions that the question spells, but for those of a name; of a scope that it spells, too, where there
        are such."""
        spelled = self._spelled - {own_part(name)} or self._spelled
        found = [pair for pair in self._definitions if pair[1].own_name in spelled]
        scoped = [pair for pair in found if not self._parts.isdisjoint(_scope(pair[1]))]
        return scoped or found

    def _spelled_with(self, has: Callable[[Found], bool], of: Callable[[Iterable[bool]], bool]) -> frozenset[str]:
        """Names that the question spells of whose definitions that were read any has something, or all have: each in
        any part of it, for a long one stands in several sources."""
        found: dict[str, dict[tuple[str, str], bool]] = {}
        for source, each in self._definitions:
            if each.own_name in self._spelled:
                whole = found.setdefault(each.own_name, {})
                whole[source.path, each.name] = has((source, each)) or whole.get((source.path, each.name), False)
        return frozenset(name for name, definitions in found.items() if of(definitions.values()))

    def _parameters_asked(self, borne: Set[str]) -> Mapping[str, list[Found]]:
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

    def _with_preset(self, name: str) -> list[Found]:
        mentioned = re.compile(standing_alone([name]))
        holding = {id(source) for source, _ in self._definitions if mentioned.search(source.text)}
        return [pair for pair in self._definitions if id(pair[0]) in holding and presets(*pair, name)]

    def _called_unread(self, own: Sequence[Found]) -> frozenset[str]:
        """Names that are called in the lines of definitions, alone and as their own members, and that nothing bears
        that was read."""
        called = {name for pair in own for name in _CALLED.findall(lines_of(*pair))}
        unread = called - {_called_as(each) for _, each in self._definitions}
        scopes = {_scope(each)[-1] for _, each in own if _scope(each)}
        return frozenset(unread | {f"{scope}.{name}" for scope in scopes for name in unread})


def _preset(found: Sequence[Found], name: str) -> Allowed | None:
    """What definitions preset a name to in their heads, or set it to in their lines; None where none does."""
    own = own_part(name)
    heads = [preset for pair in found if (preset := presets(*pair, own))]
    within = (tail for pair in found for _, tail in set_in(lines_of(*pair), own))
    allowed = one_of(tail for preset in heads for tail in preset.tails) if heads else one_of(within)
    return allowed if allowed and allowed.tails else None


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


def _stands(own: Sequence[Found], name: str) -> bool:
    """Whether a name stands by itself in the lines of some definitions."""
    return any(re.search(standing_alone([name]), lines_of(*pair)) for pair in own)
