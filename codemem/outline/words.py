"""Words of names, paths and questions, brought to one form so that they can meet.

`getHTTPResponse`, `http_response` and "HTTP responses" share the terms `http` and `respons`.
"""

import re
from functools import lru_cache

_IDENTIFIER = re.compile(r"[^\W\d]\w*|\d+")
_PART = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+|[^\W\d_A-Za-z]+")
_VOWEL = re.compile(r"[aeiouy]")

# Endings by which one action appears as verb, agent, process and plural: parse, parser, parsers, parsing, parsed.
# Longest first; each needs a root of at least three letters with a vowel left before it.
_ENDINGS = (
    "izations", "ization", "ations", "ation", "ators", "ator", "ments", "ment", "ables", "able", "ibles", "ible",
    "ities", "ings", "ions", "ing", "ion", "ers", "ors", "ies", "ive", "ity", "ate", "er", "or", "ed", "es",
    "is", "al", "ly", "s", "e", "y",
)  # fmt: skip

STOP_WORDS = frozenset(
    """a about after all also an and any are as at be been before being between both but by can could did do does doing
    done each either else for from had has have how i if in into is it its itself just like may me might more most my no
    nor not now of off on once one only onto or other our out over own per same shall should show so some such than that
    the their them then there these they this those through to too under up upon us use used uses using very via was we
    were what when where whether which while who whom whose why will with within without work works would you your
    find explain defined implemented implementation implements implement inside""".split()
)

# Short forms that are no prefix of what they stand for; prefixes (auth, config, init) are found by rule instead.
_SHORT_FORMS = (
    "ctx context", "msg message", "cfg config configuration", "db database", "btn button", "pkg package", "tmp temporary",
    "src source", "dst destination", "ptr pointer", "buf buffer", "str string", "fmt format", "fn function", "func function",
    "obj object", "arg argument", "attr attribute", "param parameter", "req request", "res response result",
    "resp response", "conn connection connect", "cmd command", "dir directory folder", "env environment", "err error", "ref reference",
    "util utility", "impl implementation", "lib library", "mgr manager", "num number", "idx index", "len length",
    "max maximum", "min minimum", "prev previous", "repo repository", "sync synchronize", "async asynchronous",
    "txt text", "val value", "var variable", "regex regular", "url uri", "addr address", "alloc allocate", "async asynchronous",
    "hdr header", "pwd password", "usr user", "evt event", "cert certificate", "ssl tls", "gen generate", "doc documentation",
    "auth authentication authorization", "stmt statement", "expr expression", "decl declaration", "def definition", "char character",
)  # fmt: skip


@lru_cache(maxsize=100_000)
def parts(identifier: str) -> tuple[str, ...]:
    """Lower-case words inside one identifier, at case changes, underscores and digits."""
    return tuple(part.lower() for part in _PART.findall(identifier))


@lru_cache(maxsize=100_000)
def stem(word: str) -> str:
    """A light stem: one ending removed, a doubled last consonant undone; short words are left alone."""
    if len(word) < 4 or not word.isalpha():
        return word
    if word.endswith("ies") and len(word) > 4:
        return stem(word[:-3] + "y")
    for ending in _ENDINGS:
        root = word[: -len(ending)]
        if word.endswith(ending) and len(root) >= 3 and _VOWEL.search(root):
            if ending == "s" and root.endswith(("s", "u", "i")):  # class, status, analysis
                continue
            return _undouble(root)
    return word


def _undouble(root: str) -> str:
    """Join the spellings of one root: stopp-ed, serializ-er and generat-ing, analyz-e."""
    if len(root) > 3 and root[-1] == root[-2] and root[-1] not in "sl":
        root = root[:-1]
    if len(root) > 5:
        root = root.removesuffix("iz").removesuffix("at").replace("yz", "ys")
    return root


def identifiers(text: str) -> list[str]:
    """Identifiers and numbers of a text, in order."""
    return _IDENTIFIER.findall(text)


def terms(text: str) -> list[str]:
    """Stems of all words of all identifiers in a text, in order."""
    return [stem(part) for word in identifiers(text) for part in parts(word)]


def _short_forms() -> dict[str, tuple[str, ...]]:
    table: dict[str, set[str]] = {}
    for row in _SHORT_FORMS:
        words = [stem(word) for word in row.split()]
        for other in words[1:]:
            table.setdefault(words[0], set()).add(other)
            table.setdefault(other, set()).add(words[0])
    return {word: tuple(sorted(others)) for word, others in table.items()}


SHORT_FORMS = _short_forms()
"""Stem -> stems that mean the same in the names of programs, both ways."""

STOP_STEMS = frozenset(stem(word) for word in STOP_WORDS)
