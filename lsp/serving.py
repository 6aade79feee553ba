"""Runs the server on standard input and output, or for one client over TCP."""

import os
import socket
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, cast

from codemem.lsp.server import CodememServer
from codemem.lsp.transport import BoundedReader

if TYPE_CHECKING:
    from codemem.service import Service

HOST = "127.0.0.1"


def serve_stdio(make_service: "Callable[[], Service]") -> None:
    """Serves until the client closes its end. What anything else prints goes to standard error meanwhile."""
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as output:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        _serve(make_service, BoundedReader(sys.stdin.buffer), output)


def serve_tcp(make_service: "Callable[[], Service]", port: int, announce: Callable[[int], None]) -> None:
    """Serves the first client that connects on loopback; `announce` is told the port, which is chosen if it was 0."""
    with socket.create_server((HOST, port), backlog=1) as listener:
        announce(listener.getsockname()[1])
        connection, _ = listener.accept()
    with connection, connection.makefile("rb") as source, connection.makefile("wb") as output:
        _serve(make_service, BoundedReader(source, strict=True), output)


def _serve(make_service: "Callable[[], Service]", source: BoundedReader, output: BinaryIO) -> None:
    server = CodememServer(make_service)
    server.start_io(cast(BinaryIO, source), output)
    if not server.stop():
        # A model that is loading or reading cannot be interrupted, and the editor waits for us to go. What was stored
        # is whole: segments are written under another name first.
        os._exit(0)
