"""The manifest: which documents, at which offsets of which files, make up a working tree.

A manifest is a value: `manifest_build` makes the next one from the last, `manifest_file` keeps it on disk. It holds
columns: a row a file, a row a document, and for each file a JSON text with its documents and symbols that is parsed
only when asked for, so that 10,000 files are read in some 50 ms (docs/decisions/0009).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from codemem.indexer.document import FILE_KINDS, Skipped, Symbol
from codemem.indexer.tree import StatCache

KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A listed file that its content rules out. Kept with its id, so that it is not read again to find out."""

    path: str
    oid: str
    reason: str


@dataclass(frozen=True, slots=True)
class DocumentSpan:
    """Where a document lies in its file. Ranges as in `indexer.Document`."""

    scope: str
    start_byte: int
    end_byte: int
    start_line: int
    end_line: int
    symbol: str | None


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file of a manifest."""

    path: str
    oid: str
    language: str
    kind: str
    documents: tuple[DocumentSpan, ...]
    symbols: tuple[Symbol, ...]
    first_document: int
    """Index of its first document among the manifest's documents."""


@dataclass(frozen=True, slots=True)
class DocumentKeys:
    """Entry keys of all documents under one layout. Shapes: keys [documents, 32] uint8, tokens [documents] uint32.

    A document that was not tokenised yet has 0 tokens and a key of zeros.
    """

    keys: npt.NDArray[np.uint8]
    tokens: npt.NDArray[np.uint32]

    @classmethod
    def unknown(cls, documents: int) -> Self:
        return cls(np.zeros((documents, KEY_BYTES), np.uint8), np.zeros(documents, np.uint32))

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        return self.tokens > 0

    def key_list(self) -> list[bytes]:
        data = self.keys.tobytes()
        return [data[at : at + KEY_BYTES] for at in range(0, len(data), KEY_BYTES)]


@dataclass(frozen=True, slots=True)
class ManifestInfo:
    """What is true of a manifest as a whole. Everything in it fits JSON."""

    commit: str | None = None
    """HEAD when it was made; None outside git or before the first commit."""
    model: str | None = None
    """The model that this repository's memory is kept for."""
    purpose: str = "outline"
    """'ask': entries of all routed layers; 'find': of the lower ones alone; 'outline': none so far."""
    layouts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Purpose -> the layout that serves it (`memory.layout_info`), of the model's version that `index` used."""
    tokens_per_second: float | None = None
    """Encoding speed of the last run that encoded enough to tell."""

    @property
    def serves_ask(self) -> bool:
        """Whether answering is served: also by a memory for `find`, of a model that routes in no other layers."""
        if self.purpose != "find":
            return self.purpose == "ask"
        found = self.layouts.get("find")  # a file on disk: it may lack what we would have written
        return found is not None and found == self.layouts.get("ask")


@dataclass(frozen=True, slots=True)
class Columns:
    """Arrays with a row a file, and the concatenated bodies."""

    oids: npt.NDArray[np.uint8]
    """[files, 20], or [files, 32] in a repository of SHA-256 objects"""
    languages: npt.NDArray[np.uint16]
    kinds: npt.NDArray[np.uint8]
    remembered: npt.NDArray[np.bool_]
    """[files] whether an earlier version was wholly in memory: such a file is changed, others are new."""
    document_starts: npt.NDArray[np.int64]
    """[files + 1]"""
    body_starts: npt.NDArray[np.int64]
    """[files + 1]"""
    bodies: npt.NDArray[np.uint8]
    """[bytes] JSON of documents and symbols, file after file"""


@dataclass(frozen=True)
class Manifest:
    """Files sorted by path, and their documents. Immutable; make one with `Manifest.empty().updated(...)`."""

    info: ManifestInfo
    paths: Sequence[str]
    skipped: Sequence[Skipped]
    """Left out by the listing (name, size, kind of file)."""
    left_out: Sequence[LeftOut]
    language_names: Sequence[str]
    columns: Columns
    reincluded: AbstractSet[str] = frozenset()
    """Files that a '!' pattern took: the pattern's coming or going makes them changed."""
    stat_cache: StatCache = field(default_factory=dict)
    """What the next listing compares the tree with; files that may still change unseen are not in it."""
    keys: Mapping[str, DocumentKeys] = field(default_factory=dict)
    """Layout fingerprint -> keys of all documents."""

    @classmethod
    def empty(cls, info: ManifestInfo | None = None) -> Self:
        return cls(info or ManifestInfo(), (), (), (), (), _no_columns())

    def __len__(self) -> int:
        """Files."""
        return len(self.paths)

    @property
    def documents(self) -> int:
        return int(self.columns.document_starts[-1])

    @cached_property
    def index_of(self) -> Mapping[str, int]:
        """Path -> row."""
        return {path: i for i, path in enumerate(self.paths)}

    @cached_property
    def known_oids(self) -> Mapping[str, str]:
        """Path -> id of every file that was read, those left out for their content included."""
        left_out = {file.path: file.oid for file in self.left_out}
        return dict(zip(self.paths, self.oids(), strict=True)) | left_out

    def __contains__(self, path: object) -> bool:
        return path in self.index_of

    def oid(self, row: int) -> str:
        return bytes(self.columns.oids[row]).hex()

    def oids(self) -> list[str]:
        """Of all files, in order."""
        width, data = 2 * self.columns.oids.shape[1], self.columns.oids.tobytes().hex()
        return [data[at : at + width] for at in range(0, len(data), width)]

    def kind(self, row: int) -> str:
        return FILE_KINDS[int(self.columns.kinds[row])]

    def file(self, row: int) -> FileRecord:
        """Everything about one file; parses its body."""
        starts = self.columns.body_starts
        body = json.loads(self.columns.bodies[starts[row] : starts[row + 1]].tobytes())
        return FileRecord(
            path=self.paths[row],
            oid=self.oid(row),
            language=self.language_names[self.columns.languages[row]],
            kind=self.kind(row),
            documents=tuple(DocumentSpan(*values) for values in body["d"]),
            symbols=tuple(Symbol(*values) for values in body["s"]),
            first_document=int(self.columns.document_starts[row]),
        )

    def files(self) -> Iterator[FileRecord]:
        return (self.file(row) for row in range(len(self)))

    def row_of_document(self, document: int) -> int:
        """Row of the file that holds a document."""
        return int(np.searchsorted(self.columns.document_starts, document, side="right")) - 1

    def document_range(self, row: int) -> range:
        starts = self.columns.document_starts
        return range(int(starts[row]), int(starts[row + 1]))

    def document_at(self, path: str, line: int) -> int | None:
        """The document that holds a line (1-based) of a file; None if there is none."""
        row = self.index_of.get(path)
        if row is None:
            return None
        record = self.file(row)
        for number, span in enumerate(record.documents):
            if span.start_line <= line <= span.end_line:
                return record.first_document + number
        return None

    @property
    def fingerprint(self) -> str | None:
        """Of the layout in use; None before there is a memory."""
        layout = self.info.layouts.get(self.info.purpose)
        return str(layout["fingerprint"]) if layout else None

    def keys_for(self, fingerprint: str) -> DocumentKeys:
        return self.keys.get(fingerprint) or DocumentKeys.unknown(self.documents)

    def with_keys(self, keys: Mapping[str, DocumentKeys]) -> "Manifest":
        """Replaces all key columns; columns of layouts not named are dropped."""
        for column in keys.values():
            if len(column) != self.documents:
                raise ValueError(f"{len(column)} keys for {self.documents} documents")
        return replace(self, keys=dict(keys))

    def with_info(self, **changes: Any) -> "Manifest":
        return replace(self, info=replace(self.info, **changes))

    def with_remembered(self, rows: npt.NDArray[np.bool_]) -> "Manifest":
        """Marks the files ([files], True: mark) as wholly in memory; none is unmarked."""
        remembered = self.columns.remembered | rows
        return replace(self, columns=replace(self.columns, remembered=remembered))

    @property
    def all_skipped(self) -> list[Skipped]:
        """Every file that was not read, by path, with the reason."""
        return sorted([*self.skipped, *(Skipped(f.path, f.reason) for f in self.left_out)], key=lambda s: s.path)


def _no_columns() -> Columns:
    return Columns(
        oids=np.zeros((0, 20), np.uint8),
        languages=np.zeros(0, np.uint16),
        kinds=np.zeros(0, np.uint8),
        remembered=np.zeros(0, np.bool_),
        document_starts=np.zeros(1, np.int64),
        body_starts=np.zeros(1, np.int64),
        bodies=np.zeros(0, np.uint8),
    )
