"""What a definition has to itself: its lines, what stands above it, and the lines of what it names."""

import re
import sys
import time
from collections.abc import Collection, Iterator
from functools import cached_property

from codemem.meant import MOST_BEARERS
from codemem.model.events import Definition, Source
from codemem.model.signature import signature
from codemem.model.spelled import standing_alone
from codemem.model.stated import presets
from codemem.outline.query import folded, unmarked
from codemem.outline.records import SymbolRecord
from codemem.outline.words import identifiers
from codemem.passages import FileChangedError, Lines
from codemem.recall import Remembered

ABOVE = 8
"""Lines above a definition that may be about it."""
LONGEST, MOST_CHARACTERS = 600, 100_000
"""Lines of a definition that are looked through, and their characters: made files have lines of any length."""
NAMES, NAMED = 300, 96
"""Names in them that are looked up, and definitions of these that are looked through."""
LONGEST_HEAD = 4000
NOTEBOOK = ".ipynb"
"""Its lines are not those of the code in it."""
FUNCTIONS = frozenset(("function", "method", "constructor"))

_COMMENT = re.compile(r"\s*(?:#(?!\[)|//|/\*|\*(?=[\s/]|$)|--)")
_CALLED = re.compile(r"(?<!\w)([^\W\d]\w*)[!?]?\(")


class UnknownError(Exception):
    """More would have to be looked through than there is time for, or a file changed meanwhile."""


class Looked:
    """One definition of a tree, read when it is asked for. Whatever reads raises UnknownError."""

    def __init__(self, tree: Remembered, path: str, symbol: SymbolRecord, until: float) -> None:
        """`until`: when there is no more time to look (time.monotonic())."""
        self.symbol, self.path = symbol, path
        self._tree, self._until = tree, until

    @cached_property
    def text(self) -> str:
        """All of its lines."""
        return self._lines(self.path, self.symbol.start_line, self.symbol.end_line)

    @cached_property
    def above(self) -> str:
        """The lines right above it, down from the last blank one."""
        first = max(1, self.symbol.start_line - ABOVE)
        if first == self.symbol.start_line:
            return ""
        lines = self._lines(self.path, first, self.symbol.start_line - 1).split("\n")
        blank = max((at for at, line in enumerate(lines) if not line.strip()), default=-1)
        return "\n".join(lines[blank + 1 :])

    @cached_property
    def head(self) -> str:
        """What declares it, decorators included, in one line."""
        return signature(self.text.split("\n"), self._whole, longest=LONGEST_HEAD)

    @cached_property
    def code(self) -> str:
        """Its lines but for those that are comments."""
        return "\n".join(_without_comments(self.text))

    @property
    def comments(self) -> str:
        """What stands above it, and those of its lines that are comments."""
        return "\n".join((self.above, *(line for line in self.text.split("\n") if _COMMENT.match(line))))

    @cached_property
    def file(self) -> str:
        """All of its file."""
        return self._lines(self.path, 1, None)

    def presets(self, parameter: str) -> bool:
        """Whether its head presets a parameter."""
        return presets(Source(0, f"{self.path}\n", self.text), self._whole, parameter) is not None

    def line_of(self, name: str) -> int | None:
        """The first of its lines in which a name stands by itself."""
        match = re.search(standing_alone([name]), self.text)
        return None if match is None else self.symbol.start_line + self.text.count("\n", 0, match.start())

    def named(self) -> Iterator["Looked"]:
        """Every definition that its own lines name."""
        for path, symbol in self._bearing(set(identifiers(self.text))):
            yield Looked(self._tree, path, symbol, self._until)

    def called(self) -> Iterator[str]:
        """The code of what it calls, and of other functions that it names: a getter is called without brackets."""
        words, called = set(identifiers(self.code)), set(_CALLED.findall(self.code))
        for path, symbol in self._bearing(words, called):
            yield "\n".join(_without_comments(self._lines(path, symbol.start_line, symbol.end_line)))

    def _lines(self, path: str, first: int, last: int | None) -> str:
        far = last is not None and last - first >= LONGEST
        if time.monotonic() > self._until or far or path.endswith(NOTEBOOK):
            raise UnknownError
        try:
            text = self._tree.passages.lines(path, Lines(first, sys.maxsize if last is None else last))
        except FileChangedError as error:
            raise UnknownError from error
        if len(text) > (MOST_CHARACTERS if last is not None else 10 * MOST_CHARACTERS):
            raise UnknownError
        return text

    @property
    def _whole(self) -> Definition:
        return Definition(self.symbol.name, 0, self.text.count("\n") + 1)

    def _bearing(self, words: set[str], called: Collection[str] | None = None) -> list[tuple[str, SymbolRecord]]:
        """All that bears one of some words; of what is no function only what is `called`, where that is told."""
        if len(words) > NAMES:
            raise UnknownError
        every = self._tree.snapshot.outline.named(sorted(set(map(folded, words))), most=MOST_BEARERS)
        found = [
            (record.path, symbol)
            for record, symbol in every
            if (record.path, symbol) != (self.path, self.symbol)
            and (name := unmarked(symbol.name)) in words
            and (called is None or name in called or symbol.kind in FUNCTIONS)
        ]
        if len(found) > NAMED:
            raise UnknownError
        return found


def _without_comments(text: str) -> Iterator[str]:
    return (line for line in text.split("\n") if not _COMMENT.match(line))
