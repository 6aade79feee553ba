"""Documents of a manifest as text again, and the way from bytes of that text to lines and symbols of the file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from codemem.indexer import (
    Document,
    FileEntry,
    Selection,
    SourceFile,
    Symbol,
    Tree,
    UnreadableFileError,
    blob_id,
    read_file,
)
from codemem.indexer.source_text import SourceText
from codemem.manifest import FileRecord, Manifest
from codemem.reading import OutlinedFile

SNAP_LINES = 3
"""A span is widened to its symbol's border if that is at most so many lines away, or the symbol is short."""
SHORT_SYMBOL_LINES = 40


@dataclass(frozen=True, slots=True)
class Lines:
    """1-based, inclusive."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Place:
    """Lines of a file, and the symbol they belong to."""

    path: str
    lines: Lines
    symbol: str | None


class FileChangedError(Exception):
    """A file is no longer what the manifest says: it changed since, or is gone."""


class Passages:
    """Reads documents of one manifest. Every file is checked against its id before its text is used."""

    def __init__(
        self,
        tree: Tree,
        manifest: Manifest,
        entries: Mapping[str, FileEntry],
        selection: Selection,
        read: Mapping[str, SourceFile] | None = None,
    ) -> None:
        """`read` are files that were read just now; texts of those that have them need not be read again."""
        self._tree = tree
        self._manifest = manifest
        self._entries = entries
        self._selection = selection
        self._read_now = {path: file for path, file in (read or {}).items() if not isinstance(file, OutlinedFile)}
        self._files: dict[int, Sequence[Document]] = {}
        self._records: dict[int, FileRecord] = {}

    def document(self, document: int) -> Document:
        """A document with its text. Raises FileChangedError."""
        row = self._manifest.row_of_document(document)
        if row not in self._files:
            self._files[row] = self._read(row)
        return self._files[row][document - self.record(row).first_document]

    def check(self, document: int) -> None:
        """Raises FileChangedError unless the document's file on disk still is what the manifest says."""
        self._raw(self._manifest.paths[self._manifest.row_of_document(document)])

    def forget(self) -> None:
        """Lets go of the texts read so far."""
        self._files.clear()
        self._records.clear()

    def record(self, row: int) -> FileRecord:
        if row not in self._records:
            self._records[row] = self._manifest.file(row)
        return self._records[row]

    def place(self, document: int, start_byte: int, end_byte: int, *, whole: int | None = None) -> Place:
        """Lines and symbol of bytes of the document's text (UTF-8). `whole`: none of these lines may be left off, and
        they are drawn out to no more than so many.

        Raises FileChangedError.
        """
        text = self.document(document)
        record = self.record(self._manifest.row_of_document(document))
        lines = lines_of(text, start_byte, end_byte)
        symbol = enclosing_symbol(record.symbols, lines)
        name = symbol.qualified_name if symbol else text.symbol
        snapped = snap(lines, symbol, Lines(text.start_line, text.end_line))
        if whole is not None:
            wide = Lines(min(lines.start, snapped.start), max(lines.end, snapped.end))
            snapped = wide if wide.end - wide.start < whole else lines
        return Place(record.path, snapped, name)

    def lines(self, path: str, lines: Lines) -> str:
        """The text of lines of a file as they are now, without the last newline. Raises FileChangedError."""
        source = SourceText(self._raw(path)).source.split(b"\n")
        return b"\n".join(source[lines.start - 1 : lines.end]).decode("utf-8", "replace")

    def _raw(self, path: str) -> bytes:
        row = self._manifest.index_of.get(path)
        entry = self._entries.get(path)
        if entry is None:
            raise FileChangedError(f"{path} is gone")
        try:
            data = self._tree.read(entry)
        except UnreadableFileError as error:
            raise FileChangedError(f"{path}: {error}") from error
        # A file that is not in the manifest is one that was listed and not read yet.
        if blob_id(data, self._tree.object_format) != (entry.oid if row is None else self._manifest.oid(row)):
            raise FileChangedError(f"{path} has changed since it was read")
        return data

    def _read(self, row: int) -> Sequence[Document]:
        record = self.record(row)
        source = self.source_file(record.path)
        if len(source.documents) != len(record.documents):
            raise FileChangedError(f"{record.path} was indexed by another version: run `codemem index --upgrade`")
        return source.documents

    def source_file(self, path: str) -> SourceFile:
        """A file of the manifest, read again, or one that was only listed so far. Raises FileChangedError."""
        if path in self._read_now:
            return self._read_now[path]
        outcome = read_file(
            path,
            self._raw(path),
            reincluded=self._entries[path].reincluded,
            selection=self._selection,
            object_format=self._tree.object_format,
        )
        if not isinstance(outcome, SourceFile):
            raise FileChangedError(f"{path} is left out by this version ({outcome.reason}): run `codemem index`")
        return outcome


def lines_of(document: Document, start_byte: int, end_byte: int) -> Lines:
    """Lines of the file that bytes of a document's text (UTF-8) touch; blank lines at both ends are left off."""
    raw = document.text.encode("utf-8", "surrogatepass")
    piece = raw[start_byte:end_byte]
    start_byte += len(piece) - len(piece.lstrip())
    end_byte = max(end_byte - (len(piece) - len(piece.rstrip())), start_byte)
    first = document.start_line + raw.count(b"\n", 0, start_byte)
    last = document.start_line + raw.count(b"\n", 0, end_byte)
    return Lines(min(first, document.end_line), min(max(first, last), document.end_line))


def enclosing_symbol(symbols: Sequence[Symbol], lines: Lines) -> Symbol | None:
    """The innermost symbol around most of the lines; where none is, of those that start in them the one with most."""
    around = [s for s in symbols if _overlap(s, lines) * 2 > lines.end - lines.start + 1]
    if around:
        return min(around, key=lambda s: (s.end_line - s.start_line, -s.start_line))
    within = [s for s in symbols if lines.start <= s.start_line <= lines.end]
    return max(within, key=lambda s: _overlap(s, lines), default=None)


def _overlap(symbol: Symbol, lines: Lines) -> int:
    return max(0, min(symbol.end_line, lines.end) - max(symbol.start_line, lines.start) + 1)


def snap(lines: Lines, symbol: Symbol | None, document: Lines) -> Lines:
    """The symbol's own lines if they are few; else the lines, drawn out to a border of the symbol that is close by.

    Lines that span several symbols stay as they are. Never beyond the document: only what was scored is shown.
    """
    if symbol is None or _overlap(symbol, lines) * 2 <= lines.end - lines.start + 1:
        return lines
    low, high = max(symbol.start_line, document.start), min(symbol.end_line, document.end)
    if high < low:
        return lines
    if high - low < SHORT_SYMBOL_LINES:
        return Lines(low, high)
    start = low if abs(lines.start - low) <= SNAP_LINES else lines.start
    end = high if abs(high - lines.end) <= SNAP_LINES else lines.end
    return Lines(start, max(start, end))
