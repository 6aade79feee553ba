"""`codemem find`."""

from pathlib import Path
from typing import Annotated

import typer

from codemem.cli.options import Json, Overlay, Repositories


def find(
    query: Annotated[str, typer.Argument(help="What to look for, in words or by name.", show_default=False)],
    *,
    count: Annotated[int | None, typer.Option("-k", help="How many results.", min=1, max=1000)] = None,
    router: Annotated[str | None, typer.Option(metavar="memory|outline|both", help="What ranks.")] = None,
    repositories: Repositories = None,
    overlay: Overlay = None,
    json: Json = False,
) -> None:
    """Find the places that a query is about."""
    from contextlib import ExitStack

    from codemem.cli import output
    from codemem.config import Settings
    from codemem.find import find as find_places
    from codemem.snapshot import open_snapshot, parse_overlays
    from codemem.workspace import open_workspace

    settings = Settings.load()
    with ExitStack() as stack:
        workspaces = [
            stack.enter_context(open_workspace(path, settings, whole=True)) for path in repositories or [Path()]
        ]
        overlays = parse_overlays(workspaces, overlay or [])
        config = workspaces[0].config
        snapshots = [open_snapshot(w, overlays=overlays.get(w.root), seconds=config.inline_seconds) for w in workspaces]
        result = find_places(snapshots, query, k=count or config.results, router=router or config.router)
    if json:
        output.as_json(result)
        return
    console = output.out()
    for place in result.results:
        console.print(f"{place.path}:{place.start_line}-{place.end_line}  {place.symbol or ''}", markup=False)
