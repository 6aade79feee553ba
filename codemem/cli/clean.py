"""`codemem clean`."""

from pathlib import Path
from typing import Annotated

import typer

from codemem.cli.options import Json, Repository


def clean(
    *,
    repository: Repository = None,
    unused_days: Annotated[
        float | None,
        typer.Option("--unused-days", min=0, help="Drop entries of all repositories not used for so long."),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--everything", help="Remove the store, the weights and the manifests of all repositories.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Take away what codemem wrote.

    **Examples**

    `codemem clean` forgets the repository you are in. Its entries stay in your store, for a clone or a return.

    `codemem clean --unused-days 30` makes the store smaller.

    `codemem clean --everything` leaves nothing behind but your own `config.toml` and signing key.
    """
    from codemem.clean import clean_everything, clean_tree, clean_unused
    from codemem.cli import output
    from codemem.config import Settings
    from codemem.errors import UsageError
    from codemem.workspace import open_workspace

    settings = Settings.load()
    if everything and unused_days is not None:
        raise UsageError("--everything and --unused-days exclude each other")
    if everything:
        if not yes:
            typer.confirm(
                f"Remove all that codemem keeps in {settings.places.data} and {settings.places.cache}?",
                abort=True,
                err=True,
            )
        result = clean_everything(settings.places)
    elif unused_days is not None:
        result = clean_unused(settings.places, unused_days)
    else:
        with open_workspace(repository or Path(), settings, whole=True) as workspace:
            result = clean_tree(workspace)
    if json:
        output.as_json(result)
        return
    for path in result.removed:
        output.line(f"removed {path}")
    if result.entries:
        output.line(f"dropped {result.entries:,} entries, {result.bytes:,} bytes")
    if not result.removed and not result.entries:
        output.line("there was nothing to remove")
