"""`codemem lsp` as editors start it, before anything heavy is imported: typer alone takes longer than the answer."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from codemem import errors

if TYPE_CHECKING:
    from codemem.lsp.backend import Backend


def answer(arguments: Sequence[str]) -> int | None:
    """Serves if the arguments are those of an editor; None if they are to be read by the command line proper."""
    if list(arguments) not in (["lsp"], ["lsp", "--stdio"]):
        return None
    serve(None, None)
    return errors.EXIT_DONE


def serve(tcp: int | None, device: str | None) -> None:
    """On standard input and output, or for one client on a TCP port."""
    from codemem.lsp.serving import serve_stdio, serve_tcp

    def make_backend() -> "Backend":
        # Imported when the client has been told what the server can do.
        from codemem.config import Settings
        from codemem.lsp.backend import Backend

        return Backend(Settings.load(), device)

    if tcp is None:
        serve_stdio(make_backend)
    else:
        serve_tcp(make_backend, tcp, _announce)


def _announce(port: int) -> None:
    print(f"codemem: listening on 127.0.0.1:{port}", file=sys.stderr, flush=True)
