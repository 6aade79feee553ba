"""Names that a question writes as code, and how they are looked for in a text."""

import re
from collections.abc import Iterable, Sequence

NAMES = 4
SHORTEST = 3

_QUOTED = re.compile(r"`([^`\n]+)`")
_WORD = re.compile(r"[^\W\d]\w*")
_RUN = re.compile(r"\w+")
_CODE = re.compile(r"\b(?:[A-Za-z]\w*_\w+|_\w+|[a-z]\w*[a-z0-9][A-Z]\w*)\b|\b[A-Za-z_]\w*(?=\()")


def spelled_names(question: str) -> list[str]:
    """Names written as code: in backticks, or with an underscore, an inner capital or parentheses.

    Words that merely begin with a capital (JavaScript, GitHub) are no such names: they are spoken of in passing.
    """
    quoted = [name.strip() for name in _QUOTED.findall(question)]
    plain = _CODE.findall(unquoted(question))
    return list(dict.fromkeys(name for name in (*quoted, *plain) if _WORD.search(name)))


def unquoted(question: str) -> str:
    """A question without what stands in backticks."""
    return _QUOTED.sub(" ", question)


def blanked(question: str) -> str:
    """A question with nothing in its backticks: what it says of names, and none of them."""
    return _QUOTED.sub("``", question)


def names_to_find(question: str) -> list[str]:
    """The last parts of what the question writes as code: `retry` of `Session.retry()`."""
    return [name for name in last_parts(spelled_names(question)) if len(name) >= SHORTEST][:NAMES]


def last_parts(names: Iterable[str]) -> list[str]:
    """What names end with, however short: `retry` of `Session.retry()`."""
    found = (_WORD.search(_RUN.findall(name)[-1]) for name in names)
    return list(dict.fromkeys(match[0] for match in found if match))


def standing_alone(names: Sequence[str]) -> str:
    """The pattern of any of the names, by itself: not within another name."""
    return r"(?<![\w$])(?:" + "|".join(map(re.escape, names)) + r")(?![\w$])"
