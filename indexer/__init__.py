"""From git blobs and plain folders to documents: languages, outlines, spans, ignore rules. Knows no model."""

from .document import FILE_KINDS, SYMBOL_KINDS, Document, Skipped, SourceFile, Symbol
from .errors import (
    BareRepositoryError,
    IndexerError,
    RepositoryError,
    RevisionError,
    TreeNotFoundError,
    UnreadableFileError,
    UntrustedRepositoryError,
)
from .indexing import index_tree, most_useful_first
from .languages import detect_language
from .opening import open_tree
from .outline import outline_languages
from .paths import decode_path, encode_path
from .reading import read_file
from .selection import DEFAULT_SELECTION, Selection
from .tree import FileEntry, FileStat, Listing, StatCache, Tree, blob_id

__all__ = [
    "DEFAULT_SELECTION",
    "FILE_KINDS",
    "SYMBOL_KINDS",
    "BareRepositoryError",
    "Document",
    "FileEntry",
    "FileStat",
    "IndexerError",
    "Listing",
    "RepositoryError",
    "RevisionError",
    "Selection",
    "Skipped",
    "SourceFile",
    "StatCache",
    "Symbol",
    "Tree",
    "TreeNotFoundError",
    "UnreadableFileError",
    "UntrustedRepositoryError",
    "blob_id",
    "decode_path",
    "detect_language",
    "encode_path",
    "index_tree",
    "most_useful_first",
    "open_tree",
    "outline_languages",
    "read_file",
]
