"""Options that several commands share, spelled once."""

from pathlib import Path
from typing import Annotated, Literal

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output, and nothing else there.")]
Repositories = Annotated[
    list[Path] | None,
    typer.Option(
        "-C", metavar="PATH", help="Use this repository or folder, not the enclosing one. Repeat for several."
    ),
]
Repository = Annotated[
    Path | None, typer.Option("-C", metavar="PATH", help="Use this repository or folder, not the enclosing one.")
]
Model = Annotated[str | None, typer.Option("--model", metavar="NAME", help="A model of `codemem model list`.")]
DeviceName = Literal["auto", "cpu", "cuda", "mps"]
Device = Annotated[DeviceName | None, typer.Option("--device", help="Where the model runs. Default: auto.")]
Overlay = Annotated[
    list[str] | None,
    typer.Option(
        "--overlay", metavar="FILE=PATH", help="Take FILE's text from PATH: a buffer not yet saved. Repeatable."
    ),
]
Batch = Annotated[
    str | None,
    typer.Option(
        "--batch",
        metavar="FILE|-",
        help="Take one query a line from FILE or standard input and print one JSON object a line.",
    ),
]
Seconds = Annotated[
    float | None,
    typer.Option(
        "--catch-up", metavar="SECONDS", min=0, help="Time to bring the memory up to date before answering. Default: 2."
    ),
]
RouterName = Literal["memory", "outline", "both"]
RankingName = Literal["cosine", "scaled"]
Ranking = Annotated[
    RankingName | None,
    typer.Option(
        "--ranking",
        help="How an MSA checkpoint ranks documents: by cosine, or by scaled dot product. Default: what "
        "`codemem model check` found better, else as the public engine would.",
    ),
]
