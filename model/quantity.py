"""Where a question asks how many, how often or how long, a number answers it (decision 0051).

A small model that has read `limit: 2` beside `maxRetryAfter = undefined` tells either where it is asked how often
something is tried. That a number is asked for stands in the question, and what is set to one in the code.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from codemem.model.cues import PROSE
from codemem.model.events import Source
from codemem.model.evidence import words
from codemem.model.telling import is_type

_ENGLISH = (
    r"\bhow (?:many|often|long|much|large|big|old|far|fast|deep|small)\b|\b(?:maximum|minimum|number of)\b"
    r"|\b(?:which|what) (?:size|number|amount|length|limit|threshold|timeout|interval|age)\b"
)
ASKED = re.compile(
    rf"{_ENGLISH}"
    r"|\bwie (?:viele?|oft|lange?|gro(?:ß|ss)|weit|alt|tief)\b|\bcu[aá]nt[oa]s?\b|多少|几次|几个|多久|多长|多大|多深",
    re.IGNORECASE,
)
MOST = 4000
"""Places at which names are set in what was read: more than it can hold, unless it was made to cost time."""
ABOVE, ABOVE_CHARACTERS = 3, 240
"""Lines, the place's own among them, and characters in which a word says what a number is of."""
_NUMBER = re.compile(r"(?<![\w.])(?!0(?![\w.]))\d")
"""Other than nothing, which things begin at, and are compared with."""
_SET = re.compile(r"(?<![\w$./])([^\W\d][\w$]*)[\"']?\??\s*[:=](?![=:>~])(?=[ \t]*([^\n]{0,80}))")
"""Where a name may be set to something, in any language, and what follows."""
_AMOUNT = re.compile(r"(?:[^=,;(){}\n]{1,60}=(?![=>])\s*)?([-+(]?\d|['\"]\d|[\w.]+\s*[*/]\s*\d)")
"""A number, or something computed of one, behind a type where there is one; no call that mentions one further on."""
_NOTHING = re.compile(r"-?0(?:\.0*)?(?![\w.])")
_SIZE_WORDS = "times often large long much most least default defaults maximum minimum number"
_SIZES = frozenset(_SIZE_WORDS.split())
"""Words of questions for a number that say nothing of what it is of."""


def asks_for_number(question: str) -> bool:
    return ASKED.search(question) is not None


def in_english(question: str) -> bool:
    """Whether a number is asked for in the language of most names, whose words may say what it is of."""
    return re.search(_ENGLISH, question, re.IGNORECASE) is not None


def holds_number(text: str) -> bool:
    """Whether a number stands in a text, by itself: not within a name."""
    return _NUMBER.search(text) is not None


def numbered(question: str, statements: Iterable[str]) -> frozenset[str]:
    """Those of statements that hold a number and share a word with the question."""
    asked = _asked(question)
    return frozenset(each for each in statements if holds_number(each) and _shares(asked, each))


def numbers_set(question: str, sources: Sequence[Source]) -> dict[str, tuple[str, ...]]:
    """Names that are set to a number in what was read, and to which, with what follows it there: of those that share a
    word with the question, or else stand behind such a word; nothing where none does. What tests, examples and
    documentation set counts where no code does."""
    asked = _asked(question)
    code = [source for source in sources if source.quotable and not source.path.endswith(PROSE)]
    for part in (code, [source for source in sources if source not in code]):
        by_name: dict[str, dict[str, None]] = {}
        by_place: dict[str, dict[str, None]] = {}
        for name, value, above in _numbers(part):
            if _shares(asked, name):
                by_name.setdefault(name, {})[value] = None
            elif _shares(asked, above):
                by_place.setdefault(name, {})[value] = None
        if found := by_name or by_place:
            return {name: tuple(values) for name, values in found.items()}
    return {}


def _numbers(sources: Sequence[Source]) -> Iterator[tuple[str, str, str]]:
    """Names that are set to a number, what stands there, and what stands above it. Of what begins at nothing it is not
    said how much it is."""
    every = ((source.text, match) for source in sources for match in _SET.finditer(source.text))
    for text, match in islice(every, MOST):
        name, behind = match.groups()
        number = _AMOUNT.match(behind)
        if number and not is_type(name) and not _NOTHING.match(behind, number.start(1)):
            yield name, behind[number.start(1) :].strip(), _above(text, match.start())


def _above(text: str, at: int) -> str:
    """What stands before a place, from a few lines above on."""
    return "\n".join(text[max(0, at - ABOVE_CHARACTERS) : at].split("\n")[-ABOVE:])


def _asked(question: str) -> set[str]:
    return _stems(words(question) - _SIZES)


def _shares(asked: set[str], text: str) -> bool:
    return not asked.isdisjoint(_stems(words(text)))


def _stems(found: Iterable[str]) -> set[str]:
    """Words without the endings in which English counts things and tells what was done."""
    return {re.sub(r"(?<=\w{3})(?:ing|ed|s)$", "", re.sub(r"ie[sd]$", "y", word)) for word in found if len(word) > 2}
