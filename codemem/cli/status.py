"""`codemem status`."""

from pathlib import Path

from codemem.cli.options import Json, Repository


def status(repository: Repository = None, json: Json = False) -> None:
    """Show what is indexed, and how far it is behind the files."""
    from codemem.cli import output
    from codemem.config import Settings
    from codemem.status import status_of
    from codemem.workspace import open_workspace

    with open_workspace(repository or Path(), Settings.load(), whole=True) as workspace:
        result = status_of(workspace)
    if json:
        output.as_json(result)
        return
    output.out().print(f"{result.path}: {result.documents:,} documents", markup=False)
