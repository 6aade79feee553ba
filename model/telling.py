"""Which statements say something by themselves, so that an explanation may rest on them (decision 0051)."""

import re

from codemem.model.statements import COMMENT

_PRIMITIVE = (
    r"(?:str|string|String|int|integer|number|float|double|bool|boolean|byte|bytes|char|usize|isize|[iuf]\d{1,3}|any"
    r"|unknown|object|never|void|error|date|Date)"
)
_NAMED_TYPE = rf"(?:{_PRIMITIVE}|(?![A-Z_\d]{{2,}}\b)[A-Z][\w.]*)"
_TYPE = rf"&?(?:'\w+ )?(?:mut |dyn |readonly )?\*?{_NAMED_TYPE}(?:<[^=]*>)?(?:\[\])?(?:\s*\|\s*\w+)*"
_BEFORE = r"(?:pub(?:\([^)]*\))?|public|private|protected|readonly|static|final|const|let|var|val|export)"
_DECLARES = re.compile(rf"(?:{_BEFORE} +)*[\w$]+\??:\s*{_TYPE}[,;]?$")
"""A parameter or a field with its type, and nothing that it is set to: `path: P,`."""
_HEAD = re.compile(
    rf"(?:@\w+ +)?(?:(?:{_BEFORE}|internal|async|default|override|virtual|abstract|unsafe|inline) +)*"
    r"(?:def|func|function|fn|fun)\b"
)
"""How a line begins that declares a function."""
_BARE = re.compile(r"(?:return|break|continue|yield)?\s*[\w$]*[;:]?$|(?:\} *)?else\b\s*[:{]?$|[)}\]]+[,;]?$")
"""A single name, or the ends of something."""
_WITHIN_COMMENT = re.compile(r"\*(?!\w*\s*[=(\[])|\"\"\"|'''")
"""How a line begins that is a part of a longer comment."""


def is_type(name: str) -> bool:
    """Whether a name is that of a type that languages have of their own."""
    return re.fullmatch(_PRIMITIVE, name) is not None


def only_declares(statement: str) -> bool:
    """Whether a statement declares a function and presets nothing: how or why that works it does not say."""
    return _HEAD.match(statement) is not None and "=" not in statement


def says_something(statement: str) -> bool:
    """Whether more stands in a statement than the name of something, or its type. Comments of a line do."""
    if statement.startswith(COMMENT):
        return not _WITHIN_COMMENT.match(statement)
    return not _BARE.match(statement) and not _DECLARES.match(statement)
