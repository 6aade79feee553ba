"""What the outline keeps of one file: its path, kind and definitions as terms; no text of any body."""

from collections.abc import Sequence
from dataclasses import dataclass

from codemem.indexer.document import Document, SourceFile, Symbol
from codemem.outline.words import parts, stem, terms

CONTAINER_STEMS = frozenset({"__init__", "index", "mod", "lib", "main", "package-info", "init", "__main__"})
"""File names that say "this folder": the folder's name then counts as the file's own."""

SIGNATURE_LINES = 4
"""Lines after a definition's first that its signature may take up."""


@dataclass(frozen=True, slots=True)
class SymbolRecord:
    """One definition and its terms."""

    kind: str
    name: str
    scope: str
    start_line: int
    end_line: int
    name_terms: tuple[str, ...]
    context_terms: tuple[str, ...]
    """Of the enclosing scopes."""
    signature_terms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file of the outline."""

    path: str
    oid: str
    kind: str
    lines: int
    stem_terms: tuple[str, ...]
    folder_terms: tuple[str, ...]
    symbols: tuple[SymbolRecord, ...]


def record(file: SourceFile) -> FileRecord:
    """The outline of one file; signatures are read from the text of its documents, which is not kept."""
    folder, _, base = file.path.rpartition("/")
    name = base.split(".", 1)[0] or base.strip(".")
    folders = folder.split("/") if folder else []
    if name.lower() in CONTAINER_STEMS and folders:
        name = f"{name} {folders[-1]}"
    return FileRecord(
        path=file.path,
        oid=file.oid,
        kind=file.kind,
        lines=max((document.end_line for document in file.documents), default=1),
        stem_terms=_unique(terms(name)),
        folder_terms=_unique(term for part in folders for term in terms(part)),
        symbols=tuple(_symbol(symbol, file.documents) for symbol in file.symbols),
    )


def _symbol(symbol: Symbol, documents: Sequence[Document]) -> SymbolRecord:
    return SymbolRecord(
        kind=symbol.kind,
        name=symbol.name,
        scope=symbol.scope,
        start_line=symbol.start_line,
        end_line=symbol.end_line,
        name_terms=_unique(map(stem, parts(symbol.name))),
        context_terms=_unique(terms(symbol.scope)),
        signature_terms=_unique(terms(signature(symbol, documents))),
    )


def signature(symbol: Symbol, documents: Sequence[Document]) -> str:
    """The definition's text from its first line to where its body starts: parameters, types, bases."""
    for document in documents:
        if document.start_line <= symbol.start_line <= document.end_line:
            lines = document.text.split("\n")[symbol.start_line - document.start_line :][: SIGNATURE_LINES + 1]
            lines = lines[: symbol.end_line - symbol.start_line + 1]
            return _before_body("\n".join(lines))
    return ""


def _before_body(text: str) -> str:
    """Cut at the first `{`, `;`, or line-ending `:` outside parentheses."""
    depth = 0
    for place, character in enumerate(text):
        if character in "([":
            depth += 1
        elif character in ")]":
            depth -= 1
        elif depth <= 0 and (character in "{;" or text.startswith((":\n", ":\r\n", "=>"), place)):
            return text[:place]
    return text.split("\n", 1)[0]


def _unique(words: "map[str] | Sequence[str] | object") -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))  # type: ignore[call-overload]
