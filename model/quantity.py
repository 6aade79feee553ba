"""Where a question asks how many, how often or how long, a number answers it (decision 0051).

A small model that has read `limit: 2` beside `maxRetryAfter = undefined` tells either where it is asked how often
something is tried. That a number is asked for stands in the question, and which statements hold one in the code.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice

from codemem.model.events import Source
from codemem.model.evidence import words
from codemem.model.stated import Allowed, suffixes
from codemem.model.telling import TYPE

ASKED = re.compile(
    r"\bhow (?:many|often|long|much|large|big|old|far|fast|deep|small)\b"
    r"|\bwie (?:viele?|oft|lange?|gro(?:ß|ss)|weit|alt|tief)\b|\bcu[aá]nt[oa]s?\b|多少|几次|几个|多久|多长|多大|多深",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"(?<![\w.])\d")
_SET = re.compile(r"(?<![\w$.])([^\W\d][\w$]*)[\"']?\??\s*[:=](?![=:>~])(?=[ \t]*([^\n]{0,80}))")
"""Where a name may be set to something, in any language, and what follows."""
_AMOUNT = re.compile(r"(?:[^=,;(){}\n]{1,60}=(?![=>])\s*)?(?:[-+(]?\d|['\"]\d|[\w.]+\s*[*/]\s*\d)")
"""A number, or something computed of one, behind a type where there is one; no call that mentions one further on."""
_OTHER = re.compile(
    r"(?:[^=,;(){}\n]{1,60}=(?![=>])\s*)?(?:['\"`]|(?:none|null|nil|undefined|true|false)\b|new\b|[\w.]+\()",
    re.IGNORECASE,
)
"""What is no number: a text, nothing, what a call makes. Another name may stand for one."""
_TYPED = re.compile(rf"{TYPE}\s*(?:[,;){{]|$)")
"""Behind a name alone its type: it is set to nothing."""
_BEGINNING = 4
"""Letters in which words that belong together agree: `retries`, `retry`."""
MOST = 4000
"""Places at which names are set in what was read: more than it can hold, unless it was made to cost time."""


def asks_for_number(question: str) -> bool:
    return ASKED.search(question) is not None


def holds_number(text: str) -> bool:
    """Whether a number stands in a text, by itself: not within a name."""
    return _NUMBER.search(text) is not None


def numbered(question: str, statements: Iterable[str]) -> frozenset[str]:
    """Of statements those that hold a number, if any of them shares a word with the question; else nothing."""
    found = frozenset(filter(holds_number, statements))
    asked = {word[:_BEGINNING] for word in words(question) if len(word) >= _BEGINNING}
    about = any(word[:_BEGINNING] in asked for statement in found for word in words(statement))
    return found if about else frozenset()


def tellable(sources: Sequence[Source]) -> Allowed | None:
    """What an answer that begins with a code span may begin with where a number is asked for: a definition, a file, or
    what is set to a number, or to what may stand for one. None where nothing that was read is set to a number."""
    every = (match for source in sources for match in _SET.finditer(source.text))
    known: dict[str, bool] = {}
    found = False
    for match in islice(every, MOST):
        if _TYPED.match(match[2]):
            continue
        number = _AMOUNT.match(match[2]) is not None
        known[match[1]] = known.get(match[1], False) or number or not _OTHER.match(match[2])
        found = found or number
    if not found:
        return None
    defined = suffixes(each.name for source in sources for each in source.definitions)
    told = {name for name in defined if known.get(name.rpartition(".")[2], True)}
    told |= {name for name, may_be in known.items() if may_be}
    return Allowed(frozenset(told | {source.path for source in sources}), sure=True)


def with_numbers(allowed: Allowed) -> Allowed:
    """Of what may stand in a code span what begins with a number, where anything does."""
    numbers = tuple(tail for tail in allowed.tails if _AMOUNT.match(tail))
    return replace(allowed, tails=numbers) if numbers else allowed
