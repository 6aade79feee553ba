"""What a question asks of the code that it leads to, so that of much that a definition names the right part is read.

"Which default has `extend` in what `group_identifier` calls?": of all that it calls, what takes `extend` is meant.
"Which error may come out of it?": what raises one. "To which constant is it set?": a constant (decision 0045).
"""

import re
from collections.abc import Collection
from dataclasses import dataclass

from codemem.meant import without_paths
from codemem.model.cues import CONSTANTS, ERRORS, RAISING, is_constant
from codemem.model.spelled import last_parts, spelled_names, standing_alone
from codemem.outline.query import folded
from codemem.outline.records import SymbolRecord
from codemem.passages import FileChangedError, Lines
from codemem.recall import Remembered

LONGEST = 400
"""Lines of a definition that are looked through."""
BESIDE = 8
"""Names of a question that are: a report that was pasted has thousands."""
LOOKED_AT = 64
"""Definitions whose lines are: more than most texts name; those beyond are as if nothing were sought of them."""

_SET = frozenset(("constant", "variable", "property"))


@dataclass(frozen=True, slots=True)
class Sought:
    """What is sought in what is led to; nothing, if the question does not say."""

    text: re.Pattern[str] | None = None
    """What stands in its lines."""
    constant: bool = False
    nearer: bool = False
    """Where it stands in a definition itself, nothing that this names need have it."""

    @classmethod
    def of(cls, question: str, followed: Collection[str]) -> "Sought":
        """Names that it spells beside those that are followed (folded) say most; else what it asks for."""
        names = last_parts(spelled_names(without_paths(question)))
        beside = [name for name in names if folded(name) not in followed]
        if beside:
            return cls(re.compile(standing_alone(beside[:BESIDE])))
        if ERRORS.search(question):
            return cls(RAISING, nearer=True)
        return cls(constant=bool(CONSTANTS.search(question)))

    def line(self, tree: Remembered, path: str, symbol: SymbolRecord) -> int | None:
        """The line of a definition's file where what is sought stands in it; None if it does not."""
        if self.constant:
            return symbol.start_line if symbol.kind in _SET and is_constant(symbol.name) else None
        if self.text is None:
            return None
        last = min(symbol.end_line, symbol.start_line + LONGEST - 1)
        try:
            match = self.text.search(text := tree.passages.lines(path, Lines(symbol.start_line, last)))
        except FileChangedError:
            return None
        return symbol.start_line + text.count("\n", 0, match.start()) if match else None
