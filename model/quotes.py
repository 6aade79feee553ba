"""An answer that begins by quoting a statement quotes one that was read, letter by letter, and says where it stands as
it is (decision 0036)."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from codemem.model.events import Definition
from codemem.model.meaning import can_be_meant
from codemem.model.statements import LONGEST, statements

OPENING, PLACE = "See `", " in `"
"""How an answer that quotes begins, and how it goes on; training has it so (training/quoting.py)."""
LONGEST_NAME = 160
"""Characters of a definition's name with its scope that is said, at most."""
SHORTEST = 8
"""Characters of a statement that is quoted, without its indentation, at least."""
_IMPORT = re.compile(
    r"(?:import\b|from\s+\S+\s+import\b|export\s.*\bfrom\b|#\s*include\b|use\s|using\s|package\s|require\b"
    r"|(?:const|let|var)\s.*=\s*require\(|(?:if\s+[\w.]+|try|else)\s*:\s*(?:import|from)\b)"
)
"""How a line begins that says where a name comes from, and nothing of what is done."""
_OVER_LINES = re.compile(r"(?:import|from|(?:pub )?use)\b.*[({]\s*(?:#.*|//.*)?$")
"""How one begins that goes on over several lines. What C# begins with `using`, and opens, is code."""
LONGEST_IMPORT = 60
"""Lines that an import goes on for at most: where its brackets do not close, or it was none, code follows."""
_QUOTED = re.compile(re.escape(OPENING) + r"([^`\n]+)`(?: in `([^`\n]*)`)?\.?\s*")


def can_be_quoted(line: str) -> bool:
    """Whether a statement without its indentation may stand between backticks, and be shown in a terminal: a repository
    may hold escape sequences, and letters that turn the direction of what follows. What imports explains nothing."""
    if not SHORTEST <= len(line) <= LONGEST or _IMPORT.match(line):
        return False
    return "`" not in line and line.replace("\t", " ").isprintable()


class Quotes:
    """The statements that may be quoted, each in one line, and the definitions that each stands in."""

    def __init__(self, texts: Iterable[tuple[str, Sequence[Definition]]], question: str = "") -> None:
        """`texts`: each with what it defines; where that is nothing, no place is said. Of what was read that is quoted
        which can be meant (decision 0051), if anything can."""
        found: dict[str, set[str]] = defaultdict(set)
        for text, definitions in texts:
            begun = statements(text)
            for at in _outside_imports(begun, text.split("\n")):
                if can_be_quoted(begun[at]):
                    found[begun[at]].update(_innermost(definitions, at))
        self._names = can_be_meant(question, found)
        self._lines = "\n" + "\n".join(self._names) + "\n" if self._names else ""

    def open(self, text: str) -> bool:
        """Whether the text so far ends within its opening quotation."""
        return text.startswith(OPENING) and "`" not in text[len(OPENING) :]

    def on_a_line(self, text: str) -> bool:
        """Whether the quotation that the text so far ends within is the beginning of a line, so that some token goes on
        with it."""
        return self.open(text) and f"\n{text[len(OPENING) :]}" in self._lines

    def in_place(self, text: str) -> bool:
        """Whether the text so far ends within the name of the definition that the quotation stands in."""
        _, closed, behind = text[len(OPENING) :].partition("`")
        begun = bool(closed) and text.startswith(OPENING) and behind.startswith(PLACE)
        return begun and "`" not in behind[len(PLACE) :]

    def allows(self, text: str, piece: str) -> bool:
        """Whether the text so far may go on with a piece: within the quotation alone by what goes on with a line, and
        behind it with the name of a definition that the line stands in.

        No piece: whether it may end here.
        """
        whole = text + piece
        if not whole.startswith(OPENING):
            return True
        if "`" in text[len(OPENING) :]:
            quoted, _, behind = text[len(OPENING) :].partition("`")
            return self._allows_place(quoted, behind, piece)
        if "\ufffd" in piece:  # a part of a letter that is not ASCII, which the next token ends
            return self._goes_on_beyond_ascii(text[len(OPENING) :])
        inside, closed, behind = whole[len(OPENING) :].partition("`")
        wanted = f"\n{inside}\n" if closed else f"\n{inside}"
        fits = bool(piece) and "\n" not in inside and wanted in self._lines
        return fits and (not behind or self._allows_place(inside, "", behind))

    def _allows_place(self, quoted: str, behind: str, piece: str) -> bool:
        """Whether what stands behind a quotation may go on with a piece."""
        names, whole = self._names.get(quoted, set()), behind + piece
        if "`" in behind[len(PLACE) :] or not (behind.startswith(PLACE) or PLACE.startswith(behind)):
            return True  # it has been said, or is not said
        if not whole.startswith(PLACE):
            return bool(names) or not whole.strip() or not PLACE.startswith(whole)
        name, closed, _ = whole[len(PLACE) :].partition("`")
        if closed:
            return name in names
        begun = name.rstrip("\ufffd")  # which stands for a part of a letter that is not ASCII
        going_on = (known[len(begun) :] for known in names if known.startswith(begun))
        return bool(piece) and any(begun == name or not rest[:1].isascii() for rest in going_on)

    def _goes_on_beyond_ascii(self, inside: str) -> bool:
        """Whether on some line a letter follows that takes several bytes."""
        return re.search(f"\n{re.escape(inside)}[^\x00-\x7f]", self._lines) is not None


def _outside_imports(begun: Sequence[str], lines: Sequence[str]) -> Iterator[int]:
    """Lines that are no part of a statement that imports over several lines, as far as brackets tell."""
    opened = left = 0
    for at, line in enumerate(lines):
        if not opened and _OVER_LINES.match(line.strip()):
            left = LONGEST_IMPORT
        if left:
            opened = max(0, opened + sum(map(line.count, "({[")) - sum(map(line.count, ")}]")))
            left = left - 1 if opened else 0
        elif not _IMPORT.match(begun[at]):
            yield at
        if not left:
            opened = 0


def _innermost(definitions: Sequence[Definition], line: int) -> list[str]:
    """The name of the definition that a line of a text stands in; none where there is none that can be said."""
    holding = [each for each in definitions if each.start_line <= line < each.end_line]
    best = max(holding, key=lambda each: (each.start_line, -each.end_line), default=None)
    said = best is not None and len(best.name) <= LONGEST_NAME and "`" not in best.name and best.name.isprintable()
    return [best.name] if best is not None and said else []


def quotation_end(text: str) -> int | None:
    """Where the quotation at the beginning of an answer ends, its place included; None without one."""
    found = _QUOTED.match(text)
    return found.end() if found else None


def split_quotation(text: str) -> tuple[str, str]:
    """The statement that an answer quotes at its beginning, or '', and what it says besides."""
    found = _QUOTED.match(text)
    return (found[1].strip(), text[found.end() :]) if found else ("", text)


def said_place(text: str) -> str:
    """The definition that an answer says its quotation stands in, or ''."""
    found = _QUOTED.match(text)
    return (found and found[2]) or ""


def line_of(text: str, quoted: str, definitions: Sequence[Definition] = (), place: str = "") -> int | None:
    """The first line of a text, counted from 0, that begins the statement quoted, before others one that stands in the
    definition `place`; None without it, or where nothing is quoted."""
    begun = [at for at, statement in enumerate(statements(text)) if statement == quoted] if quoted else []
    there = [at for at in begun if place in _innermost(definitions, at)]
    return next(iter(there or begun), None)


def quoted_first(
    sources: Sequence[tuple[str, Sequence[Definition]]], carrying: Sequence[int], quoted: str, place: str = ""
) -> list[int]:
    """Indices of the sources that carry an answer, each a text and what it defines: before all others the first that
    holds the quoted line in the definition `place`, or the first that holds it."""
    lines = [line_of(text, quoted, definitions, place) for text, definitions in sources]
    holding = [at for at, line in enumerate(lines) if line is not None]
    there = [at for at in holding if place in _innermost(sources[at][1], lines[at] or 0)]
    best = next(iter(there or holding), None)
    return list(carrying) if best is None else [best, *(at for at in carrying if at != best)]
