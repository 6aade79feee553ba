"""Texts as the editor holds them, kept by LSP's own rules.

pygls keeps them too, but takes form feeds and Unicode's separators for ends of lines, which LSP does not: one such
character in a file and every later edit lands elsewhere.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from lsprotocol import types
from pygls.uris import to_fs_path

from codemem.lsp.greeting import Encoding

_LINE_END = re.compile(r"\r\n|\n|\r")


MAX_BYTES = 4 * 1024**2
"""Of unsaved text that is taken along; files that large are read by nobody."""


@dataclass(slots=True)
class Buffer:
    """One open document."""

    uri: str
    text: str
    version: int
    _compared: tuple[int, int, int] | None = None
    """Version of the text, and time and size of the file, when the two were last compared."""
    _differs: bool = False

    @property
    def path(self) -> Path | None:
        """The file; None for documents that are none."""
        return file_of(self.uri)

    @property
    def data(self) -> bytes:
        return self.text.encode("utf-8", "replace")

    @property
    def unsaved(self) -> bool:
        """Whether it differs from the file, or there is no file. The file is read only if either changed."""
        path = self.path
        if path is None:
            return False
        try:
            found = path.stat()
            now = (self.version, found.st_mtime_ns, found.st_size)
            if now != self._compared:
                self._differs = path.read_bytes() != self.data
                self._compared = now
            return self._differs
        except OSError:
            return True

    def text_of(self, span: types.Range, encoding: Encoding) -> str:
        """The text of a range; positions outside the document are moved into it."""
        start, end = (offset(self.text, place, encoding) for place in (span.start, span.end))
        return self.text[min(start, end) : max(start, end)]


class Buffers:
    """Open documents by URI."""

    def __init__(self) -> None:
        self._open: dict[str, Buffer] = {}
        self.encoding: Encoding = "utf-16"

    def get(self, uri: str) -> Buffer | None:
        return self._open.get(uri)

    def opened(self, document: types.TextDocumentItem) -> None:
        self._open[document.uri] = Buffer(document.uri, document.text, document.version)

    def changed(self, params: types.DidChangeTextDocumentParams) -> None:
        """Applies edits in order; those for a document that is not open are passed over."""
        buffer = self._open.get(params.text_document.uri)
        if buffer is None:
            return
        for change in params.content_changes:
            if isinstance(change, types.TextDocumentContentChangePartial):
                start = offset(buffer.text, change.range.start, self.encoding)
                end = max(start, offset(buffer.text, change.range.end, self.encoding))
                buffer.text = buffer.text[:start] + change.text + buffer.text[end:]
            else:
                buffer.text = change.text
        buffer.version = params.text_document.version

    def closed(self, uri: str) -> None:
        self._open.pop(uri, None)

    def unsaved(self) -> dict[Path, str]:
        """Text by path of the documents that differ from their files."""
        return {
            path: buffer.text
            for buffer in self._open.values()
            if len(buffer.text) <= MAX_BYTES and buffer.unsaved and (path := buffer.path)
        }


def file_of(uri: str) -> Path | None:
    """The path of a `file:` URI; None for others and for what is none."""
    try:
        path = to_fs_path(uri)
    except ValueError:
        return None
    return Path(path) if path and "\0" not in path else None


def may_be_read(uri: str) -> bool:
    """Whether a file could be one of the tree. What git and codemem keep is none, and codemem writes there itself:
    taking that for a change would have it look at everything again, for ever."""
    path = file_of(uri)
    return path is not None and not {".git", ".codemem"} & set(path.parts)


def offset(text: str, place: types.Position, encoding: Encoding) -> int:
    """Characters before a position; one beyond the end of its line or of the text is moved back to it."""
    start = 0
    for _ in range(place.line):
        end = _LINE_END.search(text, start)
        if end is None:
            return len(text)
        start = end.end()
    end = _LINE_END.search(text, start)
    line = text[start : end.start() if end else len(text)]
    return start + _characters(line, place.character, encoding)


def _characters(line: str, units: int, encoding: Encoding) -> int:
    """Characters in the first `units` code units of a line; half a character counts as none."""
    if encoding == "utf-32" or line.isascii():
        return min(units, len(line))
    for index, char in enumerate(line):
        units -= _width(char, encoding)
        if units < 0:
            return index
    return len(line)


def _width(char: str, encoding: Encoding) -> int:
    """Code units of a character."""
    if encoding == "utf-16":
        return 1 + (char > "\uffff")
    return 1 + (char > "\x7f") + (char > "\u07ff") + (char > "\uffff")
