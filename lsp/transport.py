"""Reading from a client that may send anything, and answering it before LSP's types are imported."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from codemem.lsp.greeting import Greeting, greet

HEADER_BYTES = 1024
BODY_BYTES = 64 * 1024**2
"""A longer message is read to its end and refused."""
_PIECE = 1 << 16
_NOT_INITIALIZED = -32002


class BoundedReader:
    """Standard input or a socket, in the form that pygls reads, with bounds on what a message may cost.

    pygls asks for as many bytes as a header promises, at once: 'Content-Length: 9999999999999' alone would end it.
    """

    def __init__(self, stream: BinaryIO, *, strict: bool = False) -> None:
        """`strict` ends the stream at a header that is not LSP's: over TCP, a web page could write an HTTP request."""
        self._stream = stream
        self._strict = strict
        self._again = io.BytesIO()

    def readline(self, _size: int = -1) -> bytes:
        if again := self._again.readline():
            return again
        line = self._stream.readline(HEADER_BYTES)
        if self._strict and line.strip() and not line.lower().startswith(b"content-"):
            return b""
        return line

    def read(self, size: int = -1) -> bytes:
        """`size` bytes; one space, which is no JSON, in place of more than BODY_BYTES; b'' at the end of the stream."""
        if again := self._again.read(size):
            return again
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

    def message(self) -> bytes | None:
        """The next message's body; None at the end of the stream. What is no header is passed over."""
        length = 0
        while line := self.readline():
            name, _, value = line.partition(b":")
            if name.strip().lower() == b"content-length" and value.strip().isdigit() and len(value) < 20:
                length = int(value)
            elif not line.strip() and length:
                return self.read(length) or None
        return None

    def unread(self, body: bytes) -> None:
        """Has a message read once more."""
        self._again = io.BytesIO(framed(body))


@dataclass(frozen=True, slots=True)
class Opened:
    """A client that was greeted."""

    request: int | str
    """The id of its `initialize`, which is answered."""
    greeting: Greeting


def framed(body: bytes) -> bytes:
    """A message as it is sent."""
    return b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


def open_session(reader: BoundedReader, output: BinaryIO) -> Opened | None:
    """Answers `initialize` and leaves it to be read once more; None if the client goes before it says that.

    Other requests are refused, as LSP has it; what is no message is passed over.
    """
    while (body := reader.message()) is not None:
        try:
            message = json.loads(body)
        except (ValueError, RecursionError):
            continue
        if not isinstance(message, dict):
            continue
        method, identity, params = message.get("method"), message.get("id"), message.get("params")
        if method == "exit":
            return None
        if isinstance(identity, bool) or not isinstance(identity, int | str) or not isinstance(method, str):
            continue
        if method == "initialize" and isinstance(params, Mapping):
            greeting = greet(params)
            _reply(output, identity, result=greeting.result)
            reader.unread(body)
            return Opened(identity, greeting)
        _reply(output, identity, error={"code": _NOT_INITIALIZED, "message": "the server waits for 'initialize'"})
    return None


def _reply(output: BinaryIO, identity: int | str, **outcome: Any) -> None:
    output.write(framed(json.dumps({"jsonrpc": "2.0", "id": identity, **outcome}).encode("ascii")))
    output.flush()
