"""Which of the statements that were read an explanation may rest on, as far as the question tells (decision 0051).

A small model chooses among two hundred statements by what they look like. Of a definition that the question names the
explanation stands in that definition; a number is asked for where a statement holds one; tests show what is meant
rather than do it; and some statements say nothing.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Set

from codemem.model.cues import CALLED_BY, CALLERS, EXPLAINS, OF_TESTS, TESTS, WHERE
from codemem.model.evidence import PART
from codemem.model.quantity import asks_for_number, numbered
from codemem.model.spelled import names_to_find, spelled_names
from codemem.model.telling import only_declares, says_something

Statements = Mapping[str, Set[str]]
"""Statement -> the innermost definitions that it stands in."""
SPELLED = 8
"""Names written as code that are looked at: a report that was pasted has thousands."""
FEW = 3
"""Statements that a definition has at least, so that an explanation of it may be looked for in it alone; one that is
named with what it belongs to is meant with any."""
MOST_NAMES = 4000
"""Definitions whose names are looked for in the question: more than what is read has."""
_OF_OTHERS = re.compile(
    r"\b(?:who|which \w+|what) (?:uses|calls)\b|\b(?:users?|callers?|uses|calls) (?:of|to)\b"
    r"|\b(?:used|called|needed) (?:by|in|from|anywhere|elsewhere)\b|\bhow (?:is|are) [^?]{1,80}\bused\b"
    r"|\b(?:verwendet|benutzt|aufgerufen|se usa|se llama|usado|usada)\b|使用|调用",
    re.IGNORECASE,
)
"""What is asked for may stand in what uses the thing that is named."""
_BEFORE = ("in", "of", "does", "by", "function", "method")
_NO_WORD = re.compile(r"[^a-z0-9]+")


def can_be_meant(question: str, found: Statements) -> Statements:
    """Those of the statements that are meant if any are, by each rule in its turn."""
    kept = _those(found, says_something)
    if EXPLAINS.search(question):
        kept = _those(kept, lambda statement: not only_declares(statement))
    if not TESTS.search(question):
        asked = set(names_to_find(question))
        kept = _those(kept, lambda statement: not _of_tests(found[statement], asked))
    kept = _of_what_is_named(question, kept)
    if asks_for_number(question):
        kept = _those(kept, numbered(question, kept).__contains__)
    return kept


def _those(found: Statements, fits: Callable[[str], bool]) -> Statements:
    """What fits, if anything does."""
    return {statement: names for statement, names in found.items() if fits(statement)} or found


def _of_tests(names: Set[str], asked: Set[str]) -> bool:
    """Whether a statement stands in tests alone, of the definitions that it stands in none being asked about."""
    own = {name.rpartition(".")[2] for name in names}
    return bool(names) and all(map(OF_TESTS.search, names)) and own.isdisjoint(asked)


def _of_what_is_named(question: str, found: Statements) -> Statements:
    """What stands in the definitions that the question names; everything where that has no statements to speak of, or
    what uses them is asked about."""
    if any(cue.search(question) for cue in (_OF_OTHERS, CALLERS, CALLED_BY, WHERE)):
        return found
    for few, named in zip((1, FEW, FEW), _named(question, found), strict=False):
        of = {place for names in found.values() for place in names if any(map(_around(place), named))}
        within = {statement: names & of for statement, names in found.items() if names & of}
        if len(within) >= few:
            return _those(within, lambda statement: not only_declares(statement))
    return found


def _around(place: str) -> Callable[[str], bool]:
    """Whether a definition is one of a name, or lies in one, with the signs set aside in which Ruby lets one end."""
    whole = f".{re.sub(r'[?!=](?=[.]|$)', '', place)}."
    return lambda name: f".{name}." in whole


def _named(question: str, found: Statements) -> Iterator[Set[str]]:
    """Names of definitions that a question names, the surest first: written as code with what they belong to, by
    themselves, in words."""
    spelled = (re.sub(r"\(.*|[?!=]$", "", name) for name in spelled_names(question)[:SPELLED])
    spelled = (name.replace("::", ".").replace("#", ".") for name in spelled)
    yield {name for name in spelled if "." in name}
    yield set(names_to_find(question))
    said = f" {_NO_WORD.sub(' ', question.lower())} "
    own = {part for names in found.values() for place in names for part in place.split(".")}
    yield {name for name in own if len(own) <= MOST_NAMES and _is_said(name, said)}


def _is_said(name: str, said: str) -> bool:
    """Whether a question says the words of a name: two only where it speaks of a function so, for many words follow
    each other by chance."""
    parts = [part.lower() for part in PART.findall(name)]
    words = f" {' '.join(parts)} "
    return len(parts) > 1 and words in said and (len(parts) > 2 or any(f" {word}{words}" in said for word in _BEFORE))
