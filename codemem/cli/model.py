"""`codemem model`: which models there are, and getting their weights."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from codemem.cli import model_msa
from codemem.cli.options import Json

if TYPE_CHECKING:
    from codemem.config import Settings
    from codemem.model.weights.registry import ModelEntry

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", help="Models: list, fetch, convert, check.")
app.command("convert")(model_msa.convert)
app.command("check")(model_msa.check)
Name = Annotated[str, typer.Argument(help="A name of `codemem model list`.")]


@app.command("list")
def list_models(*, json: Json = False) -> None:
    """Show the models that can be used, and which are here already."""
    from codemem.cli import output
    from codemem.config import Settings
    from codemem.model.weights.registry import find_model, registered_models

    settings = Settings.load()
    names = [*settings.user.models, *registered_models()]
    models = [_describe(find_model(name, settings.user.models), settings) for name in names]
    if json:
        output.print_json({"models": models})
        return
    for model in models:
        state = "here" if model["path"] else f"not here, {_size(model['bytes'])}"
        output.line(f"{model['name']:10} {model['title']}  ({state}; {model['licence'] or 'your own'})")


@app.command("pull")
def pull(
    name: Name,
    *,
    revision: Annotated[str | None, typer.Option(help="Another revision of the hub's repository.")] = None,
    json: Json = False,
) -> None:
    """Fetch a model's weights, checked by their sha256. What was fetched before is not fetched again."""
    from codemem.cli import output
    from codemem.config import Settings
    from codemem.engines import fetch_weights

    with output.progress() as report:
        path = fetch_weights(Settings.load(), name, revision=revision, report=report)
    if json:
        output.print_json({"name": name, "path": str(path)})
    else:
        output.line(f"{name} is at {path}")


@app.command("info")
def info(name: Name, *, json: Json = False) -> None:
    """Show where a model's weights come from and where they lie."""
    from codemem.cli import output
    from codemem.config import Settings
    from codemem.model.weights.registry import find_model

    settings = Settings.load()
    described = _describe(find_model(name, settings.user.models), settings)
    described["msa"] = model_msa.describe(described["path"], settings) if described["path"] else None
    if json:
        output.print_json(described)
        return
    flat = {key: value for key, value in described.items() if key != "msa"} | (described["msa"] or {})
    for key, value in flat.items():
        shown = "-" if value is None else _sizes(value) if key == "loaded_bytes" else value
        output.line(f"{key:15} {shown}")


def _describe(model: "ModelEntry", settings: "Settings") -> dict[str, Any]:
    from codemem.engines import DEFAULT_MODEL
    from codemem.model.errors import ModelError
    from codemem.model.weights.download import locate

    try:
        path: str | None = str(locate(model, settings.places.weights))
    except ModelError:
        path = None
    return {
        "name": model.called,
        "title": model.title,
        "default": model.called == (settings.user.model or DEFAULT_MODEL),
        "path": path,
        "licence": model.licence,
        "repository": model.repository,
        "revision": model.revision,
        "file": model.file.name if model.file else None,
        "bytes": model.file.bytes if model.file else None,
        "sha256": model.file.sha256 if model.file else None,
    }


def _sizes(by_weights: dict[str, int]) -> str:
    return ", ".join(f"{weights} {count / 1e9:.2f} GB" for weights, count in by_weights.items())


def _size(count: int | None) -> str:
    return f"{count / 1e9:.2f} GB" if count else "size unknown"
