"""What a document of the corpus defines: its name, as far as its first lines tell in most languages.

The corpus keeps each definition alone and not its name. Parsing what is left of a file loses methods without their
class; the product has whole files, and knows (codemem/definitions.py).
"""

import re

from codemem.training.corpus import path_alone

_PROSE = (".md", ".rst", ".txt", ".json", ".toml", ".yaml", ".yml", ".html", ".css", ".xml", ".cfg", ".ini", ".adoc")
_HASKELL = (".hs", ".lhs")
_HEAD_LINES = 3
_LONGEST = 300
"""Characters of a line that are looked at; what is longer was written by a machine."""
_ABOVE_BYTES = 4000
_ROUND = r"\((?:[^()]|\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))*\)"
_SQUARE = r"\[(?:[^\[\]]|\[[^\[\]]*\])*\]"
_ANGLE = r"<(?:[^<>]|<(?:[^<>]|<[^<>]*>)*>)*>"
_ABOVE = re.compile(
    r"\s+|//[^\n]*|--[^\n]*|/\*.*?\*/|\*[^\n]*|(?:public|private|protected):(?!:)"
    rf"|\#!?{_SQUARE}|\#[^\n]*|{_SQUARE}(?=\s*[\w\[])|template\s*{_ANGLE}"
    rf"|@(?!interface\b|protocol\b|implementation\b)[\w.:]+(?:[ \t]*{_ROUND})?",
    re.DOTALL,
)
"""What stands above a definition: comments, decorators, attributes."""
_COMMENT = ("#", "//", "/*", "*", "--")
_NOTHING = re.compile(
    r"[rub]{0,2}[\"']|(?:import|from|package|use|pub use|using|require|require_relative|include|if|elif|else|for|while"
    r"|switch|try|with|return)(?:\s*[\"'{*<]|\s+\w|\s*$)|export\s*[{*]"
)
"""Lines that define nothing, and whose calls are no definitions."""
_NAME = r"([\w$~]+[?!]?)"
_ASSIGNED = re.compile(
    r"^(?:export\s+)?(?:(?:const|let|var|local)\s+)?(?:[\w$.]+\.)?"
    + _NAME
    + r"\s*(?:(?::[^=\n]*)?(?:=|<-)\s*(?:async\b\s*)?(?:function\b|\(|<|\w+\s*=>)"
    r"|:\s*(?:async\b\s*)?(?:function\b|(?:\([^=\n]*\)|\w+)\s*=>))"
)
_IMPLEMENTED = re.compile(rf"^(?:unsafe\s+)?impl\b\s*(?:{_ANGLE})?\s*(?:[^{{]*\bfor\s+)?[&\s]*(?:\w+::)*" + _NAME)
_KEYWORD = re.compile(
    r"^(?:pub\([^)]*\)|[^(=])*?\b"
    r"(?:def|class|fn|func|function|fun|enum|trait|interface|type|module|object|record|protocol"
    r"|(?:struct|enum|union)(?!\s+\w+[\s*&]+\w+\s*\())(?:\s+(?:class|struct|interface|object|function))?"
    r"\s*(?:(?<=\w)\s|\*)\s*(?:\([^)\n]*\)\s*)?(?:\w+(?:<[^<>]*>)?(?:\.|::?))*" + _NAME
)
_SET = re.compile(r"^(?:(?:[\w$.,<>\[\]*&?| ]|::)*[\s.*&])?" + _NAME + r"\s*(?::[^=(]*)?=(?![=>])")
_CALLED = re.compile(_NAME + r"\s*(?:<[^<>()]*>\s*)?\(")
_RECEIVER = re.compile(r"^func\s*\(\s*\w*\s*\*?(\w+)[^)]*\)\s*(\w+)")
_IN_HASKELL = re.compile(r"^(?:(?:data|newtype|type|class)\s+(?:family\s+)?(?:.*=>\s*)?)?(?!instance\b)([^\W\d]\w*)")
_NO_NAMES = frozenset({
    "if", "for", "while", "switch", "catch", "return", "function", "async", "await", "new", "throw", "not", "sizeof",
    "__attribute__", "__declspec", "alignas", "noexcept", "decltype",
})  # fmt: skip


def definition_name(header: str, text: str) -> str | None:
    """With its scope, joined by '.'; None for what defines nothing, as far as can be told."""
    path = path_alone(header).rstrip("\n")
    if path.endswith(_PROSE):
        return None
    head = _head(text)
    if not head or _NOTHING.match(head[0]):
        return None
    if method := _RECEIVER.match(head[0]):
        return f"{method[1]}.{method[2]}"
    if path.endswith(_HASKELL):
        found = _IN_HASKELL.match(head[0])
        return _scoped(header, found[1]) if found else None
    for pattern in (_ASSIGNED, _IMPLEMENTED, _KEYWORD, _SET):
        if found := pattern.match(head[0]):
            return _scoped(header, found[1])
    called = (found[1] for found in _CALLED.finditer(" ".join(head)))
    name = next((name for name in called if name not in _NO_NAMES), None)
    return _scoped(header, name) if name else None


def first_line(text: str) -> str:
    """The first line of what a text defines, below what stands above it; '' where there is none."""
    return next(iter(_head(text)), "")


def _head(text: str) -> list[str]:
    """Its first lines, without what stands above the definition."""
    at = 0
    while at < _ABOVE_BYTES and (above := _ABOVE.match(text, at)):
        at = above.end()
    lines = (line.strip() for line in text[at : at + _ABOVE_BYTES].split("\n"))
    return [line[:_LONGEST] for line in lines if line and not line.startswith(_COMMENT)][:_HEAD_LINES]


def _scoped(header: str, name: str) -> str:
    scope = header.rstrip("\n").partition(" ")[2]
    return name if not scope or scope.rpartition(".")[2] == name else f"{scope}.{name}"
