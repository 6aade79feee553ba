"""Whether an answer is right, and whether its citations show why: by exact match and by lines, never by a model."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from codemem.evals.answers.questions import Line, Question

MOST_CITATIONS = 3
MOST_LINES = 30
"""Of a citation: lines beyond are not counted."""
_QUOTES = re.compile(r"""^(?:[bruf]{0,2})(['"`])(.*)\1$""", re.DOTALL)
_SAME = {"none": "none", "null": "none", "nil": "none", "true": "true", "false": "false"}
_OPPOSITE = {"true": "false", "false": "true"}


@dataclass(frozen=True, slots=True)
class Span:
    """Lines of a file, 1-based and inclusive."""

    path: str
    start_line: int
    end_line: int

    def holds(self, line: Line) -> bool:
        return self.path == line.path and self.start_line <= line.line <= self.end_line


def normal(value: str) -> str:
    """A value as it is compared: without quotes, blanks folded; the words for true, false and none of any language."""
    found = _QUOTES.match(value.strip())
    inner = found[2] if found else value.strip().lstrip("@:")
    folded = re.sub(r"\s+", " ", inner).strip()
    return _SAME.get(folded.lower(), folded)


def first_place(value: str, text: str) -> int | None:
    """Where a text names a value as a word of its own; None if nowhere."""
    wanted = normal(value)
    if not wanted:
        return None
    same = [word for word, meaning in _SAME.items() if meaning == wanted] or [wanted]
    spelled = "|".join(re.escape(word) for word in same)
    flags = re.IGNORECASE if wanted in _SAME else 0
    # A number must not be a part of a longer one, nor a name a part of a longer name; a dotted name ends in its name.
    if wanted[0].isalpha():
        pattern = rf"(?<![\w-])(?:{spelled})(?!\w|[.-]\w)"
    else:
        pattern = rf"(?<![\w-])(?<!\d\.)(?:{spelled})(?!\w|\.\d)"
    found = re.search(pattern, text, flags)
    return found.start() if found else None


def is_right(answer: str, question: Question) -> bool:
    """Whether an answer names every expected value, the first of them before any rival.

    What the question itself says decides nothing: rivals that stand in it are passed over.
    """
    text = re.sub(r"\s+", " ", answer)
    places = [first_place(value, text) for value in question.expected]
    if not places or any(place is None for place in places):
        return False
    earliest = min(place for place in places if place is not None)
    asked = " ".join(phrase for phrases in question.asked.values() for phrase in phrases)
    opposite = [_OPPOSITE[normal(v)] for v in question.expected if normal(v) in _OPPOSITE]
    for rival in [*question.rivals, *opposite]:
        place = first_place(rival, text)
        if place is not None and place < earliest and first_place(rival, asked) is None:
            return False
    return True


def covered(spans: Iterable[Span], question: Question) -> list[bool]:
    """For each step of the evidence whether one of the spans holds a line that states it."""
    listed = list(spans)
    return [any(span.holds(line) for span in listed for line in step) for step in question.evidence]


def counted(citations: Sequence[Span]) -> list[Span]:
    """The citations that are judged: the first few, and of each the first lines."""
    return [
        Span(c.path, c.start_line, min(c.end_line, c.start_line + MOST_LINES - 1)) for c in citations[:MOST_CITATIONS]
    ]


_CODE = re.compile(r"`([^`\n]+)`")
_WORD = re.compile(r"[A-Za-z_$][\w$]*")
_COMPOUND = re.compile(r"[a-z0-9][A-Z]|\w_\w|^_+\w")


def identifiers(text: str) -> set[str]:
    """Names of code in prose: every word inside backticks, and elsewhere words written as no plain word is."""
    marked = {word for code in _CODE.findall(text) for word in _WORD.findall(code)}
    plain = {word for word in _WORD.findall(_CODE.sub(" ", text)) if _COMPOUND.search(word)}
    return {word for word in marked | plain if len(word) > 1}


def invented(answer: str, read: Iterable[str], question: str) -> set[str]:
    """Identifiers of an answer that stand neither in what was read nor in the question."""
    known = {word for text in (*read, question) for word in _WORD.findall(text)}
    return identifiers(answer) - known
