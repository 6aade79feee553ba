"""What a document of the corpus defines: its name, as far as its first lines tell in most languages.

The corpus keeps each definition alone and not its name. Parsing what is left of a file loses methods without their
class; the product has whole files, and knows (codemem/definitions.py).
"""

import re

from codemem.training.corpus import path_alone

_BEFORE = ("#", "/", "*", "--", "template", "public:", "private:", "protected:")
"""What begins lines that stand above a definition."""
_PROSE = (".md", ".rst", ".txt", ".json", ".toml", ".yaml", ".yml", ".html", ".css", ".xml", ".cfg", ".ini", ".adoc")
_HEAD_LINES = 3
_NAME = r"([\w$#~]+[?!]?)"
_DECORATORS = re.compile(r"(?:@[\w.]+(?:\([^()]*\))?\s*)+")
_ASSIGNED = re.compile(
    r"^(?:export\s+)?(?:(?:const|let|var|local)\s+)?(?:[\w$.]+\.)?"
    + _NAME
    + r"\s*(?::[^=\n]*)?=\s*(?:async\b\s*)?(?:function\b|\(|<|\w+\s*=>)"
)
_KEYWORD = re.compile(
    r"^(?:pub\([^)]*\)|[^(=])*?\b(?:def|class|fn|func|function|fun|struct|enum|trait|interface|type|module|object|record|union|protocol|impl)\s+"
    r"(?:\*\s*)?(?:\([^)\n]*\)\s*)?(?:(?:self|\w+[.:])\.?)?" + _NAME
)
_CALLED = re.compile(_NAME + r"\s*(?:<[^<>()]*>\s*)?\(")
_SET = re.compile(_NAME + r"\s*(?::[^=\n]*)?=(?!=)")
_RECEIVER = re.compile(r"^func\s*\(\s*\w*\s*\*?(\w+)[^)]*\)\s*(\w+)")
_NO_NAMES = frozenset({"if", "for", "while", "switch", "catch", "return", "function", "async", "get", "set", "new"})


def definition_name(header: str, text: str) -> str | None:
    """With its scope, joined by '.'; None for what defines nothing, as far as can be told."""
    if path_alone(header).rstrip("\n").endswith(_PROSE):
        return None
    lines = (
        _DECORATORS.sub("", line.strip(), count=1) if line.lstrip().startswith("@") else line.strip()
        for line in text.split("\n")
    )
    head = [line for line in lines if line and not line.startswith(_BEFORE)][:_HEAD_LINES]
    if method := _RECEIVER.match(" ".join(head[:1])):
        return f"{method[1]}.{method[2]}"
    for pattern, of in ((_ASSIGNED, head[:1]), (_KEYWORD, head[:1]), (_CALLED, head), (_SET, head[:1])):
        for match in pattern.finditer(" ".join(of)):
            if match[1] not in _NO_NAMES:
                return _scoped(header, match[1])
    return None


def _scoped(header: str, name: str) -> str:
    scope = header.rstrip("\n").partition(" ")[2]
    return name if not scope or scope.rpartition(".")[2] == name else f"{scope}.{name}"
