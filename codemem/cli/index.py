"""`codemem index`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from codemem.cli.options import Device, Json, Model, Weights, with_weights


def index(
    path: Annotated[
        Path | None,
        typer.Argument(help="Repository, sub-folder or plain folder. Default: the enclosing repository."),
    ] = None,
    *,
    purpose: Annotated[
        Literal["ask", "find", "outline"] | None,
        typer.Option(
            "--for",
            help="`ask` keeps all that answering needs; `find` takes half the time and serves `find` alone; `outline` "
            "needs no model. Default: as last time, at first `ask`.",
        ),
    ] = None,
    upgrade: Annotated[
        bool, typer.Option("--upgrade", help="Read and encode everything anew with the present version of the model.")
    ] = False,
    model: Model = None,
    weights: Weights = None,
    device: Device = None,
    json: Json = False,
) -> None:
    """Read a repository into the memory.

    Only what changed since last time is read. Stop it with Ctrl-C whenever you like: what is done is kept and serves
    already, and the next run goes on from there.

    **Examples**

    `codemem index` reads the repository you are in.

    `codemem index ~/src/project/docs --for find` reads one folder, for finding alone.

    `codemem index --model msa-4b --weights int8` keeps the model's matrices in 8 bits, for a GPU of 8 GB.
    """
    from codemem.cli import output
    from codemem.config import Settings
    from codemem.engines import loader
    from codemem.index import IndexOptions
    from codemem.index import index as run
    from codemem.workspace import open_workspace

    settings = Settings.load()
    options = IndexOptions(purpose, with_weights(model, weights), upgrade)
    with open_workspace(path or Path(), settings, whole=path is None) as workspace:
        try:
            with output.progress() as report:
                load = loader(settings, device=device, fetch=True, report=report)
                result = run(workspace, settings, load, options, report=report)
        finally:
            output.notes(workspace.notes)
    if json:
        output.as_json(result)
    else:
        from codemem.cli.render import show_index

        show_index(result)
