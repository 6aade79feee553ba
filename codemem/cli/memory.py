"""`codemem memory`."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from codemem.cli.options import Device, Json, Model, Repositories, Repository

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Hand memories from one machine to another: encoded once, in CI for example, loaded by every clone.",
)
Shared = Annotated[
    str, typer.Argument(metavar="PLACE", help="A folder, or a URL of an object store that fsspec knows (s3://, gs://).")
]


@app.command("export")
def export(
    place: Shared,
    *,
    repositories: Repositories = None,
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="FILE", help="Sign with this key. Default: your own, if you made one."),
    ] = None,
    json: Json = False,
) -> None:
    """Write the memory of a repository to a folder or an object store.

    Entries that lie there already are not written again. They hold what a model made of every indexed file: share
    them with those who may read the code (docs/store.md).

    **Examples**

    `codemem memory export ./memory` then let CI keep the folder.

    `codemem memory export s3://team-cache/memory --key ci-key.pem`
    """
    from codemem.cli import output
    from codemem.config import Settings
    from codemem.sharing.export import export_memory
    from codemem.sharing.keys import default_key, load_key
    from codemem.sharing.place import Place
    from codemem.workspace import open_workspace

    settings = Settings.load()
    chosen = key or (own if (own := default_key(settings.places)).is_file() else None)
    with ExitStack() as stack, output.progress() as report:
        workspaces = [
            stack.enter_context(open_workspace(path, settings, whole=True)) for path in repositories or [Path()]
        ]
        result = export_memory(
            workspaces, settings, Place.open(place), key=load_key(chosen) if chosen else None, report=report
        )
    if json:
        output.as_json(result)
        return
    signed = f"signed by {result.signed_by}" if result.signed_by else "not signed"
    output.line(f"{result.entries:,} entries written to {result.place} ({result.bytes:,} bytes), {signed}")
    output.line(f"{result.reused:,} were there already")
    if result.missing:
        output.note(f"{result.missing:,} documents are not in memory yet: run `codemem index`, then export again")


@app.command("import")
def import_(
    place: Shared,
    *,
    trust: Annotated[
        bool, typer.Option("--trust", help="Take also what is not signed, or signed by keys you do not know.")
    ] = False,
    trusted_key: Annotated[
        list[str] | None,
        typer.Option("--trusted-key", metavar="KEY", help="Trust this public key (ed25519:...). Repeatable."),
    ] = None,
    verify_sample: Annotated[
        int,
        typer.Option(
            "--verify-sample", metavar="N", min=0, help="First encode N documents of the repository and compare."
        ),
    ] = 0,
    repository: Repository = None,
    model: Model = None,
    device: Device = None,
    json: Json = False,
) -> None:
    """Take entries that were exported elsewhere into your store.

    Afterwards `codemem index` encodes only what is not among them. Checksums, shapes and numbers are checked, and who
    signed; with `--verify-sample`, whether the model makes the same of some documents.

    **Examples**

    `codemem memory import ./memory --trusted-key ed25519:...`

    `codemem memory import s3://team-cache/memory --trust --verify-sample 8`
    """
    from codemem.cli import output
    from codemem.config import Settings
    from codemem.engines import loader, model_name
    from codemem.sharing.fetching import trust_of
    from codemem.sharing.importing import Importer
    from codemem.sharing.place import Place
    from codemem.workspace import open_workspace

    settings = Settings.load()
    allowed = trust_of(settings, trusted_key or (), everyone=trust)
    source = Place.open(place)
    with open_workspace(repository or Path(), settings, whole=True) as workspace, output.progress() as report:
        name = model_name(workspace, settings, workspace.load(), model)
        engine = loader(settings, device=device, fetch=True, report=report)(name)
        result = Importer(workspace, settings, engine, source, allowed, report).run(sample=verify_sample)
    output.notes(result.notes)
    if json:
        output.as_json(result)
        return
    output.line(f"{result.entries:,} entries taken from {result.place}, {result.reused:,} were there already")
    if result.sampled:
        output.line(f"{result.sampled:,} documents encoded again: the largest relative error is {result.worst}")
    if result.renumbered:
        output.note(f"{result.renumbered:,} documents have other numbers here: their entries do not serve")


@app.command("keygen")
def keygen(
    *,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Where the private key goes. Default: yours.")
    ] = None,
    json: Json = False,
) -> None:
    """Make a key to sign exports with, and show its public name for `trusted_keys`."""
    from codemem.cli import output
    from codemem.config import Settings
    from codemem.sharing.keys import default_key, make_key

    path = out or default_key(Settings.load().places)
    public = make_key(path)
    if json:
        output.print_json({"key": public, "path": str(path)})
    else:
        output.line(public)
        output.note(f"the private key is {path}: whoever has it can sign entries in your name")
