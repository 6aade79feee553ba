"""Reading from a client that may send anything."""

from typing import BinaryIO

HEADER_BYTES = 1024
BODY_BYTES = 64 * 1024**2
"""A longer message is read to its end and refused."""
_PIECE = 1 << 16


class BoundedReader:
    """Standard input or a socket, in the form that pygls reads, with bounds on what a message may cost.

    pygls asks for as many bytes as a header promises, at once: 'Content-Length: 9999999999999' alone would end it.
    """

    def __init__(self, stream: BinaryIO, *, strict: bool = False) -> None:
        """`strict` ends the stream at a header that is not LSP's: over TCP, a web page could write an HTTP request."""
        self._stream = stream
        self._strict = strict

    def readline(self, _size: int = -1) -> bytes:
        line = self._stream.readline(HEADER_BYTES)
        if self._strict and line.strip() and not line.lower().startswith(b"content-"):
            return b""
        return line

    def read(self, size: int = -1) -> bytes:
        """`size` bytes; one space, which is no JSON, in place of more than BODY_BYTES; b'' at the end of the stream."""
        pieces: list[bytes] = []
        left = size
        while left > 0:
            piece = self._stream.read(min(left, _PIECE))
            if not piece:
                return b""
            left -= len(piece)
            if size <= BODY_BYTES:
                pieces.append(piece)
        return b"".join(pieces) if size <= BODY_BYTES else b" "
