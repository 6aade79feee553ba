"""Options that several commands share, spelled once."""

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output, and nothing else there.")]
Repositories = Annotated[
    list[Path] | None,
    typer.Option(
        "-C", metavar="PATH", help="Repository or folder to use instead of the enclosing one; repeat for several."
    ),
]
Repository = Annotated[
    Path | None, typer.Option("-C", metavar="PATH", help="Repository or folder to use instead of the enclosing one.")
]
Model = Annotated[str | None, typer.Option("--model", metavar="NAME", help="A model of `codemem model list`.")]
Device = Annotated[
    str | None, typer.Option("--device", metavar="auto|cpu|cuda|mps", help="Where the model runs.", show_default=False)
]
Overlay = Annotated[
    list[str] | None,
    typer.Option(
        "--overlay", metavar="FILE=PATH", help="Read FILE's text from PATH: a buffer not yet saved. Repeatable."
    ),
]
