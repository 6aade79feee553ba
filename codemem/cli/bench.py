"""`codemem bench`: how fast, and what growing costs."""

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from codemem.cli.options import Device, Json, Model

if TYPE_CHECKING:
    from codemem.benchmarks.scaling.options import Options
    from codemem.model.parallel import Group

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Benchmarks: speed beside the machine's limits, measured in the same run, with random weights unless a model "
    "is named. `route` and `encode` also run under torchrun.",
)
ShapeName = Annotated[
    Literal["4b", "small", "tiny"], typer.Option("--shape", help="Of the decoder: MSA-4B's, the default model's, tiny.")
]
Out = Annotated[Path | None, typer.Option("--out", help="Also write the JSON into this file.")]
Seconds = Annotated[float, typer.Option(min=1, help="Sizes that would begin later are left out.")]


def parse_count(spelled: str) -> int:
    """'100M', '16K', '2048' (powers of ten); raises typer.BadParameter."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([kKMG]?)", spelled.strip())
    if found is None or float(found[1]) <= 0:
        raise typer.BadParameter(f"{spelled!r} is no number: write it as 16K, 100M or 2048")
    return int(float(found[1]) * 1000 ** " KMG".index(found[2].upper() or " "))


def parse_counts(spelled: str) -> list[int]:
    """Several of them, with commas between."""
    return [parse_count(part) for part in spelled.split(",")]


def _counts(help: str) -> Any:
    return typer.Option(parser=parse_counts, metavar="N,N", help=help)


@app.command("route")
def route(
    *,
    shape: ShapeName = "4b",
    tokens: Annotated[Any, _counts("Memory sizes, as 1M,100M.")] = "1M",
    query_tokens: Annotated[Any, _counts("Tokens of a question.")] = "16,64,256,1024",
    batches: Annotated[Any, _counts("Questions at once.")] = "1,8,32",
    formats: Annotated[str, typer.Option(help="Of the keys: bf16, fp8, int8.")] = "bf16,fp8,int8",
    engine: Annotated[bool, typer.Option("--engine/--no-engine", help="Beside the public engine's arithmetic.")] = True,
    seconds: Seconds = 120,
    out: Out = None,
    device: Device = None,
    json: Json = False,
) -> None:
    """Routing through all layers, beside the time to read the keys once.

    **Examples**

    `codemem bench route --tokens 100M --device cuda`

    `torchrun --nproc-per-node 2 -m codemem bench route --tokens 100M --device cuda`
    """
    from codemem.benchmarks import route as bench
    from codemem.errors import UsageError

    wanted = formats.split(",")
    if unknown := [name for name in wanted if name not in ("bf16", "fp8", "int8")]:
        raise UsageError(f"--formats {', '.join(unknown)}: there are bf16, fp8 and int8")
    options = bench.Options(device or "auto", shape, tokens, query_tokens, batches, wanted, engine, seconds)
    with _Group(device) as group:
        _show(bench.run(options, group, progress=_note(group)), bench.as_text, out, json=json, group=group)


@app.command("encode")
def encode(
    *,
    shape: ShapeName = "4b",
    document_tokens: Annotated[Any, _counts("Tokens of a document.")] = "512,2048",
    pack_tokens: Annotated[Any, _counts("Tokens encoded together.")] = "16384,32768",
    seconds: Seconds = 120,
    out: Out = None,
    device: Device = None,
    json: Json = False,
) -> None:
    """Encoding packed documents, beside the rate of large matrix products."""
    from codemem.benchmarks import encode as bench

    options = bench.Options(device or "auto", shape, document_tokens, pack_tokens, seconds)
    with _Group(device) as group:
        _show(bench.run(options, group, progress=_note(group)), bench.as_text, out, json=json, group=group)


@app.command("decode")
def decode(
    *,
    shape: ShapeName = "4b",
    text_tokens: Annotated[Any, _counts("Tokens of text before the token that is timed.")] = "1024,8192",
    memory_rows: Annotated[int, typer.Option(min=0, help="Rows of memory a routed layer.")] = 512,
    steps: Annotated[int, typer.Option(min=1, help="Tokens timed.")] = 24,
    out: Out = None,
    device: Device = None,
    json: Json = False,
) -> None:
    """Decoding a token at a time, beside reading weights and cache once."""
    from codemem.benchmarks import decode as bench

    options = bench.Options(device or "auto", shape, text_tokens, memory_rows, steps)
    _show(bench.run(options, progress=_note(None)), bench.as_text, out, json=json)


@app.command("find")
def find(
    *,
    shape: ShapeName = "4b",
    tokens: Annotated[Any, _counts("Memory sizes, as 1M,100M.")] = "1M",
    query_tokens: Annotated[int, typer.Option("--query-tokens", min=1, help="Tokens of the question.")] = 64,
    tier: Annotated[Literal["device", "host", "disk"], typer.Option(help="Where keys and values lie.")] = "host",
    answer: Annotated[bool, typer.Option("--answer/--no-answer", help="Also to the first token of an answer.")] = True,
    out: Out = None,
    device: Device = None,
    json: Json = False,
) -> None:
    """A question over a memory: to its ranking, and to the first token of an answer."""
    from codemem.benchmarks import find as bench

    options = bench.Options(device or "auto", shape, tokens, query_tokens, tier, answer)
    _show(bench.run(options, progress=_note(None)), bench.as_text, out, json=json)


@app.command("scale")
def scale(
    corpus: Annotated[
        list[Path],
        typer.Argument(
            help="A folder of `codemem.benchmarks.scaling.pack`, or folders of code that was not trained on."
        ),
    ],
    *,
    sizes: Annotated[Any, _counts("Nested memories, in tokens.")] = "16K,128K,1M",
    layers: Annotated[
        Literal["ranking", "all"],
        typer.Option(help="Remembered: those that `find` ranks by, or all that `ask` attends to."),
    ] = "ranking",
    pool: Annotated[
        Path | None, typer.Option(help="Folder of `codemem.evals.functions_pool`, for questions about functions.")
    ] = None,
    answers: Annotated[
        int, typer.Option(min=0, help="Questions of a kind that are also answered, at every size and by every system.")
    ] = 0,
    bm25: Annotated[bool, typer.Option("--bm25/--no-bm25", help="Beside BM25.")] = True,
    minilm: Annotated[
        bool, typer.Option("--minilm/--no-minilm", help="Beside all-MiniLM-L6-v2 and its fusion with BM25.")
    ] = False,
    processes: Annotated[int, typer.Option(min=1, help="That encode and answer, on the GPUs in turn.")] = 1,
    work: Annotated[
        Path, typer.Option(help="Folder for what the run makes; one that was cut off goes on from it.")
    ] = Path(".work/scale"),
    plot: Annotated[Path | None, typer.Option(help="Write R@10 against the size into this SVG file.")] = None,
    out: Out = None,
    model: Model = None,
    device: Device = None,
    json: Json = False,
) -> None:
    """What a memory loses as it grows: the same questions to nested memories of real code."""
    from codemem.benchmarks.scaling import run as bench
    from codemem.benchmarks.scaling.pool import QUESTIONS
    from codemem.cli import output
    from codemem.errors import UsageError

    packed = corpus[0] if len(corpus) == 1 and (corpus[0] / QUESTIONS).is_file() else work / "corpus"
    options = _scale_options(packed, work, model, device)
    options = replace(
        options,
        sizes=tuple(sorted(sizes)),
        layers=layers,
        encoders=processes,
        answerers=processes,
        answers=answers,
        bm25=bm25,
        minilm=_minilm_folder() if minilm else None,
    )
    try:
        if packed != corpus[0]:
            _pack(corpus, packed, pool, options.checkpoint)
        result = bench.run(options, say=output.note)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if plot is not None:
        plot.write_text(bench.as_plot(result), encoding="utf-8")
    _show(result, bench.as_text, out, json=json)


def _scale_options(corpus: Path, work: Path, model: str | None, device: str | None) -> "Options":
    """Model and device by name; weights are fetched if need be."""
    from codemem.benchmarks.scaling.options import Options
    from codemem.cli import output
    from codemem.config import Settings
    from codemem.engines import DEFAULT_MODEL, fetch_weights
    from codemem.model.device import choose_device
    from codemem.model.weights.adapters import adapter_path
    from codemem.model.weights.registry import find_model

    settings = Settings.load()
    name = model or settings.user.model or DEFAULT_MODEL
    with output.progress() as report:
        checkpoint = fetch_weights(settings, name, report=report)
    return Options(
        corpus=corpus,
        work=work,
        checkpoint=checkpoint,
        adapter=adapter_path(find_model(name, settings.user.models), checkpoint),
        model=name,
        device=choose_device(device or settings.user.device).type,
        threads=settings.user.threads,
    )


def _pack(folders: list[Path], packed: Path, pool: Path | None, checkpoint: Path) -> None:
    from codemem.benchmarks.scaling.folders import pack_folders
    from codemem.model.tokenizer import Tokenizer
    from codemem.model.weights import checkpoint_folder

    pack_folders(folders, packed, pool=pool, tokenizer=Tokenizer.from_folder(checkpoint_folder(checkpoint)))


def _minilm_folder() -> Path:
    from codemem.evals.minilm import model_folder

    return model_folder()


class _Group:
    """The processes that torchrun started, in `with`; None where this one is alone."""

    def __init__(self, device: str | None) -> None:
        self._device = device

    def __enter__(self) -> "Group | None":
        from codemem.model.device import choose_device
        from codemem.model.parallel import from_torchrun

        self._group = from_torchrun(choose_device(self._device or "auto").type)
        return self._group

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._group is not None and kind is None:
            self._group.leave()


def _note(group: "Group | None") -> Any:
    from codemem.cli import output

    return output.note if group is None or group.rank == 0 else lambda _: None


def _show(result: Any, as_text: Any, out: Path | None, *, json: bool, group: "Group | None" = None) -> None:
    import json as encoder

    from codemem.cli import output

    if group is not None and group.rank != 0:
        return
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(encoder.dumps(result, indent=1), encoding="utf-8")
    if json:
        output.print_json(result)
    else:
        output.line(as_text(result))
