"""`codemem status`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from codemem.cli.options import Json, Model, Repository


def status(
    *,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check every entry of the store against its checksum; drop damaged ones.")
    ] = False,
    repository: Repository = None,
    model: Model = None,
    json: Json = False,
) -> None:
    """Show what is indexed, and how far it is behind the files.

    **Examples**

    `codemem status` looks at the repository you are in; nothing is changed.

    `codemem status --verify` reads the whole store; `codemem index` then encodes again what was damaged.
    """
    from codemem.cli import output
    from codemem.cli.render import show_status
    from codemem.config import Settings
    from codemem.daemon.address import address_of
    from codemem.daemon.client import daemon_status
    from codemem.errors import NotIndexedError
    from codemem.status import status_of
    from codemem.workspace import open_workspace

    settings = Settings.load()
    with open_workspace(repository or Path(), settings, whole=True) as workspace:
        result = status_of(workspace, settings, verify=verify)
    if model not in (None, result.model):
        raise NotIndexedError(
            f"the memory is of {f'model {result.model!r}' if result.model else 'no model'}: "
            f"run `codemem index --model {model}`"
        )
    result = replace(result, daemon=daemon_status(address_of(settings)))
    output.notes(result.notes)
    if json:
        output.as_json(result)
    else:
        show_status(result)
