"""A question taken apart: the words that count, and the identifiers that it spells out."""

import math
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from codemem.outline.words import SHORT_FORMS, STOP_WORDS, identifiers, parts, stem

_PATH = re.compile(r"[\w.@~+-]*(?:[/\\][\w.@~+-]+)+|[\w-]+\.[A-Za-z]{1,4}\b")
_HYPHENATED = re.compile(r"[A-Za-z]+(?:-[A-Za-z]+)+")
_QUALIFIED = re.compile(r"[^\W\d]\w*(?:(?:::|->|[.#\\])[^\W\d]\w*)+")
_COMPOUND = re.compile(r"[a-z0-9][A-Z]|[A-Za-z0-9]_+[A-Za-z0-9]|^_+[A-Za-z]")
_TEST_WORDS = frozenset((
    "test", "tests", "testing", "tested", "spec", "unittest", "fixture", "fixtures", "mock", "mocks", "bench",
    "benchmark", "benchmarks",
))  # fmt: skip
_DOC_WORDS = frozenset({"doc", "docs", "documentation", "readme", "changelog", "tutorial", "guide"})
_EXAMPLE_WORDS = frozenset({"example", "examples", "demo", "sample", "samples"})
_CONFIG_WORDS = frozenset(
    {"config", "configuration", "settings", "ci", "workflow", "dependency", "dependencies", "build"}
)

PREFIX_WEIGHT = 0.6
SHORT_FORM_WEIGHT = 0.7
BODY_WEIGHT = 0.4
MAX_CHARACTERS = 50_000
MAX_WORD = 300
"""Of a question and of what stands between two blanks in it; the rest is not read."""
LONG = 40
"""Words after which a question is a report: its first line says what it is about, the rest counts less."""
MIN_PREFIX = 4


@dataclass(frozen=True, slots=True)
class Term:
    """One thing that the question asks for, and the outline's words that stand for it."""

    word: str
    weight: float
    """Of the term within the question."""
    variants: Mapping[str, float]
    """Stem in the outline's vocabulary -> how surely it means the word, at most 1."""


@dataclass(frozen=True, slots=True)
class Query:
    """A question as the outline reads it."""

    terms: tuple[Term, ...]
    names: tuple[str, ...]
    """Identifiers written out in the question, lower case without separators, the most specific first."""
    written: frozenset[str]
    """The identifiers as they are written."""
    scoped: tuple[tuple[str, str], ...]
    """(last scope, name) of qualified identifiers such as `Session.get`."""
    paths: tuple[str, ...]
    """Paths and file names written out in the question, '/'-separated."""
    bare: bool
    """The whole question is one identifier or one word."""
    kinds: frozenset[str]
    """Kinds of files that the question asks for by name."""


def understand(text: str, vocabulary: Sequence[str], *, common: Collection[str] = ()) -> Query:
    """Take a question apart; `vocabulary` is sorted, `common` are stems that say nothing here (the project's name)."""
    text = _legible(text)
    words = identifiers(text)
    bare = len(text.split()) == 1 and bool(words)
    title = text if len(words) <= LONG else text.split("\n", 1)[0]
    emphasis = _emphasis(title, text, bare)
    terms: dict[str, Term] = {}
    for word, weight in emphasis.items():
        root = stem(word)
        if root not in terms:
            scale = 0.3 if root in common and not bare else 1.0
            terms[root] = Term(word, weight * scale, variants(word, vocabulary, narrow=weight < 1))
    for word in _joined(_content(title, bare)):
        root = stem(word)
        if root not in terms and _known(root, vocabulary):
            terms[root] = Term(word, 1.0, {root: 1.0})
    names, scoped = _spelled(text, words, bare)
    return Query(tuple(terms.values()), names, frozenset(words), scoped, _paths(text), bare, asked_kinds(title))


def _legible(text: str) -> str:
    """The question without what no one would type as a word, in its lines; patterns then stay linear in time."""
    lines = text[:MAX_CHARACTERS].strip().split("\n")
    return "\n".join(" ".join(word for word in line.split() if len(word) <= MAX_WORD) for line in lines)


def _emphasis(title: str, text: str, bare: bool) -> dict[str, float]:
    """Weight of each word of the question."""
    weights = dict.fromkeys(_content(title, bare), 1.0)
    if title != text:
        for word, count in Counter(_content(text, bare)).items():
            weights.setdefault(word, BODY_WEIGHT * min(2.0, 1 + math.log2(count) / 2))
    return weights


def _content(text: str, bare: bool) -> list[str]:
    every = [part for word in identifiers(text) for part in parts(word)]
    return [word for word in every if bare or word not in STOP_WORDS] or every


def _joined(words: Sequence[str]) -> list[str]:
    """Neighbours that may be written as one name: key log, keylog."""
    return [a + b for a, b in pairwise(words) if len(a) >= 2 and len(b) >= 2 and len(a + b) >= 6]


def _paths(text: str) -> tuple[str, ...]:
    found = (match.replace("\\", "/").strip("./~") for match in _PATH.findall(text))
    return tuple(dict.fromkeys(path for path in found if path))


def variants(word: str, vocabulary: Sequence[str], *, narrow: bool = False) -> dict[str, float]:
    """Words of the outline that stand for a word: its stem, its short forms, what it abbreviates or is abbreviated to.

    `narrow` leaves out longer words that start with it: the body of a long report has hundreds of words.
    """
    root = stem(word)
    found = {root: 1.0} if _known(root, vocabulary) else {}
    for other in SHORT_FORMS.get(root, ()):
        if _known(other, vocabulary):
            found.setdefault(other, SHORT_FORM_WEIGHT)
    for length in range(MIN_PREFIX, len(root)):
        if _known(root[:length], vocabulary):
            found.setdefault(root[:length], PREFIX_WEIGHT * length / len(root) + 0.1)
    if len(root) >= MIN_PREFIX and not narrow:
        place = bisect_left(vocabulary, root)
        while place < len(vocabulary) and vocabulary[place].startswith(root):
            found.setdefault(vocabulary[place], PREFIX_WEIGHT * len(root) / len(vocabulary[place]))
            place += 1
    return found


def _known(word: str, vocabulary: Sequence[str]) -> bool:
    place = bisect_left(vocabulary, word)
    return place < len(vocabulary) and vocabulary[place] == word


def _spelled(text: str, words: Sequence[str], bare: bool) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    scoped = []
    for match in _QUALIFIED.findall(text):
        pieces = identifiers(match)
        scoped.append((folded(pieces[-2]), folded(pieces[-1])))
    words = [*words, *_HYPHENATED.findall(text)]
    if bare and scoped:  # of `Session.get` only the last part is asked for
        return tuple(name for _, name in scoped), tuple(scoped)
    names = [folded(word) for word in words if bare or _COMPOUND.search(word) or "-" in word or _called(text, word)]
    names += [name for _, name in scoped]
    return tuple(dict.fromkeys(names)), tuple(dict.fromkeys(scoped))


def _called(text: str, word: str) -> bool:
    """Written like a call or as code: `word(` or in backticks, with a mark of Ruby's or without."""
    return f"{word}(" in text or any(f"`{word}{mark}`" in text for mark in ("", "?", "!", "="))


@lru_cache(maxsize=200_000)
def folded(name: str) -> str:
    """A name without its case and separators, so that spellings of one name are equal."""
    return unmarked(name).replace("_", "").replace("-", "").lower()


def unmarked(name: str) -> str:
    """A name without the ?, ! or = in which Ruby lets it end: as identifiers of a text are found."""
    return name.rstrip("?!=")


def asked_kinds(question: str) -> frozenset[str]:
    """Kinds of files that a question asks for by name."""
    words = {part for word in identifiers(question) for part in parts(word)}
    asked = {
        "test": words & _TEST_WORDS,
        "docs": words & _DOC_WORDS,
        "example": words & _EXAMPLE_WORDS,
        "config": words & _CONFIG_WORDS,
    }
    return frozenset(kind for kind, found in asked.items() if found)
