"""Options that several commands share, spelled once."""

import re
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


def _absolute(model: str | None) -> str | None:
    """A path is made absolute here: a daemon that may answer works in another folder."""
    return str(Path(model).absolute()) if model and ("/" in model or "\\" in model) else model


Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME",
        callback=_absolute,
        help="A model of `codemem model list`, or the path of your own (a folder or a .gguf file).",
    ),
]
WeightsName = Literal["bf16", "int8", "int4"]
Weights = Annotated[
    WeightsName | None,
    typer.Option(
        "--weights",
        help="How an MSA checkpoint's matrices are kept: as they are, or in 8 or 4 bits for smaller GPUs. The same as "
        "NAME:int8. A memory stays with what it was made with.",
    ),
]


def with_weights(model: str | None, weights: WeightsName | None) -> str | None:
    """The model's name with the weights asked for. Raises UsageError for weights of no model, or of two kinds."""
    from codemem.errors import UsageError

    if weights is None:
        return model
    if model is None:
        raise UsageError(f"--weights {weights} belongs to a model: name it with --model")
    base, _, said = model.rpartition(":")
    if not base or said not in ("bf16", "int8", "int4"):
        base, said = model, weights
    if said != weights:
        raise UsageError(f"--weights {weights} contradicts the name {model!r}")
    return base if weights == "bf16" else f"{base}:{weights}"


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


def parse_size(spelled: str) -> int:
    """Bytes of '40GB', '512MB' or '1.5 GB' (powers of ten); raises typer.BadParameter."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?([kMGT]?)B?", spelled.strip())
    if found is None:
        raise typer.BadParameter(f"{spelled!r} is no size: write it as 40GB or 512MB")
    return int(float(found[1]) * 1000 ** " kMGT".index(found[2] or " "))


GpuMemory = Annotated[
    int | None,
    typer.Option(
        "--gpu-memory",
        parser=parse_size,
        metavar="SIZE",
        help="What the memory may take of the GPU, as 40GB: routing keys must fit, keys and values follow. "
        "Default: what is free.",
    ),
]
HostMemory = Annotated[
    int | None,
    typer.Option(
        "--host-memory",
        parser=parse_size,
        metavar="SIZE",
        help="What it may take of host memory for keys and values; the rest stays on disk. Default: what is free.",
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
