"""`codemem lsp`."""

from typing import Annotated

import typer

from codemem.cli.options import Device


def lsp(
    *,
    tcp: Annotated[
        int | None,
        typer.Option(
            "--tcp", metavar="PORT", min=0, max=65535, help="Serve one client on 127.0.0.1. 0 takes any port."
        ),
    ] = None,
    _stdio: Annotated[bool, typer.Option("--stdio", hidden=True, help="The default; many clients say it.")] = False,
    device: Device = None,
) -> None:
    """Serve an editor by the Language Server Protocol, on standard input and output.

    Editors start it themselves: docs/editors.md has a recipe for each.
    """
    from codemem.cli.editor import serve

    serve(tcp, device)
