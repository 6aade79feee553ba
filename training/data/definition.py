"""What is read out of source files: definitions with their documentation, and the question that it makes."""

import re
from dataclasses import dataclass
from functools import lru_cache

MIN_CHARACTERS = 60
MAX_CHARACTERS = 1600
QUESTION_CHARACTERS = range(25, 301)

_BOILERPLATE = re.compile(
    r"copyright|licen[sc]ed? |all rights reserved|auto-?generated|do not edit|todo|fixme|xxx|deprecated[.:]"
    r"|noqa|pylint|eslint|nodoc|^:\w+|^@\w+|^>>>|^args?:|^arguments?:|^parameters?:?$|^returns?:"
    r"|^https?:|^see (also|:|\w+$)|inheritdoc|^---|^===|^\W*$|lint:|istanbul|webpack"
    r"|clang-format|^#!|-\*-|swiftlint|checkstyle|^internal( use)?( only)?\.?$",
    re.IGNORECASE,
)
_NAME_PART = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_WORD = re.compile(r"[A-Za-z]{2,}")
_CALL = re.compile(r"\b([A-Za-z_]\w{4,})\(")
_MARKUP = (
    (re.compile(r":[\w:+.-]+:`~[\w.]*?(\w+)`"), r"\1"),  # :class:`~a.B` of reStructuredText, shown as B
    (re.compile(r":[\w:+.-]+:`([^`<]+?)(?:\s*<[^>]*>)?`"), r"\1"),
    (re.compile(r"\{@\w+\s+([^}]*)\}"), r"\1"),  # {@link Foo} of Javadoc and JSDoc
    (re.compile(r"\[([^\]]+)\]\((?:https?:)?[^)]*\)"), r"\1"),  # [text](address) of Markdown
    (re.compile(r"</?[a-zA-Z][^<>]{0,80}?>"), " "),  # HTML and XML documentation tags
    (re.compile(r"``?([^`]+)``?"), r"\1"),
)


@dataclass(frozen=True, slots=True)
class Definition:
    """A function, method, class or top-level window of one file."""

    path: str
    """Repository-relative, '/'-separated."""
    language: str
    """tree-sitter-language-pack's name of the grammar."""
    kind: str
    """'function', 'method', 'class', 'window' (a part of a file) or 'text' (a section of prose)."""
    name: str
    scope: str
    """Names of the enclosing definitions joined by '.'."""
    code: str
    """Source without its documentation, not yet cut."""
    documentation: str
    """Docstring or documentation comment without comment marks; '' if there is none."""
    signature: str = ""
    """First line or lines of the definition, white space folded."""
    calls: tuple[tuple[str, str], ...] = ()
    """(called name, source line of the call site) within the body."""
    test: bool = False
    """Whether it lies in a test file."""

    @property
    def header(self) -> str:
        """The line before the text, exactly as `codemem.indexer.document.Document.header`."""
        return f"{self.path} {self.scope}\n" if self.scope else f"{self.path}\n"

    @property
    def text(self) -> str:
        """The document's text: the code, cut at MAX_CHARACTERS at a line's end where possible."""
        return cut(self.code)


def cut(code: str) -> str:
    """Cut a text at MAX_CHARACTERS, at a line's end if one lies in the second half."""
    code = code.strip("\n")
    if len(code) <= MAX_CHARACTERS:
        return code
    end = code.rfind("\n", MAX_CHARACTERS // 2, MAX_CHARACTERS)
    return code[: end if end > 0 else MAX_CHARACTERS]


def fold(text: str) -> str:
    """Join runs of white space into single spaces."""
    return re.sub(r"\s+", " ", text).strip()


@lru_cache(50_000)
def question_of(documentation: str) -> str | None:
    """Return the first sentence, or else the first paragraph, of documentation if a person might ask it.

    25 to 300 characters, at least four words, no licence texts, tags or generated remarks.
    """
    paragraph = re.split(
        r"\n\s*\n|\n\s*(?:@\w|:\w+[ :]|Args:|Arguments:|Parameters|Returns?:|Raises:|>>>|```)", documentation.strip()
    )[0]
    for pattern, replacement in _MARKUP:
        paragraph = pattern.sub(replacement, paragraph)
    paragraph = fold(paragraph).strip("*/-= ")
    sentence = re.split(r"(?<=[.!?])\s+(?=[A-Z`(\"'])", paragraph)[0]
    for candidate in (sentence, paragraph):
        if len(candidate) in QUESTION_CHARACTERS:
            return candidate if _is_prose(candidate) else None
    return None


def _is_prose(text: str) -> bool:
    words = _WORD.findall(text)
    return len(words) >= 4 and sum(map(len, words)) >= 0.6 * len(text) and not _BOILERPLATE.search(text)


def call_sites(code: str, limit: int = 40) -> tuple[tuple[str, str], ...]:
    """Return (called name, its line folded) for calls on lines after the first, comments left out.

    By pattern rather than by tree: ten times faster, and a wrong hit names no definition of the package.
    """
    found: list[tuple[str, str]] = []
    for line in code.split("\n")[1:]:
        if not re.match(r"\s*(?:#|//|\*|--|def |func |fn |function |class )", line):
            found.extend((name, fold(line)[:300]) for name in _CALL.findall(line))
    return tuple(found[:limit])


@lru_cache(200_000)
def split_name(name: str) -> tuple[str, ...]:
    """Split a name at underscores and changes of case, in lower case: 'HTTPAdapterSend' -> http adapter send."""
    return tuple(part.lower() for part in _NAME_PART.findall(name))
