"""Which language a file is written in: by its name, then its extension, then its first line.

Languages are named as in tree-sitter-language-pack; what has no grammar there is 'text'.
"""

import re
import tomllib
from importlib.resources import files

TEXT = "text"

_NAMES = tomllib.loads(files(__package__).joinpath("languages.toml").read_text("utf-8"))
_BY_NAME = {name: language for language, names in _NAMES["names"].items() for name in names.split()}
_BY_EXTENSION = {ending: language for language, endings in _NAMES["extensions"].items() for ending in endings.split()}

_INTERPRETERS = (
    (re.compile(rb"^#!.*\bpython[0-9.]*\b"), "python"),
    (re.compile(rb"^#!.*\b(?:ba|z|k|da|a)?sh\b"), "bash"),
    (re.compile(rb"^#!.*\b(?:node|deno|bun)\b"), "javascript"),
    (re.compile(rb"^#!.*\bts-node\b"), "typescript"),
    (re.compile(rb"^#!.*\bruby\b"), "ruby"),
    (re.compile(rb"^#!.*\bperl\b"), "perl"),
    (re.compile(rb"^#!.*\bphp\b"), "php"),
    (re.compile(rb"^#!.*\blua(?:jit)?\b"), "lua"),
    (re.compile(rb"^#!.*\bRscript\b"), "r"),
    (re.compile(rb"^#!.*\bfish\b"), "fish"),
    (re.compile(rb"^#!.*\bjulia\b"), "julia"),
    (re.compile(rb"^#!.*\belixir\b"), "elixir"),
    (re.compile(rb"^#!.*\b(?:groovy|scala|tclsh|racket|make)\b"), ""),
    (re.compile(rb"^<\?php\b"), "php"),
    (re.compile(rb"^<\?xml\b"), "xml"),
)

_CPP_HEADER = re.compile(
    rb"^\s*(?:class\s+\w|namespace\b|template\s*<|using\s+\w|(?:public|private|protected)\s*:)", re.M
)
_OBJC = re.compile(rb"^\s*@(?:implementation|interface|protocol|import|class|end)\b|^#import\b", re.MULTILINE)
_SHARED = (
    (".m", _OBJC, "matlab"),
    (".v", re.compile(rb"^\s*(?:pub\s+)?(?:fn|struct|import)\b|^module \w+$", re.MULTILINE), "verilog"),
    (".pp", re.compile(rb"^\s*(?:program|unit|uses)\b", re.MULTILINE | re.IGNORECASE), "puppet"),
    (".t", re.compile(rb"^\s*(?:use|my|package)\s", re.MULTILINE), TEXT),
)
"""Ending, what shows that the language listed for it is meant, and what it is otherwise."""


def language_names() -> frozenset[str]:
    """Names of all languages that files are told by."""
    return frozenset({*_BY_EXTENSION.values(), *_BY_NAME.values()} - {TEXT})


def detect_language(path: str, data: bytes = b"") -> str:
    """The grammar for the file at `path`; `data` (its first bytes) decides where the name is not enough."""
    name = path.rpartition("/")[2].lower()
    language = _BY_NAME.get(name)
    if language is None and name.startswith(("dockerfile.", "makefile.", "containerfile.")):
        language = _BY_NAME[name.partition(".")[0]]
    if language is None and "." in name:
        language = _BY_EXTENSION.get(name.rpartition(".")[2])
    if language is None:
        return _by_first_line(data)
    return _ambiguous(language, name, data)


def _by_first_line(data: bytes) -> str:
    first = data[:200].partition(b"\n")[0]
    for pattern, language in _INTERPRETERS:
        if match := pattern.search(first):
            return language or match[0].rsplit(b"/")[-1].split()[-1].decode("ascii").replace("tclsh", "tcl")
    return TEXT


def _ambiguous(language: str, name: str, data: bytes) -> str:
    """Extensions that two languages share: decided by what only one of them can say."""
    head = data[:16384]
    if name.endswith(".h"):
        return "objc" if _OBJC.search(head) else "cpp" if _CPP_HEADER.search(head) else "c"
    for ending, sign, otherwise in _SHARED:
        if name.endswith(ending) and head:
            return language if sign.search(head) else otherwise
    return language
