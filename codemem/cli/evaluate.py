"""`codemem eval`: is it right."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from codemem.cli.eval_answers import Adapter, facts, hops, premises, statements, swe_qa
from codemem.cli.options import Device, Json, Model

if TYPE_CHECKING:
    from codemem.evals.engine_systems import EngineBanks

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", help="Evaluations: is it right.")
Folder = Annotated[Path, typer.Argument(help="Folder with checkpoints and `cases/`.")]
Out = Annotated[Path, typer.Option("--out", help="Folder for the dated report.")]


app.command("facts")(facts)
app.command("hops")(hops)
app.command("premises")(premises)
app.command("statements")(statements)
app.command("swe-qa")(swe_qa)


@app.command("golden")
def golden(directory: Folder, *, device: Device = None, json: Json = False) -> None:
    """Replay golden vectors of the public MSA engine and print the largest deviation of every tensor.

    The exit code is 0 only if every tensor of every case is within its tolerance. Runs in float32; `--device` is the
    processor by default. A case that cannot be replayed says why, and the others go on.
    """
    from codemem.cli import output
    from codemem.errors import EXIT_DONE, EXIT_FAILED
    from codemem.evals.golden import run_golden
    from codemem.model.device import choose_device

    result = run_golden(directory, device=choose_device(device or "cpu").type)
    if json:
        output.print_json(result)
    else:
        for name, case in result["cases"].items():
            output.line(f"{name}: {case.get('error') or ('within tolerance' if case['ok'] else 'WRONG')}")
            for tensor, deviation in case["worst"].items():
                output.line(f"  {deviation:9.2e}  {tensor}")
    raise typer.Exit(EXIT_DONE if result["ok"] else EXIT_FAILED)


@app.command("functions")
def functions(
    pool: Annotated[Path, typer.Argument(help="Folder that `python -m codemem.evals.functions_pool` made.")],
    *,
    systems: Annotated[
        list[str] | None,
        typer.Option("--system", help="memory, words, bm25, minilm or fusion. Repeatable. Default: memory and bm25."),
    ] = None,
    out: Out = Path("reports"),
    model: Model = None,
    adapter: Adapter = None,
    device: Device = None,
    json: Json = False,
) -> None:
    """Find functions by the first sentence of their docstring: the memory beside its rivals."""
    import time

    from codemem.cli import output
    from codemem.errors import UsageError
    from codemem.evals.engine_systems import EngineFunctions
    from codemem.evals.functions import (
        Bm25Functions,
        DenseFunctions,
        FunctionScorer,
        FusedFunctions,
        WordedFunctions,
        measures,
        ranks,
        read_pool,
        report,
    )
    from codemem.evals.minilm import MiniLM
    from codemem.evals.report import write_report

    started = time.perf_counter()
    cases = read_pool(pool)

    def minilm() -> FunctionScorer:
        return DenseFunctions("MiniLM", MiniLM(out / "work" / "minilm.sqlite", device=_place(device)))

    makers: dict[str, Callable[[], FunctionScorer]] = {
        "memory": lambda: EngineFunctions(_banks(model, adapter, device)),
        "words": lambda: WordedFunctions(EngineFunctions(_banks(model, adapter, device))),
        "bm25": Bm25Functions,
        "minilm": minilm,
        "fusion": lambda: FusedFunctions(Bm25Functions(), minilm()),
    }
    if unknown := [name for name in systems or () if name not in makers]:
        raise UsageError(f"no system {', '.join(unknown)}: there are {', '.join(makers)}")
    scorers = [makers[name]() for name in systems or ("memory", "bm25")]
    found = {scorer.name: ranks(scorer, cases, progress=output.note) for scorer in scorers}
    page = write_report(report(found, cases), out, seconds=time.perf_counter() - started)
    if json:
        means = {name: {m: sum(v) / len(v) for m, v in measures(r).items()} for name, r in found.items()}
        output.print_json({"systems": means, "queries": len(cases.queries), "report": str(page)})
    else:
        output.line(page.read_text(encoding="utf-8"))


@app.command("retrieval")
def retrieval(
    data: Annotated[Path, typer.Argument(help="Folder with `semble-dev`, `swe-qa-dev`, `swe-bench-lite-dev`.")],
    *,
    checkouts: Annotated[Path, typer.Option("--checkouts", help="Folder of exports `owner+name@revision`.")],
    clones: Annotated[Path | None, typer.Option("--clones", help="Clones to export missing revisions from.")] = None,
    sets: Annotated[
        list[str] | None, typer.Option("--set", help="semble, swe-qa or swe-bench-lite. Repeatable.")
    ] = None,
    systems: Annotated[
        list[str] | None,
        typer.Option("--system", help="memory, both, outline, bm25-chunks, ... Repeatable. Default: these four."),
    ] = None,
    out: Out = Path("reports"),
    model: Model = None,
    adapter: Adapter = None,
    device: Device = None,
    json: Json = False,
) -> None:
    """Rank files of real repositories for real questions, system beside system."""
    from codemem.cli import output
    from codemem.errors import UsageError
    from codemem.evals.checkouts import Checkouts
    from codemem.evals.compare import baseline_systems, compare, with_memory
    from codemem.evals.engine_systems import EngineMemory
    from codemem.evals.systems import MemoryRetriever

    def memory() -> EngineMemory:
        return EngineMemory(_banks(model, adapter, device))

    known = with_memory(baseline_systems(checkouts), memory) | {"memory": lambda: MemoryRetriever(memory())}
    chosen = systems or ["memory", "both", "outline", "bm25-chunks"]
    if unknown := [name for name in chosen if name not in known]:
        raise UsageError(f"no system {', '.join(unknown)}: there are {', '.join(known)}")
    built = [known[name]() for name in chosen]
    pages = compare(
        built, sets or ["semble"], data=data, checkouts=Checkouts(checkouts, clones), out=out, progress=output.note
    )
    if json:
        output.print_json({"systems": [system.name for system in built], "reports": [str(page) for page in pages]})
    else:
        for page in pages:
            output.line(page.read_text(encoding="utf-8"))


def _banks(model: str | None, adapter: Path | None, device: str | None) -> "EngineBanks":
    from codemem.cli import output
    from codemem.config import Settings
    from codemem.evals.answers.engines import open_engine
    from codemem.evals.engine_systems import EngineBanks

    settings = Settings.load()
    engine = open_engine(settings, model=model, adapter=adapter, device=device)
    return EngineBanks(engine, settings.places.store, progress=output.note)


def _place(device: str | None) -> str:
    """Where a baseline's model runs: as asked for, on the processor if not."""
    return device if device in ("cuda", "mps") else "cpu"
