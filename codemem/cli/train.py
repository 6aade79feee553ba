"""`codemem train`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codemem.cli.options import Device, Json, Model, Repositories

if TYPE_CHECKING:
    from codemem.config import Settings
    from codemem.progress import Report
    from codemem.training.run import RunOptions


def train(
    *,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where the run and the trained model lie.")],
    repositories: Repositories = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="FOLDER", help="Train on data made earlier, not on repositories given by -C."),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option("--minutes", min=0.01, help="Length of the whole run. Default: its recipe's.")
    ] = None,
    stop_after: Annotated[
        float | None,
        typer.Option("--stop-after", metavar="MINUTES", min=0.01, help="Stop early; --resume goes on later."),
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option("--recipe", metavar="FILE", help="Settings as JSON (docs/training.md).")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run that lies in --out.")] = False,
    model: Model = None,
    device: Device = None,
    json: Json = False,
) -> None:
    """Train the default model's routers and adapters on your own code.

    Questions are made by rule from documentation, names, call sites and tests of the repositories; every
    twentieth file is left out for validation. A GPU is advised: on a processor a step takes minutes. Nothing leaves
    the machine.

    **Examples**

    `codemem train -C ~/src/server -C ~/src/client --out ~/models/ours --minutes 20`

    `codemem index --model ~/models/ours` then reads a repository with the result.
    """
    from codemem.cli import output
    from codemem.config import Settings
    from codemem.errors import UsageError

    try:
        import zstandard  # noqa: F401
    except ImportError as error:
        raise UsageError("`codemem train` needs more packages: install codemem[train]") from error
    if data is not None and repositories:
        raise UsageError("-C and --data exclude each other: repositories are read to make data, --data is data")
    settings = Settings.load()
    with output.progress() as report:
        try:
            folder = data or _own_data(repositories or [Path()], out)
            options = _options(settings, model, device, data=folder, out=out, report=report)
            options = _with_recipe(options, recipe, minutes, stop_after, resume=resume)
            result = _train(options, report)
        except (ValueError, FileExistsError) as error:
            raise UsageError(str(error)) from error
    if json:
        output.print_json(result)
    else:
        output.line(f"{result['steps']} steps in {output.duration(result['seconds'])}: {result['path']}")
        output.line(f"Use it: codemem index --model {result['path']}")


def _own_data(repositories: list[Path], out: Path) -> Path:
    from codemem.cli import output
    from codemem.training.own_code import write_data

    folder = out / "data"
    if not (folder / "pairs.jsonl.zst").exists():
        counts = write_data([path.absolute() for path in repositories], folder)
        questions = sum(number for name, number in counts.items() if name.startswith("pairs "))
        output.note(
            f"{questions:,} questions about {sum(v for k, v in counts.items() if 'documents' in k):,} documents"
        )
    return folder


def _options(
    settings: "Settings", model: str | None, device: str | None, *, data: Path, out: Path, report: "Report"
) -> "RunOptions":
    import json

    from codemem.engines import DEFAULT_MODEL, fetch_weights
    from codemem.model.device import choose_device
    from codemem.model.weights.checkpoint import prepare
    from codemem.model.weights.registry import find_model
    from codemem.training.run import RunOptions

    name = model or settings.user.model or DEFAULT_MODEL
    entry = find_model(name, settings.user.models)
    if entry.weights != "bf16":
        raise ValueError(f"a run trains on whole weights: leave ':{entry.weights}' behind {name!r} away")
    fetch_weights(settings, name, report=report)
    base = prepare(entry, settings.places.weights)
    depth = json.loads((base / "config.json").read_text(encoding="utf-8"))["num_hidden_layers"]
    return RunOptions(
        base=base,
        base_sha256=entry.file.sha256 if entry.file else "0" * 64,
        data=data,
        out=out,
        recipe={},
        layers=tuple(range(min(5, depth - 1), depth, 3)),
        device=str(choose_device(device or settings.user.device)),
    )


def _with_recipe(
    options: "RunOptions", recipe: Path | None, minutes: float | None, stop_after: float | None, *, resume: bool
) -> "RunOptions":
    import dataclasses
    import json

    read: Any = json.loads(recipe.read_text(encoding="utf-8")) if recipe else {}
    if not isinstance(read, dict):
        raise ValueError(f"{recipe}: a recipe is a JSON object of settings")
    if minutes is not None:
        read["seconds"] = 60 * minutes
    seconds = None if stop_after is None else 60 * stop_after
    return dataclasses.replace(options, recipe=read, seconds=seconds, resume=resume)


def _train(options: "RunOptions", report: "Report") -> dict[str, Any]:
    from codemem.progress import Meter
    from codemem.training.curves import draw
    from codemem.training.run import make_model_folder, read_log, train
    from codemem.training.trainer import StepReport

    timed = "seconds" in options.recipe
    total = int(options.recipe["seconds"]) if timed else options.recipe.get("steps", 1000)
    meter = Meter(report, "training", total, "seconds" if timed else "steps")

    def follow(step: StepReport) -> None:
        meter.advance(min(int(step.seconds) if timed else step.step, meter.total) - meter.done)

    train(options, follow)
    steps = read_log(options.out)
    draw(steps, options.out / "losses.svg")
    make_model_folder(options.out, options.base)
    last = steps[-1]
    return {
        "path": str(options.out.absolute()),
        "steps": last.step,
        "seconds": round(last.seconds, 1),
        "losses": {name: round(value, 4) for name, value in last.losses.items()},
    }
