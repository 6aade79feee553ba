"""Runs the server on standard input and output, or for one client over TCP."""

import os
import socket
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, cast

from codemem.lsp.transport import BoundedReader, open_session

if TYPE_CHECKING:
    from codemem.lsp.backend import Backend

HOST = "127.0.0.1"


def serve_stdio(make_backend: "Callable[[], Backend]") -> None:
    """Serves until the client closes its end. What anything else prints goes to standard error meanwhile."""
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as output:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        _serve(make_backend, BoundedReader(sys.stdin.buffer), output)


def serve_tcp(make_backend: "Callable[[], Backend]", port: int, announce: Callable[[int], None]) -> None:
    """Serves the first client that connects on loopback; `announce` is told the port, which is chosen if it was 0."""
    with socket.create_server((HOST, port), backlog=1) as listener:
        announce(listener.getsockname()[1])
        connection, _ = listener.accept()
    with connection, connection.makefile("rb") as source, connection.makefile("wb") as output:
        _serve(make_backend, BoundedReader(source, strict=True), output)


def _serve(make_backend: "Callable[[], Backend]", source: BoundedReader, output: BinaryIO) -> None:
    opened = open_session(source, output)
    if opened is None:
        return
    # LSP's types take longer to import than an editor may wait for its first answer, which it has now.
    from codemem.lsp.server import CodememServer

    server = CodememServer(make_backend, opened)
    server.start_io(cast(BinaryIO, source), output)
    server.stop()
    # A thread that starts a daemon or reads the file system cannot be interrupted, and the editor waits for us to go.
    sys.stderr.flush()
    os._exit(0 if server.was_shut_down else 1)
