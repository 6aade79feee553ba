"""The head of a definition: its signature, and the first sentence that its author wrote about it.

Both are found in the text of the indexer's documents, whose symbols span their comments and decorators too.
"""

import re
from bisect import bisect_right
from collections.abc import Sequence

from codemem.indexer.document import Document, Symbol

SIGNATURE_LINES = 8
"""Lines that a signature may take up."""
COMMENT_LINES = 40
"""Lines above a signature that are looked through for it."""
SENTENCE_CHARACTERS = 300

_COMMENT = re.compile(r"\s*(?://|/\*|\*(?!\w)|#(?!\[|!\[|\s*(?:define|undef)\b)|--|;|%|\"\"\"|'''|<!--)")
_DECORATOR = re.compile(r"\s*(?:@\w|#\[|\[\w)")
_MARKS = re.compile(r"^[\s/*#;%!<>\"'-]+|[\s/*\"'-]+$")
_DOCSTRING = re.compile(r"[rRuU]?(\"\"\"|'''|\"|')(.*)", re.DOTALL)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s|\n\s*\n")
_TAG = re.compile(r"^[@\\:]\w+")


class Lines:
    """Lines of one file by their 1-based number, from the documents that it was cut into."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self._documents = sorted(documents, key=lambda document: document.start_line)
        self._starts = [document.start_line for document in self._documents]
        self._split: dict[int, list[str]] = {}

    def get(self, start: int, end: int) -> list[str]:
        """Lines `start` to `end`, inclusive, as far as one document holds them."""
        number = bisect_right(self._starts, start) - 1
        if number < 0:
            return []
        if number not in self._split:
            self._split[number] = self._documents[number].text.splitlines()
        first = start - self._starts[number]
        return self._split[number][first : first + end - start + 1]


def head(symbol: Symbol, lines: Lines) -> tuple[str, str]:
    """(signature, first sentence of the documentation) of a definition; '' for what it has not."""
    text = lines.get(symbol.start_line, min(symbol.end_line, symbol.start_line + COMMENT_LINES + SIGNATURE_LINES))
    at = _signature_line(text, symbol.name)
    signature, rest = _before_body("\n".join(text[at : at + SIGNATURE_LINES]))
    comment = [line for line in text[:at] if _COMMENT.match(line)]
    return signature, _sentence("\n".join(_MARKS.sub("", line) for line in comment)) or _docstring(rest)


def _signature_line(text: Sequence[str], name: str) -> int:
    """Index of the first line that is neither comment nor decorator and holds the name, else of the first such line."""
    block = False
    plain = None
    for number, line in enumerate(text):
        opens = "/*" in line and "*/" not in line.split("/*", 1)[1]
        inside = block
        block = opens or (block and "*/" not in line)
        if inside or _COMMENT.match(line) or _DECORATOR.match(line):
            continue
        if plain is None and line.strip():
            plain = number
        if name in line:
            return number
    return plain or 0


def _before_body(text: str) -> tuple[str, str]:
    """Signature up to its body's `{`, `;` or line-ending `:`, and what follows."""
    depth = 0
    for place, character in enumerate(text):
        if character in "([":
            depth += 1
        elif character in ")]":
            depth -= 1
        elif depth <= 0 and (character in "{;" or text.startswith((":\n", "=>"), place)):
            return text[:place], text[place + 1 :]
    first, _, rest = text.partition("\n")
    return first, rest


def _docstring(body: str) -> str:
    """First sentence of the string that a body starts with (Python and its relatives)."""
    found = _DOCSTRING.match(body.lstrip())
    if found is None:
        return ""
    quote, text = found.groups()
    return _sentence(text.split(quote, 1)[0]) if len(quote) == 3 else ""


def _sentence(text: str) -> str:
    """The first sentence, without what documentation tools read (@param, :raises)."""
    kept = []
    for line in text.strip().split("\n"):
        if _TAG.match(line.strip()):
            break
        kept.append(line)
    return " ".join(_SENTENCE_END.split("\n".join(kept).strip(), maxsplit=1)[0].split())[:SENTENCE_CHARACTERS]
