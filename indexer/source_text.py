"""Raw bytes as text, with the way back from every place in the text to its byte in the file."""

from bisect import bisect_right
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from functools import cached_property
from itertools import accumulate, pairwise

UTF8 = "utf-8"


class SourceText:
    """A file's text as UTF-8 (`source`), which grammars and the splitter read, and its offsets in the raw bytes.

    Encodings, in order: a byte order mark's (UTF-8, UTF-16), UTF-8, else Latin-1, which takes every byte, so that text
    in an unknown or broken encoding is still read and still leads to its bytes.
    """

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.encoding, self._mark = _encoding(raw)
        if self.encoding == UTF8:
            self.source = raw[self._mark :]
        else:
            self.source = raw[self._mark :].decode(self.encoding).encode(UTF8)

    @property
    def is_raw(self) -> bool:
        """Whether offsets in `source` are offsets in the file."""
        return self.encoding == UTF8 and self._mark == 0

    @cached_property
    def line_starts(self) -> list[int]:
        """Offset in `source` of each line; lines end with '\\n'."""
        lengths = [len(line) + 1 for line in self.source.split(b"\n")]
        starts = list(accumulate(lengths, initial=0))[:-1]
        if starts[-1] == len(self.source) and len(starts) > 1:
            starts.pop()
        return starts

    @cached_property
    def _raw_line_starts(self) -> list[int]:
        """Raw offset of each line, where the encoding is not UTF-8."""
        starts = []
        position = self._mark
        bounds = [*self.line_starts, len(self.source)]
        for start, end in pairwise(bounds):
            starts.append(position)
            position += self._raw_length(start, end)
        return starts

    def _raw_length(self, start: int, end: int) -> int:
        return len(self.source[start:end].decode(UTF8).encode(self.encoding))

    def line(self, offset: int) -> int:
        """0-based line of a place in `source`."""
        return bisect_right(self.line_starts, offset) - 1

    def to_raw(self, offset: int) -> int:
        """The byte in the file of a place in `source`; the end of the text is the end of the file."""
        if offset >= len(self.source):
            return len(self.raw)
        if offset == 0:
            return 0  # a byte order mark belongs to the first place
        if self.encoding == UTF8:
            return offset + self._mark
        line = self.line(offset)
        return self._raw_line_starts[line] + self._raw_length(self.line_starts[line], offset)


def _encoding(raw: bytes) -> tuple[str, int]:
    """(Python's codec without a mark, length of the mark)."""
    if raw.startswith(BOM_UTF8):
        return (UTF8, 3) if _decodes(raw, UTF8) else ("latin-1", 0)
    for mark, codec in ((BOM_UTF16_LE, "utf-16-le"), (BOM_UTF16_BE, "utf-16-be")):
        if raw.startswith(mark):
            return (codec, 2) if _decodes(raw, codec) else ("latin-1", 0)
    return (UTF8, 0) if _decodes(raw, UTF8) else ("latin-1", 0)


def _decodes(raw: bytes, codec: str) -> bool:
    try:
        raw.decode(codec)
    except UnicodeDecodeError:
        return False
    return True
