"""The head of a definition, as an editor shows it: decorators, and what declares it up to its body."""

import re
from collections.abc import Iterator, Sequence

from codemem.model.events import Definition

LONGEST = 240
"""Characters of a head at most; what is longer ends in '...'."""
LINES = 24
"""Of a definition, among which its head is looked for: comments above it count."""
_COMMENT = re.compile(r"\s*(?:#(?!\[)|//|/\*|--|;)")
_WITHIN_COMMENT = re.compile(r"\s*\*")
_BEHIND = re.compile(r"\s+(?:#|//)\s[^'\"]*$")
_ABOVE = re.compile(r"\s*(?:@|#!?\[)")
_ANNOTATIONS = re.compile(r"\s*(?:(?:@[\w.:]+(?:\((?:[^()]|\([^()]*\))*\))?|#!?\[[^\]]*\])\s*)+(?![\w.:]*\()")
_DECLARES = re.compile(r"[(=:<{\[]|\w\s+\w")
"""What a line has that declares something: `static` alone, or a type alone, is followed by it."""
_STRING = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_OPENING, _CLOSING = re.compile(r"[(\[]"), re.compile(r"[)\]]")


def signature(lines: Sequence[str], definition: Definition, *, longest: int = LONGEST) -> str:
    """In one line; '' where it does not stand in the text, because that begins within the definition.

    `lines`: those of the text that the definition's are counted in.
    """
    if definition.start_line < 0:
        return ""
    last = min(definition.end_line, definition.start_line + LINES)
    head = " ".join(" ".join(_head(lines[definition.start_line : last])).split())
    # Quoted in a line of Markdown, where it has to end where it ends.
    head = head.rstrip("{ ").replace("`", "'")
    return head if len(head) <= longest else head[: longest - 3] + "..."


def _head(lines: Sequence[str]) -> Iterator[str]:
    """Lines without comments, up to the end of what declares: where brackets are closed, and no decorator's."""
    open_brackets = 0
    declared = False
    for whole in lines:
        line = _BEHIND.sub("", whole[: 2 * LONGEST])
        # Within brackets a line that begins with * is a parameter.
        if not line.strip() or _COMMENT.match(line) or (not open_brackets and _WITHIN_COMMENT.match(line)):
            continue
        if not open_brackets and not declared:
            rest = _ANNOTATIONS.sub("", line, count=1)
            declared = not _ABOVE.match(rest) and _DECLARES.search(rest) is not None
        yield line
        bare = _STRING.sub("", line)
        open_brackets += len(_OPENING.findall(bare)) - len(_CLOSING.findall(bare))
        if open_brackets <= 0 and declared:
            return
        open_brackets = max(0, open_brackets)
