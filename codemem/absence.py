"""Whether what a question asks about stands in the files at all.

A small model answers whatever it is asked: about a function that is not there as readily as about one that is. What it
cannot know, the files can: a question that spells out names of which none stands anywhere, or whose words are mostly
foreign to them, is about something else. Everything is decided by words, before the model writes; docs/decisions/0027.
"""

import re
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import chain

from codemem.file_texts import file_texts
from codemem.indexer.languages import language_names
from codemem.model.spelled import spelled_names, unquoted
from codemem.outline.words import STOP_STEMS, identifiers, parts, stem
from codemem.snapshot import Snapshot

SECONDS = 1.5
"""For reading files; what is not read by then is taken to hold every word."""
MOST_CHARACTERS = 4000
"""Of a question; a longer one is a report, whose first part says what it is about."""
FOREIGN = 0.5
"""Share of a question's words that stand nowhere from which it is about something else."""
PROPER = 2
"""A name (Kubernetes) counts as so many words."""
FEWEST_WORDS = 2
MIN_STEM = 4
"""Shorter words stand by chance in almost any text."""

_WORD = re.compile(r"[^\W\d]\w*")
_OWN = re.compile(r"\s*how\s+(?:do|can|could|should|would|must|may|might|to)\b", re.IGNORECASE)
"""How-questions of who writes something new: its name need not stand anywhere yet."""
_PROPER = re.compile(r"\b[A-Z][a-zA-Z]+")
_ENGLISH = frozenset({"the", "is", "are", "was", "what", "which", "where", "when", "how", "does", "did", "why", "who"})
_ASCII = re.compile(r"[\x00-\x7f‘’“”–—…]*\Z")


@dataclass(frozen=True, slots=True)
class Absent:
    """What of a question stands nowhere in the files."""

    names: Sequence[str]
    """As the question spells them."""
    words: Sequence[str]
    decisive: bool
    """Whether the question must be about something that is not here."""

    @property
    def note(self) -> str | None:
        """One line for who asked; None if nothing is missing that is worth a word."""
        missing = self.names or (self.words if self.decisive else ())
        if not missing:
            return None
        named = ", ".join(f"`{name}`" for name in missing[:5]) + (", ..." if len(missing) > 5 else "")
        return f"{named} {'stands' if len(missing) == 1 else 'stand'} nowhere in the files"


def absent(snapshots: Sequence[Snapshot], question: str, *, seconds: float = SECONDS) -> Absent:
    """What of the question is foreign to these trees: names that it spells out, and words."""
    question = question[:MOST_CHARACTERS]
    names = spelled_names(question)
    own = {stem(part) for snapshot in snapshots for part in parts(snapshot.workspace.root.name)}
    words = [word for word in content_words(question) if stem(word) not in own]
    pieces = {name: [p.lower() for p in _WORD.findall(name) if len(p) > 1 and p.isascii()] for name in names}
    stems = {word: stem(word) for word in words}
    wanted = {piece for found in pieces.values() for piece in found} | {s for s in stems.values() if len(s) >= MIN_STEM}
    missing = _missing(snapshots, wanted, seconds)
    lost = [name for name, found in pieces.items() if any(piece in missing for piece in found)]
    foreign = [word for word, root in stems.items() if root in missing]
    about_own = bool(_OWN.match(question))
    by_names = bool(names) and len(lost) == len(names) and not about_own
    by_words = not names and len(words) >= FEWEST_WORDS and _foreign_share(question, words, foreign) >= FOREIGN
    return Absent(lost, foreign, by_names or by_words)


def content_words(question: str) -> list[str]:
    """Words of an English question that could stand in a program, each once; none of a question in another language."""
    rest = unquoted(question)
    spoken = {word.lower() for word in identifiers(rest)}
    if not _ASCII.match(question) or len(spoken & _ENGLISH) < 1:
        return []
    languages = language_names()
    told = [word for word in identifiers(rest) if word.lower() not in languages]  # "this JavaScript library"
    found = dict.fromkeys(part for word in told for part in parts(word) if part.isalpha())
    return [word for word in found if len(word) > 2 and stem(word) not in STOP_STEMS]


def _foreign_share(question: str, words: Sequence[str], foreign: Collection[str]) -> float:
    """Names that are written with a capital, unless they open the question, count more than other words."""
    proper = {part for name in _PROPER.findall(question.strip()[1:]) for part in parts(name)}
    weights = {word: PROPER if word in proper else 1 for word in words}
    return sum(weights[word] for word in foreign) / sum(weights.values())


def _missing(snapshots: Sequence[Snapshot], wanted: Collection[str], seconds: float) -> set[str]:
    """Those of the lower-case words that stand nowhere: in no path, and in no file's bytes."""
    left = set(wanted)
    for snapshot in snapshots:
        paths = "\n".join(snapshot.entries).lower()
        left = {word for word in left if word not in paths}
    deadline = time.monotonic() + seconds
    for _, data in chain.from_iterable(file_texts(snapshot, deadline) for snapshot in snapshots):
        if not left:
            break
        if data is None:
            return set()
        lower = data.lower()
        left = {word for word in left if word.encode() not in lower}
    return left
