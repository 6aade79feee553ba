"""`codemem lsp`."""

from typing import TYPE_CHECKING, Annotated

import typer

from codemem.cli.options import Device

if TYPE_CHECKING:
    from codemem.service import Service


def lsp(
    *,
    tcp: Annotated[
        int | None,
        typer.Option(
            "--tcp", metavar="PORT", min=0, max=65535, help="Serve one client on 127.0.0.1. 0 takes any port."
        ),
    ] = None,
    device: Device = None,
) -> None:
    """Serve an editor by the Language Server Protocol, on standard input and output.

    Editors start it themselves: docs/editors.md has a recipe for each.
    """
    from codemem.cli import output
    from codemem.lsp.serving import serve_stdio, serve_tcp

    def make_service() -> "Service":
        # Imported when the client has been told what the server can do.
        from codemem.config import Settings
        from codemem.service import Service

        return Service.load(Settings.load(), device)

    if tcp is None:
        serve_stdio(make_service)
    else:
        serve_tcp(make_service, tcp, lambda port: output.note(f"listening on 127.0.0.1:{port}"))
