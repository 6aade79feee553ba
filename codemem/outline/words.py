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

_STOP_WORDS = """
a about after all also an and any are as at be been before being between both but by can could defined did do does
doing done each either else explain find for from had has have how i if implement implementation implemented
implements in inside into is it its itself just like may me might more most my no nor not now of off on once one
only onto or other our out over own per same shall should show so some such than that the their them then there
these they this those through to too under up upon us use used uses using very via was we were what when where
whether which while who whom whose why will with within without work works would you your
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())
"""Words of questions that tell one part of a program from another in no project."""

# Short forms that are no prefix of what they stand for; prefixes (auth, config, init) are found by rule instead.
_SHORT_FORMS = """
addr address
alloc allocate
arg argument
async asynchronous
attr attribute
auth authentication authorization
btn button
buf buffer
cert certificate
cfg config configuration
char character
cmd command
conn connection connect
ctx context
db database
decl declaration
def definition
dir directory folder
doc documentation
dst destination
env environment
err error
evt event
expr expression
fmt format
fn function
func function
gen generate
hdr header
idx index
impl implementation
len length
lib library
max maximum
mgr manager
min minimum
msg message
num number
obj object
param parameter
pkg package
prev previous
ptr pointer
pwd password
ref reference
regex regular
repo repository
req request
res response result
resp response
src source
ssl tls
stmt statement
str string
sync synchronize
tmp temporary
txt text
url uri
usr user
util utility
val value
var variable
"""


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
    for row in _SHORT_FORMS.strip().splitlines():
        words = [stem(word) for word in row.split()]
        for other in words[1:]:
            table.setdefault(words[0], set()).add(other)
            table.setdefault(other, set()).add(words[0])
    return {word: tuple(sorted(others)) for word, others in table.items()}


SHORT_FORMS = _short_forms()
"""Stem -> stems that mean the same in the names of programs, both ways."""

STOP_STEMS = frozenset(stem(word) for word in STOP_WORDS)
