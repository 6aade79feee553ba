"""`codemem index`."""

from pathlib import Path
from typing import Annotated

import typer

from codemem.cli.options import Json


def index(
    path: Annotated[
        Path | None, typer.Argument(help="Repository, sub-folder or plain folder.", show_default=False)
    ] = None,
    json: Json = False,
) -> None:
    """Read a repository into the memory.

    Only what changed since last time is read. Stop it with Ctrl-C whenever you like: what is done is kept, and
    `codemem find` and `codemem ask` already use it.
    """
    from codemem.cli import output
    from codemem.config import Settings
    from codemem.index import index_outline
    from codemem.workspace import open_workspace

    settings = Settings.load()
    with open_workspace(path or Path(), settings, whole=path is None) as workspace, output.progress() as report:
        _, result = index_outline(workspace, report=report)
        for note in workspace.notes:
            output.note(note)
    if json:
        output.as_json(result)
        return
    output.out().print(f"{result.path}: {result.documents:,} documents, {len(result.skipped):,} skipped")
