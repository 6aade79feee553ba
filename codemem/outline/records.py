"""What the outline keeps of one file: its path, kind and definitions as terms, and the words of its documents."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from codemem.indexer.document import SourceFile, Symbol
from codemem.indexer.kinds import file_kind
from codemem.indexer.languages import detect_language
from codemem.outline.bodies import NO_WORDS, FileWords, file_words
from codemem.outline.words import STOP_STEMS, parts, stem, terms

CONTAINER_STEMS = frozenset({"__init__", "index", "mod", "lib", "main", "package-info", "init", "__main__"})
"""File names that say "this folder": the folder's name then counts as the file's own."""


class SymbolRecord(NamedTuple):
    """One definition and its terms; a tuple because a large repository has hundreds of thousands."""

    kind: str
    name: str
    scope: str
    start_line: int
    end_line: int
    name_terms: tuple[str, ...]
    context_terms: tuple[str, ...]
    """Of the enclosing scopes."""
    signature_terms: tuple[str, ...]
    doc_terms: tuple[str, ...]
    """Of the first line that documents it."""


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
    words: FileWords = NO_WORDS
    """Of its documents, as the model reads them, path and scope included."""


def record(file: SourceFile) -> FileRecord:
    """The outline of one file."""
    stem_terms, folder_terms = _path_terms(file.path)
    return FileRecord(
        path=file.path,
        oid=file.oid,
        kind=file.kind,
        lines=max((document.end_line for document in file.documents), default=1),
        stem_terms=stem_terms,
        folder_terms=folder_terms,
        symbols=tuple(_symbol(symbol) for symbol in file.symbols),
        words=file_words(document.header + document.text for document in file.documents),
    )


def unread_record(path: str) -> FileRecord:
    """What the name of a file says of it."""
    return FileRecord(path, "", file_kind(path, detect_language(path)), 1, *_path_terms(path), ())


def _path_terms(path: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Terms of the file's own name, and of its folders."""
    folder, _, base = path.rpartition("/")
    name = base.split(".", 1)[0] or base.strip(".")
    folders = folder.split("/") if folder else []
    if name.lower() in CONTAINER_STEMS and folders:
        name = f"{name} {folders[-1]}"
    return _unique(terms(name)), _unique(term for part in folders for term in _folder_terms(part))


def _symbol(symbol: Symbol) -> SymbolRecord:
    return SymbolRecord(
        kind=symbol.kind,
        name=symbol.name,
        scope=symbol.scope,
        start_line=symbol.start_line,
        end_line=symbol.end_line,
        name_terms=name_terms(symbol.name),
        context_terms=scope_terms(symbol.scope),
        signature_terms=_unique(terms(symbol.signature)),
        doc_terms=_unique(term for term in terms(symbol.doc) if term not in STOP_STEMS),
    )


@lru_cache(maxsize=50_000)
def _folder_terms(folder: str) -> tuple[str, ...]:
    return tuple(terms(folder))


@lru_cache(maxsize=200_000)
def name_terms(name: str) -> tuple[str, ...]:
    """Terms of a definition's name."""
    return _unique(map(stem, parts(name)))


@lru_cache(maxsize=50_000)
def scope_terms(scope: str) -> tuple[str, ...]:
    """Terms of the scopes around a definition."""
    return _unique(terms(scope))


def _unique(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))
