"""Lines as whole statements: what a line opens is read to its end, and a condition with what it leads to.

A line that ends in the middle of a statement says little by itself (`this.timeout =`), and so does a condition without
what follows (`if self.timeout > 0:`). Rules of text alone, the same for every language: brackets, operators at the ends
of lines, and indentation.
"""

import re
from collections.abc import Sequence

LONGEST = 160
"""Characters of a statement that is put together, without indentation; a longer one stays the line that it begins
with."""
COMMENT = ("#", "//", "/*", "*", "--", ";", '"""', "'''")
"""How lines begin that are no code."""
_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'')
_GOES_ON = re.compile(r"(?:(?<![=!<>:/])=|=>|&&|\|\||(?<=\s)\?|\?\?|(?<!\+)\+|\\|(?<![\w.])(?:and|or|not|return))$")
_GOES_ON_WITH = re.compile(r"(?:\.\w|\?\.|&&|\|\||\?\?|[?:] |\+ |and\b|or\b)")
_CONDITION = re.compile(r"(?:\} *)?(?:if|elif|elsif|else if|unless|when|case|except|catch|rescue)\b.*(?::|\{|\bthen)$")
_OPENED = re.compile(r"[(\[{]$")
_MOST_LINES = 8


def statements(text: str) -> list[str]:
    """Of each line, without its indentation, the statement that it begins, in one line; '' of an empty one."""
    lines = text.split("\n")
    bare = [line.strip() for line in lines]
    return [_statement(lines, bare, at) for at in range(len(lines))]


def _statement(lines: Sequence[str], bare: Sequence[str], at: int) -> str:
    if not bare[at] or bare[at].startswith(COMMENT):
        return bare[at]
    whole, end = _whole(bare, at)
    if _CONDITION.match(whole):
        body = next((n for n in range(end, min(end + 2, len(bare))) if bare[n]), None)
        if body is not None and _indent(lines[body]) > _indent(lines[at]) and not bare[body].startswith(COMMENT):
            then, _ = _whole(bare, body)
            with_body = f"{whole} {then}"
            if len(with_body) <= LONGEST:
                return with_body
    return whole


def _whole(bare: Sequence[str], at: int) -> tuple[str, int]:
    """The statement that begins in a line, and the line behind it; the line alone where it is too long."""
    found, end = bare[at], at + 1
    while _goes_on(found, bare[end] if end < len(bare) else ""):
        if end >= len(bare) or end - at >= _MOST_LINES or len(found) > LONGEST:
            return bare[at], at + 1
        found, end = _joined(found, bare[end]), end + 1
    return (found, end) if len(found) <= LONGEST else (bare[at], at + 1)


def _goes_on(found: str, following: str) -> bool:
    plain = _STRING.sub('""', found)
    opened = sum(map(plain.count, "([")) - sum(map(plain.count, ")]"))
    return opened > 0 or bool(_GOES_ON.search(plain)) or bool(_GOES_ON_WITH.match(following))


def _joined(before: str, after: str) -> str:
    if not after:
        return before
    before = before.removesuffix("\\").rstrip()
    apart = "" if _OPENED.search(before) or after[0] in ")]." or after.startswith("?.") else " "
    return f"{before}{apart}{after}"


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
