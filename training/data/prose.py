"""What people write beside the code: README and change log, cut into sections, and a file's opening comment.

Sections are documents too: a repository's memory holds them, they share many words with a question, and the code is
what is asked for. So they are never answers here, only what an answer competes with; their sentences are questions.
"""

import hashlib
import re
from collections.abc import Iterator

from .definition import MAX_CHARACTERS, MIN_CHARACTERS, Definition, fold, question_of

WANTED = re.compile(
    r"(?:^|/)(?:readme|change(?:s|log)|history|news|releases?|upgrading|migration|architecture|design|overview|usage)"
    r"[^/]*\.(?:md|rst|markdown|txt)$|(?:^|/)docs?/[^/]+\.(?:md|rst)$|\.dist-info/METADATA$",
    re.IGNORECASE,
)
MAX_SECTIONS = 60
"""A package; chosen by hash."""
_HEADING = re.compile(r"^#{1,4}[ \t]+(.+?)[ \t]*#*$|^(\S.{2,70})\n[=\-~^*+]{3,}[ \t]*$", re.MULTILINE)
_LICENCE = re.compile(r"licen[sc]e|copyright|contribut|sponsor|author|acknowledg|badge|code of conduct", re.IGNORECASE)
_CHANGES = re.compile(r"change|history|news|release", re.IGNORECASE)


def sections(path: str, text: str) -> Iterator[Definition]:
    """The sections of a text, as documents of kind 'text' named by their headings."""
    starts = [*_HEADING.finditer(text)]
    for number, found in enumerate(starts):
        heading = fold(found[1] or found[2])
        end = starts[number + 1].start() if number + 1 < len(starts) else len(text)
        body = text[found.start() : end].strip("\n")
        if len(body) >= 2 * MIN_CHARACTERS and not _LICENCE.search(heading):
            yield Definition(path, "markdown", "text", heading[:80], "", body, "")


def bounded(found: list[Definition]) -> list[Definition]:
    """At most MAX_SECTIONS of a package."""
    found = sorted(found, key=lambda d: hashlib.sha256(f"{d.path}{d.name}{d.code[:80]}".encode()).digest())
    return found[:MAX_SECTIONS]


def is_change(path: str) -> bool:
    """Whether a text tells what changed between releases."""
    return bool(_CHANGES.search(path.rsplit("/", 1)[-1]))


def sentences(section: Definition) -> Iterator[str]:
    """Sentences and items of a section that might be questions, markup taken off but for backticks."""
    plain = re.sub(r"```.*?```|`{3,}.*|^\s{4,}.*$|^\|.*$|<!--.*?-->", "", section.code, flags=re.DOTALL | re.MULTILINE)
    plain = re.sub(r"\(?\[?#\d+\]?(?:\([^)]*\))?\)?|\[([^\]]+)\]\([^)]*\)|\*\*|:\w+:(?=`)", r"\1", plain)
    for item in re.split(r"\n\s*\n|\n(?=\s*[-*+]\s)", plain):
        line = re.sub(r"^(?:[-*+o]\s+)?(?:[A-Z]+-\d+:?\s+)?", "", fold(item))
        first = re.split(r"(?<=[.!?])\s+(?=[A-Z`])", line)[0]
        if re.match(r"[A-Z`]", first) and question_of(first):
            yield first


def metadata_body(text: str) -> str:
    """The long description within a wheel's METADATA."""
    return text.partition("\n\n")[2]


def opening(path: str, language: str, text: str, comment: str, after: int) -> Definition | None:
    """The head of a file with its opening comment as documentation: what stands from character `after` on.

    None if the comment says nothing that could be asked or if too little code follows.
    """
    if question_of(comment) is None or re.match(r"go:build|\+build", comment):
        return None
    code = text[after : after + MAX_CHARACTERS]
    code = code[: code.rfind("\n") if len(text) > after + MAX_CHARACTERS else len(code)]
    if len(code.strip()) < 2 * MIN_CHARACTERS:
        return None
    name = path.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    return Definition(path, language, "window", name, "", code, comment)
