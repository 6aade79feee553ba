"""Whether what a question takes for given is so: that a function has the parameter whose default is asked for, or one
that may be left out; that something fails in it, or calls it; that a class has a parent.

A model answers such a question with what stands near: the default of another function's parameter. What a definition
has stands in its own lines, or in those of what it names; that it is not there can be known without the model
(decision 0049).
"""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from codemem.file_texts import file_texts
from codemem.lacks import fail_nowhere, have_no_decorator, have_no_parent, must_be_given, take_no, takes, takes_unnamed
from codemem.looked import FUNCTIONS, Looked, UnknownError
from codemem.meant import CONTAINERS, MOST_BEARERS, meant, spelled_by, without_paths
from codemem.model.cues import (
    BASES,
    CALLED_BY,
    DECORATORS,
    DEFAULTS,
    ERRORS,
    EXPLAINS,
    FURTHER,
    ONE_THING_CHARACTERS,
    ONE_THING_NAMES,
    WHERE,
)
from codemem.model.spelled import blanked, last_parts, spelled_names, standing_alone
from codemem.outline.query import folded
from codemem.outline.records import SymbolRecord
from codemem.recall import Recall, Remembered

SECONDS = 1.5
"""For looking; what is not read by then may be what is asked for."""
MOST_MEANT = 8
"""Definitions that a question may mean: of more it is not said what none of them has."""

_BEARING = FUNCTIONS | CONTAINERS
"""Kinds of definitions that have parameters and callers."""
_PROSE = (".md", ".markdown", ".rst", ".txt", ".adoc")
"""Files that call nothing."""


@dataclass(frozen=True, slots=True)
class Lacking:
    """What is asked for and is not there."""

    note: str
    """One line for who asked."""
    definitions: Sequence[tuple[int, str, SymbolRecord]]
    """What lacks it: the number of its tree, the path of its file, and the definition."""


def lacking(recall: Recall, question: str, *, seconds: float = SECONDS) -> Lacking | None:
    """What the question takes for given although it is not so; None: nothing, as far as is known in so many seconds."""
    plain = without_paths(question[: ONE_THING_CHARACTERS + 1])
    names, said = last_parts(spelled_names(plain)), blanked(plain)
    asks_one = 0 < len(names) <= ONE_THING_NAMES and len(question) <= ONE_THING_CHARACTERS
    if not asks_one or FURTHER.search(said) or EXPLAINS.search(said):
        return None
    asked = _Asked(recall, question, names, time.monotonic() + seconds)
    if len(asked.names) != 1 or len(asked.definitions) > MOST_MEANT:
        return None
    try:
        note = _parameter(asked, said) if asked.beside else _other(asked, said)
    except UnknownError:
        return None
    return Lacking(note, [(owner, each.path, each.symbol) for owner, each in asked.definitions]) if note else None


class _Asked:
    """The definitions that a question means, in all trees."""

    def __init__(self, recall: Recall, question: str, names: Sequence[str], until: float) -> None:
        self.recall, self.until = recall, until
        found: list[tuple[int, Looked]] = []
        surest: list[tuple[int, Looked]] = []
        for owner, tree in enumerate(recall.trees):
            asked = meant(tree, spelled_by(question))
            for number, (path, symbol) in enumerate(asked.definitions):
                if _own(symbol) in names and symbol.kind in _BEARING:
                    found.append((owner, Looked(tree, path, symbol, until)))
                    surest += found[-1:] if number < asked.surest and _is_of(question, symbol) else []
        scopes = {part for _, each in found for part in _scope(each.symbol)}
        inner = [each for each in found if each[1].symbol.name not in scopes]
        self.definitions = surest or inner or found
        self.names = {_own(each.symbol) for _, each in self.definitions}
        scopes = {part for _, each in self.definitions for part in _scope(each.symbol)}
        known = self.names if surest else {_own(symbol) for tree in recall.trees for symbol in _bearing(tree, names)}
        self.beside = [name for name in names if name not in known and name not in scopes]
        """Names that nothing bears which has parameters; where it is told what one of them belongs to, all others."""

    @property
    def looked(self) -> list[Looked]:
        return [each for _, each in self.definitions]

    @property
    def called(self) -> str:
        """How what is asked about is called in a note: with its scope, where there is one of it."""
        every = {".".join((*_scope(each.symbol), _own(each.symbol))) for each in self.looked}
        return every.pop() if len(every) == 1 else next(iter(self.names))


def _parameter(asked: _Asked, said: str) -> str | None:
    """Where a default is asked for: that nothing that is meant takes the parameter, or that it must be given."""
    if len(asked.beside) != 1 or not DEFAULTS.search(said) or ERRORS.search(said):
        return None
    parameter, every = asked.beside[0], asked.looked
    if taking := [each for each in every if takes(parameter, each)]:
        given = must_be_given(parameter, taking)
        return f"`{parameter}` of `{asked.called}` has no default: it must be given" if given else None
    if not take_no(parameter, every):
        return None
    if any(map(takes_unnamed, every)):
        return f"`{parameter}` stands neither in `{asked.called}` nor in what it hands it on to here"
    return f"`{asked.called}` takes no `{parameter}`"


def _other(asked: _Asked, said: str) -> str | None:
    for cue, lack, note in _KINDS:
        if cue.search(said) and not (cue is BASES and WHERE.search(said)):
            return note.format(n=asked.called) if lack(asked) else None
    return None


def _is_called_nowhere(asked: _Asked) -> bool:
    """Whether a name stands in no code but where it is defined."""
    (name,) = asked.names
    heads = {(owner, each.path, each.line_of(name)) for owner, each in asked.definitions}
    stands, plain = re.compile(standing_alone([name]).encode()), name.encode()
    for owner, tree in enumerate(asked.recall.trees):
        for path, data in file_texts(tree.snapshot, asked.until):
            if data is None:
                return False
            lines = data.split(b"\n") if plain in data and not path.endswith(_PROSE) else ()
            for number, line in enumerate(lines, 1):
                if stands.search(line) and (owner, path, number) not in heads:
                    return False
    return True


_KINDS: Sequence[tuple[re.Pattern[str], Callable[[_Asked], bool], str]] = (
    (DECORATORS, lambda asked: have_no_decorator(asked.looked), "no decorator stands above `{n}`"),
    (CALLED_BY, _is_called_nowhere, "nothing here calls `{n}` by its name: it stands in no code but its own"),
    (BASES, lambda asked: have_no_parent(asked.looked), "`{n}` has no parent that it names"),
    (ERRORS, lambda asked: fail_nowhere(asked.looked), "neither `{n}` nor what it calls here raises an error"),
)
"""What may be asked of a definition, how it is known that there is none, and what is told then; the first counts."""


def _own(symbol: SymbolRecord) -> str:
    return symbol.name.rstrip("?!=")


def _scope(symbol: SymbolRecord) -> list[str]:
    return re.findall(r"\w+", symbol.scope)


def _bearing(tree: Remembered, names: Sequence[str]) -> Iterator[SymbolRecord]:
    """What bears one of some names, as it is written, and may have parameters."""
    for _, symbol in tree.snapshot.outline.named([folded(name) for name in names], most=MOST_BEARERS):
        if _own(symbol) in names and symbol.kind in _BEARING:
            yield symbol


def _is_of(question: str, symbol: SymbolRecord) -> bool:
    """Whether the question spells what a definition belongs to right beside its name: `Session.get`, "the `get` method
    of `Session`", 调用`Session` 的 `get` 方法."""
    if not (scope := _scope(symbol)):
        return False
    owner, name = re.escape(scope[-1]), re.escape(_own(symbol))
    before = rf"\b{owner}(?:\.|::|#|`?(?:'s)?\W{{1,3}}){name}\b"
    behind = rf"\b{name}\b`[^`]{{1,24}}`(?:\w+\W+)*{owner}\b"
    return re.search(f"{before}|{behind}", question) is not None
