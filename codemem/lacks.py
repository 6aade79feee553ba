"""What definitions do not have: a parameter, a value for one that is not given, an error, a decorator, a parent.

Each is said only where every line that could have it was looked through and does not speak of it, be it in a comment:
what is not known to be lacking is taken to be there.
"""

import re
from collections.abc import Sequence

from codemem.looked import FUNCTIONS, Looked
from codemem.model.spelled import standing_alone

_OPEN = re.compile(
    r"\*\*|\.\.\.|\*\w|&\w*\)|\b(?:kw\w*|opts?|options?|args?|arguments|conf\w*|settings|params|props|attr\w*|spec)\b",
    re.IGNORECASE,
)
"""In the head of a definition: it takes what it does not name there."""
_KEY = r"['\"]{p}['\"]|[.:]{p}\b|\b{p}:"
"""How a function looks up what has no name in its head."""
HANDED_ON = 2
"""How often what has no name is handed on that is followed."""
_MISSING = (
    r"{p}\s{{0,40}}(?:\?|\|\||&&|\bor\b|\bis\b|[!=]==?|:?=(?![=>])|\.\.\.)"
    r"|{p}\s{{0,40}}:[^,)\n]{{0,200}}(?:Option|None|null|undefined|\.\.\.|=(?!>))"
    r"|(?:\bnot|\bif|\bunless|\btypeof|\band|\bor|!|&&|\|\||\*|\.\.\.|&)\s{{0,8}}\(?\s{{0,8}}{p}"
    r"|{p}\.(?:is_|nil|unwrap|empty|blank|present|length|size)|(?:null|None|nil|undefined)\s*[!=]==?\s*{p}"
)
"""How code says of a parameter that it may be left out, or sets it to something. Runs have ends: code made to cost time
has lines of any length."""
_TOLD_MISSING = re.compile(r"default|option|omit|null|none|nil\b|undefined|\bif not\b|unless|without", re.IGNORECASE)
"""How a comment says so."""
_WRAPPED = re.compile(r"@(?!staticmethod|classmethod|override|abstract|property)\w")
"""A decorator that may give a function what it takes."""
_FAILS = re.compile(
    r"rais|throw|fail|reject|(?<![a-z])err|(?-i:Err|(?<![a-z])Result\b)|exception|panic|abort|(?<![a-z])exit|assert"
    r"|unwrap|expect|fatal|\bdie\b|\?[;).]|invalid|validat",
    re.IGNORECASE,
)
"""What speaks of failing in code of any language; in a comment; and how code that is called fails."""
_TOLD_FAILS = re.compile(r"rais|throw|exception|panic|reject|abort|(?<![a-z])error", re.IGNORECASE)
_FAILING = re.compile(
    r"\b(?:raise|throws?|panic|abort|reject|assert\w*|unwrap|expect|exit|die|fatal|fail\w*)\b"
    r"|(?<![A-Za-z])err(?:or)?s?(?![a-z])|Err(?:or)?(?![a-z])|Exception|\?[;).]"
)
_DECORATED = re.compile(r"^\s*(?:@|#!?\[|\[\w)", re.MULTILINE)
_BARE = re.compile(
    r"^\s*(?:(?:export|default|public|private|protected|internal|final|static|abstract|sealed|data|open|pub)\s+)*"
    r"class\s+[\w:]+\s*(?:\(\s*\)\s*)?[:{]?\s*$"
)
"""The head of a class that says nothing but its name."""
_GOES_ON = re.compile(r"\A(?:\s*@[^\n]*\n)*[^\n{]*\n\s*(?:extends|implements|with|permits|where|[:,<(])")
"""Its head goes on in the next line."""
_MIXED_IN = re.compile(r"^\s*(?:include|extend|prepend|use)\b", re.MULTILINE)
_JOINED = (
    r"(?:assign|inherits|setPrototypeOf|mixin\w*|register)\(\s*(?:\w+\.)?{n}\b"
    r"|\b{n}\.(?:prototype\s*=|__proto__|include|extend|prepend|send)"
)
"""How a class gets a parent within its body, and outside of it."""


def take_no(parameter: str, every: Sequence[Looked]) -> bool:
    """Whether none of some definitions takes a parameter, nor what it may hand it on to."""
    stands = re.compile(standing_alone([parameter]))
    speaking = (text for each in every for text in (each.comments, each.text))
    return not any(map(stands.search, speaking)) and not any(_hands_on(parameter, each, HANDED_ON) for each in every)


def _hands_on(parameter: str, looked: Looked, times: int) -> bool:
    """Whether something that a definition names takes a parameter: types say it anywhere, functions in their heads or
    by looking it up; and so on, `times`, where both take what has no name in their heads."""
    stands, key = re.compile(standing_alone([parameter])), re.compile(_KEY.format(p=re.escape(parameter)))
    unnamed = takes_unnamed(looked)
    for each in looked.named():
        if each.symbol.kind not in FUNCTIONS:
            if (unnamed or each.symbol.name in looked.head) and stands.search(each.text):
                return True
            continue
        if stands.search(each.head) or key.search(each.text):
            return True
        if unnamed and times and takes_unnamed(each) and _hands_on(parameter, each, times - 1):
            return True
    return False


def takes_unnamed(looked: Looked) -> bool:
    """Whether the head of a definition takes what it does not name."""
    return _OPEN.search(looked.head) is not None


def takes(parameter: str, looked: Looked) -> bool:
    return re.search(standing_alone([parameter]), looked.head) is not None


def must_be_given(parameter: str, every: Sequence[Looked]) -> bool:
    """Whether no definition that takes a parameter says what it is where it is not given."""
    stands = re.compile(standing_alone([parameter]))
    missing = re.compile(_MISSING.format(p=stands.pattern))
    return not any(
        _WRAPPED.search(f"{each.above}\n{each.head}")
        or each.presets(parameter)
        or missing.search(each.code)
        or any(_TOLD_MISSING.search(line) for line in each.comments.split("\n") if stands.search(line))
        for each in every
    )


def fail_nowhere(every: Sequence[Looked]) -> bool:
    """Whether neither some definitions nor what they call speaks of failing."""
    if any(_FAILS.search(each.code) or _TOLD_FAILS.search(each.comments) for each in every):
        return False
    return not any(_FAILING.search(text) for each in every for text in each.called())


def have_no_decorator(every: Sequence[Looked]) -> bool:
    return not any(_DECORATED.search(each.above) or _DECORATED.search(each.head) for each in every)


def have_no_parent(every: Sequence[Looked]) -> bool:
    """Whether all are classes that extend nothing, nor are made to elsewhere in their files."""
    return all(
        _BARE.match(each.head)
        and not _GOES_ON.search(each.code)
        and not _MIXED_IN.search(each.text)
        and not re.search(_JOINED.format(n=re.escape(each.symbol.name)), each.file)
        for each in every
    )
