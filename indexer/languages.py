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
_OBJC_HEADER = re.compile(rb"^\s*@(?:interface|protocol|class|import)\b|^#import\b", re.MULTILINE)
_OBJC = re.compile(rb"^\s*(?:@(?:implementation|interface|protocol|import|end)\b|#import\b)", re.MULTILINE)


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
    """Extensions that two languages share: headers, .m, .t, .v and .pp."""
    head = data[:16384]
    if name.endswith(".h"):
        if _OBJC_HEADER.search(head):
            return "objc"
        return "cpp" if _CPP_HEADER.search(head) else "c"
    if name.endswith(".m") and head and not _OBJC.search(head):
        return "matlab"
    if name.endswith(".v") and re.search(rb"^\s*(?:end)?module\b", head, re.MULTILINE):
        return "verilog"
    if name.endswith(".pp") and not re.search(rb"^\s*(?:program|unit|uses)\b", head, re.MULTILINE | re.IGNORECASE):
        return "puppet"
    if name.endswith(".t") and not re.search(rb"^\s*(?:use|my|package)\s", head, re.MULTILINE):
        return TEXT
    return language
