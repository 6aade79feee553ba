"""What definitions that were read are, as rules of text tell it for code of any language: what says itself what it is
built on, fails by its own lines, or is decorated."""

import re

from codemem.model.cues import BASED, EMBEDDED, ERROR_RETURNED, RAISING
from codemem.model.events import Definition, Source
from codemem.model.stated import lines_of

ABOVE = 4
"""Lines above a definition in which a decorator may stand."""
_FAILS = re.compile(rf"\b(?:raise|throw)\b|{RAISING.pattern}", re.MULTILINE)
"""How code fails, in the midst of a line, too."""
_DECORATED = re.compile(r"^\s*@", re.MULTILINE)
_COMMENTED = re.compile(r"\A(?:\s*(?:#(?!\[)|//|/?\*|--)[^\n]*\n)+")

Found = tuple[Source, Definition]
"""A definition, and the source that it stands in."""


def raises(found: Found) -> bool:
    """Whether a definition raises something by its own lines."""
    return _FAILS.search(lines_of(*found)) is not None


def fails(found: Found) -> bool:
    """Whether an error comes out of a definition by its own lines: raised, or handed back as in Go."""
    return raises(found) or ERROR_RETURNED.search(lines_of(*found)) is not None


def is_based(found: Found) -> bool:
    """Whether a definition that begins in what was read says what it is built on."""
    if found[1].start_line < 0:
        return False
    head, *others = _COMMENTED.sub("", lines_of(*found)).lstrip().split("\n")
    embeds = "struct {" in head and any(EMBEDDED.match(line) for line in others)
    return embeds or BASED.search("\n".join((head, *others[:2]))) is not None


def is_decorated(found: Found) -> bool:
    """Whether a decorator stands in or right above a definition that begins in what was read."""
    return found[1].start_line >= 0 and _DECORATED.search(lines_of(*found, above=ABOVE)) is not None
