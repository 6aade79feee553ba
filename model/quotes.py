"""An answer that begins by quoting a statement quotes one that was read, letter by letter (decision 0036)."""

import re
from collections.abc import Iterable, Sequence

from codemem.model.statements import LONGEST, statements

OPENING = "See `"
"""How an answer that quotes begins; training has it so (training/quoting.py)."""
SHORTEST = 8
"""Characters of a statement that is quoted, without its indentation, at least."""
_IMPORT = re.compile(
    r"(?:import\b|from\s+\S+\s+import\b|export\s.*\bfrom\b|#\s*include\b|use\s|using\s|package\s|require\b"
    r"|(?:const|let|var)\s.*=\s*require\(|(?:if\s+[\w.]+|try|else)\s*:\s*(?:import|from)\b)"
)
"""How a line begins that says where a name comes from, and nothing of what is done."""
_QUOTED = re.compile(re.escape(OPENING) + r"([^`\n]+)`(?: in `[^`\n]*`)?\.?\s*")


def can_be_quoted(line: str) -> bool:
    """Whether a statement without its indentation may stand between backticks, and be shown in a terminal: a repository
    may hold escape sequences, and letters that turn the direction of what follows. What imports explains nothing."""
    if not SHORTEST <= len(line) <= LONGEST or _IMPORT.match(line):
        return False
    return "`" not in line and line.replace("\t", " ").isprintable()


class Quotes:
    """The statements that may be quoted, each in one line."""

    def __init__(self, texts: Iterable[str]) -> None:
        lines = (statement for text in texts for statement in statements(text))
        known = dict.fromkeys(filter(can_be_quoted, lines))
        self._lines = "\n" + "\n".join(known) + "\n" if known else ""

    def open(self, text: str) -> bool:
        """Whether the text so far ends within its opening quotation."""
        return text.startswith(OPENING) and "`" not in text[len(OPENING) :]

    def on_a_line(self, text: str) -> bool:
        """Whether the quotation that the text so far ends within is the beginning of a line, so that some token goes on
        with it."""
        return self.open(text) and f"\n{text[len(OPENING) :]}" in self._lines

    def allows(self, text: str, piece: str) -> bool:
        """Whether the text so far may go on with a piece: within the quotation alone by what goes on with a line.

        No piece: whether it may end here.
        """
        whole = text + piece
        if not whole.startswith(OPENING) or "`" in text[len(OPENING) :]:
            return True
        if "\ufffd" in piece:  # a part of a letter that is not ASCII, which the next token ends
            return self._goes_on_beyond_ascii(text[len(OPENING) :])
        inside, closed, _ = whole[len(OPENING) :].partition("`")
        wanted = f"\n{inside}\n" if closed else f"\n{inside}"
        return bool(piece) and "\n" not in inside and wanted in self._lines

    def _goes_on_beyond_ascii(self, inside: str) -> bool:
        """Whether on some line a letter follows that takes several bytes."""
        return re.search(f"\n{re.escape(inside)}[^\x00-\x7f]", self._lines) is not None


def quotation_end(text: str) -> int | None:
    """Where the quotation at the beginning of an answer ends, its place included; None without one."""
    found = _QUOTED.match(text)
    return found.end() if found else None


def split_quotation(text: str) -> tuple[str, str]:
    """The statement that an answer quotes at its beginning, or '', and what it says besides."""
    found = _QUOTED.match(text)
    return (found[1].strip(), text[found.end() :]) if found else ("", text)


def line_of(text: str, quoted: str) -> int | None:
    """The first line of a text, counted from 0, that begins the statement quoted; None without it, or where nothing is
    quoted."""
    begun = enumerate(statements(text)) if quoted else ()
    return next((at for at, statement in begun if statement == quoted), None)


def quoted_first(texts: Sequence[str], carrying: Sequence[int], quoted: str) -> list[int]:
    """Indices of the texts that carry an answer, the first one that holds the quoted line before all others."""
    holding = next((at for at, text in enumerate(texts) if line_of(text, quoted) is not None), None)
    return list(carrying) if holding is None else [holding, *(at for at in carrying if at != holding)]
