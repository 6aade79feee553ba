"""A question taken apart: the words that count, and the identifiers that it spells out."""

import re
from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from codemem.outline.words import SHORT_FORMS, STOP_WORDS, identifiers, parts, stem

_QUALIFIED = re.compile(r"[^\W\d]\w*(?:(?:::|->|[.#/\\])[^\W\d]\w*)+")
_COMPOUND = re.compile(r"[a-z0-9][A-Z]|[A-Za-z0-9]_+[A-Za-z0-9]|^_+[A-Za-z]")
_TEST_WORDS = frozenset({"test", "tests", "testing", "tested", "spec", "unittest", "fixture", "fixtures", "mock", "mocks"})
_DOC_WORDS = frozenset({"doc", "docs", "documentation", "readme", "changelog", "tutorial", "guide"})
_EXAMPLE_WORDS = frozenset({"example", "examples", "demo", "sample", "samples"})
_CONFIG_WORDS = frozenset({"config", "configuration", "settings", "ci", "workflow", "dependency", "dependencies", "build"})

PREFIX_WEIGHT = 0.6
SHORT_FORM_WEIGHT = 0.7
JOINED_WEIGHT = 1.0
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
    scoped: tuple[tuple[str, str], ...]
    """(last scope, name) of qualified identifiers such as `Session.get`."""
    bare: bool
    """The whole question is one identifier or one word."""
    kinds: frozenset[str]
    """Kinds of files that the question asks for by name."""


def understand(text: str, vocabulary: Sequence[str], *, common: Collection[str] = ()) -> Query:
    """Take a question apart; `vocabulary` is sorted, `common` are stems that say nothing here (the project's name)."""
    text = text.strip()
    words = identifiers(text)
    bare = len(text.split()) == 1 and bool(words)
    names, scoped = _spelled(text, words, bare)
    content = [part for word in words for part in parts(word)]
    kept = [word for word in content if bare or word not in STOP_WORDS]
    terms: dict[str, Term] = {}
    for word in kept or content:
        root = stem(word)
        if root not in terms:
            weight = 0.3 if root in common and not bare else 1.0
            terms[root] = Term(word, weight, variants(word, vocabulary))
    joined = [a + b for a, b in zip(content, content[1:], strict=False)]
    for word in joined:
        root = stem(word)
        if root not in terms and _known(root, vocabulary) and len(word) >= 6:
            terms[root] = Term(word, 1.0, {root: JOINED_WEIGHT})
    return Query(tuple(terms.values()), names, scoped, bare, _kinds(set(content)))


def variants(word: str, vocabulary: Sequence[str]) -> dict[str, float]:
    """Words of the outline that stand for a word: its stem, its short forms, what it abbreviates or is abbreviated to."""
    root = stem(word)
    found = {root: 1.0} if _known(root, vocabulary) else {}
    for other in SHORT_FORMS.get(root, ()):
        if _known(other, vocabulary):
            found.setdefault(other, SHORT_FORM_WEIGHT)
    for length in range(MIN_PREFIX, len(root)):
        if _known(root[:length], vocabulary):
            found.setdefault(root[:length], PREFIX_WEIGHT * length / len(root) + 0.1)
    if len(root) >= MIN_PREFIX:
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
    names = [folded(word) for word in words if bare or _COMPOUND.search(word) or _called(text, word)]
    names += [name for _, name in scoped]
    return tuple(dict.fromkeys(names)), tuple(dict.fromkeys(scoped))


def _called(text: str, word: str) -> bool:
    """Written like a call or as code: `word(` or in backticks."""
    return f"{word}(" in text or f"`{word}`" in text


def folded(name: str) -> str:
    """A name without its case and separators, so that spellings of one name are equal."""
    return name.replace("_", "").lower()


def _kinds(words: set[str]) -> frozenset[str]:
    asked = {
        "test": words & _TEST_WORDS,
        "docs": words & _DOC_WORDS,
        "example": words & _EXAMPLE_WORDS,
        "config": words & _CONFIG_WORDS,
    }
    return frozenset(kind for kind, found in asked.items() if found)
