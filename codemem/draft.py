"""A hop from the draft: what an answer says of code that was not read is read, and the question is asked again.

Memory Interleave (arXiv:2603.23516, section 3) lets a model name the documents that it needs before it answers. A small
model names well what it is already writing about: "`DFont` inherits from `TTF`; `TTF.embed` raises" is a claim about
`TTF.embed`, right or made up. So a first sentence that begins with a name is watched (docs/outline.md, "The draft").
"""

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from codemem.links import MOST_NAMED, documents_of
from codemem.meant import MOST_BEARERS
from codemem.model.events import Answer, AnswerEvent, Read, TextPiece
from codemem.outline.query import folded
from codemem.outline.records import SymbolRecord
from codemem.recall import Recall

WATCHED = 400
"""Characters of an answer that are held back at most, until its first sentence ends."""
CLAIM = 4
"""Letters between two names from which on something is said of the first: "which raises", not "and" or "in"."""
MOST_READ = 3
"""Documents that a hop reads first; the rest is read in the order it had."""
STEP = 0.05
"""What each of them ranks above the next, and the last above all others."""
LONGEST_NAME = 120

_SPAN = re.compile(r"`([^`\n]+)`")
_RUN = re.compile(r"\w+")
_LETTERS = re.compile(r"[^\W\d_]")
_SENTENCE_END = re.compile(r"[.!?]\s")
_MARKS = "?!="
_WHOLE = frozenset(("function", "method", "constructor"))
"""Kinds of definitions that are read whole; of a class, what it begins with tells what it is."""


class Draft:
    """The answer to one question as it is written, from its first word on."""

    def __init__(self, recall: Recall, question: str) -> None:
        self._recall, self._question = recall, question
        self._read: set[int] = set()
        self._text, self._held, self._watching = "", "", True
        self.leads: list[int] = []
        """Bank indices of what its first sentence speaks of without having read it, once that has ended."""

    def let_go(self) -> None:
        """Nothing is watched: all that comes is shown at once."""
        self._watching = False

    def watched(self, events: Iterable[AnswerEvent], cancelled: Callable[[], bool]) -> Iterator[AnswerEvent]:
        """The events of an engine that answers, its first sentence when it has ended; not the answer, nor what is held
        back of it, if that leads to what was not read."""
        for event in events:
            if isinstance(event, TextPiece):
                if shown := self.push(event.text):
                    yield TextPiece(shown)
            elif isinstance(event, Answer):
                self.end()
                if not self.leads or cancelled():
                    if held := self.release():
                        yield TextPiece(held)
                    yield event
            else:
                if isinstance(event, Read):
                    self._read.add(event.document)
                elif event.by_model:  # a model that names what it needs interleaves by itself
                    self.let_go()
                yield event

    def push(self, piece: str) -> str:
        """What can be shown now that a piece has come: a first sentence that begins with a name when it ends.

        Prose and quotations (decision 0036) come as they are written."""
        self._text, self._held = self._text + piece, self._held + piece
        if self._watching:
            begun = self._text.lstrip()
            if (begun and not begun.startswith("`")) or len(begun) > WATCHED:
                self._watching = False
            elif _SENTENCE_END.search(_SPAN.sub("", begun)):
                self.end()
        return "" if self._watching or self.leads else self.release()

    def end(self) -> None:
        """The first sentence is all there is of it, or has ended: `leads` are what it leads to."""
        if self._watching:
            self._watching = False
            claims = dict.fromkeys(name for name in claimed(self._text) if f"`{name}`" not in self._question)
            found = [index for name in reversed(claims) for index in unread(self._recall, name, self._read)]
            self.leads = list(dict.fromkeys(found))[:MOST_READ]

    def release(self) -> str:
        """What is held back still."""
        held, self._held = self._held, ""
        return held


def claimed(text: str) -> Iterator[str]:
    """The names, between backticks, of which a text goes on to say something that another name tells; no paths."""
    spans = list(_SPAN.finditer(text))
    for span, following in pairwise(spans):
        said = text[span.end() : following.start()]
        if "/" not in span[1] and len(_LETTERS.findall(said)) >= CLAIM:
            yield span[1]


def unread(recall: Recall, name: str, read: set[int]) -> list[int]:
    """Bank indices of the documents that hold what a name means, of those that were not read; none if one that it may
    mean was read, or if it may mean too many."""
    parts = _RUN.findall(name) if len(name) <= LONGEST_NAME else []
    if not parts or not read:
        return []
    bearers: list[tuple[SymbolRecord, list[int]]] = []
    for owner, tree in enumerate(recall.trees):
        for record, symbol in tree.snapshot.outline.named([folded(parts[-1])], most=MOST_BEARERS):
            if symbol.name.rstrip(_MARKS) == parts[-1]:
                bearers.append((symbol, documents_of(recall, owner, record.path, symbol)))
    scoped = [bearer for bearer in bearers if parts[-2:-1] == _RUN.findall(bearer[0].scope)[-1:]]
    meant = [_needed(*bearer) for bearer in (scoped or bearers) if bearer[1]]
    if len(meant) > MOST_NAMED or any(read.issuperset(needed) for needed in meant):
        return []
    return list(dict.fromkeys(index for needed in meant for index in needed if index not in read))[:MOST_READ]


def _needed(symbol: SymbolRecord, documents: list[int]) -> list[int]:
    """Of the documents that hold a definition those that tell what it does."""
    return documents if symbol.kind in _WHOLE else documents[:1]


def led(prior: npt.NDArray[np.float32], leads: list[int]) -> npt.NDArray[np.float32]:
    """A prior [documents in the bank] by which what a draft led to ranks first, in its order."""
    ranked = prior.copy()
    ranked[leads] = float(prior.max(initial=0.0)) + STEP * np.arange(len(leads), 0, -1)
    return ranked
