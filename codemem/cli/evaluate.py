"""`codemem eval`: is it right."""

from pathlib import Path
from typing import Annotated

import typer

from codemem.cli.options import Json

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", help="Evaluations: is it right.")
Folder = Annotated[Path, typer.Argument(help="Folder with checkpoints and `cases/`.")]


@app.command("golden")
def golden(directory: Folder, *, json: Json = False) -> None:
    """Replay golden vectors of the public MSA engine and print the largest deviation of every tensor.

    The exit code is 0 only if every tensor of every case is within its tolerance.
    """
    from codemem.cli import output
    from codemem.errors import EXIT_DONE, EXIT_FAILED
    from codemem.evals.golden import run_golden

    result = run_golden(directory)
    if json:
        output.print_json(result)
    else:
        for name, case in result["cases"].items():
            output.line(f"{name}: {'within tolerance' if case['ok'] else 'WRONG'}")
            for tensor, deviation in case["worst"].items():
                output.line(f"  {deviation:9.2e}  {tensor}")
    raise typer.Exit(EXIT_DONE if result["ok"] else EXIT_FAILED)
