"""`codemem find` and `codemem ask`."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from codemem.cli.options import (
    Batch,
    Device,
    GpuMemory,
    HostMemory,
    Json,
    Model,
    Overlay,
    Ranking,
    RankingName,
    Repositories,
    RouterName,
    Seconds,
)

if TYPE_CHECKING:
    from codemem.results import AskResult, FindResult
    from codemem.search import Session, Target


def find(
    query: Annotated[str | None, typer.Argument(help="What to look for, in words or by name.")] = None,
    *,
    count: Annotated[int | None, typer.Option("-k", help="How many results. Default: 10.", min=1, max=1000)] = None,
    router: Annotated[
        RouterName | None,
        typer.Option(help="Rank by the model's memory, by the outline of names, or by both. Default: both."),
    ] = None,
    repositories: Repositories = None,
    overlay: Overlay = None,
    batch: Batch = None,
    catch_up: Seconds = None,
    model: Model = None,
    device: Device = None,
    ranking: Ranking = None,
    gpu_memory: GpuMemory = None,
    host_memory: HostMemory = None,
    json: Json = False,
) -> None:
    """Find the places that a query is about.

    **Examples**

    `codemem find "where are redirects followed"`

    `codemem find Session.send -k 3 --router outline`

    `codemem find "retry with backoff" -C ~/src/client -C ~/src/server`
    """
    from codemem.cli import output
    from codemem.find import find as find_places
    from codemem.search import Target

    queries = _queries(query, batch)
    target = Target(repositories or [Path()], overlay or (), model=model, router=router, seconds=catch_up)
    opening = _Opening(device, ranking, gpu_memory, host_memory)
    with _open(target, opening, answering=False) as session:
        output.notes(session.notes)

        def answer(text: str) -> "FindResult":
            return find_places(session, text, k=count or session.config.results)

        if batch is not None:
            _run_batch(queries, answer)
            return
        result = answer(next(queries))
    if json:
        output.as_json(result)
    else:
        from codemem.cli.render import show_found

        show_found(result)


def ask(
    question: Annotated[str | None, typer.Argument(help="A question about the code, in a sentence.")] = None,
    *,
    repositories: Repositories = None,
    overlay: Overlay = None,
    batch: Batch = None,
    catch_up: Seconds = None,
    model: Model = None,
    device: Device = None,
    ranking: Ranking = None,
    gpu_memory: GpuMemory = None,
    host_memory: HostMemory = None,
    json: Json = False,
) -> None:
    """Answer a question from the memory, with citations.

    The answer streams as it is written; every citation is checked against the file before it is shown. If the memory
    does not hold the answer, the places that come nearest are listed instead.

    **Examples**

    `codemem ask "How does the client decide when to retry?"`

    `codemem ask "Which setting limits the cache?" --json`
    """
    from codemem.cli import output
    from codemem.search import Target

    questions = _queries(question, batch)
    target = Target(repositories or [Path()], overlay or (), model=model, question=question, seconds=catch_up)
    opening = _Opening(device, ranking, gpu_memory, host_memory)
    with _open(target, opening, answering=True) as session:
        output.notes(session.notes)
        if batch is not None:
            _run_batch(questions, lambda text: _answer(session, text))
        elif json:
            output.as_json(_answer(session, next(questions)))
        else:
            from codemem.ask import ask as stream
            from codemem.cli.render import show_answer

            show_answer(stream(session, next(questions), session.config), session)


def _answer(session: "Session", question: str) -> "AskResult":
    from codemem.ask import ask as stream
    from codemem.results import AskResult

    *_, last = stream(session, question, session.config)
    assert isinstance(last, AskResult), "an engine ends with an answer"
    return last


class _Opening(NamedTuple):
    """How the model and its memory are loaded."""

    device: str | None
    ranking: RankingName | None
    gpu_memory: int | None
    host_memory: int | None


def _open(target: "Target", opening: _Opening, *, answering: bool) -> "Session":
    from codemem.cli import output
    from codemem.config import Settings
    from codemem.engines import bank_budget, loader
    from codemem.search import open_session

    settings = Settings.load()
    budget = bank_budget(opening.gpu_memory, opening.host_memory)
    with output.progress() as report:
        load = loader(settings, device=opening.device, ranking=opening.ranking, budget=budget, report=report)
        session = open_session(target, settings, load, answering=answering)
    if budget is not None and session.recall is not None and session.recall.bank is not None:
        output.note(f"the memory takes {session.recall.bank.placement.words()}")
    return session


def _queries(query: str | None, batch: str | None) -> Iterator[str]:
    """One query, or the lines of a file that are not blank. Raises UsageError unless exactly one of them is given."""
    from codemem.errors import UsageError

    if (query is None) == (batch is None):
        raise UsageError("give one query, or --batch FILE with one query a line")
    if query is not None:
        if not query.strip():
            raise UsageError("the query is empty")
        return iter([query])
    assert batch is not None
    return _lines(batch)


def _lines(batch: str) -> Iterator[str]:
    import sys

    from codemem.errors import UsageError

    try:
        data = sys.stdin.buffer.read() if batch == "-" else Path(batch).read_bytes()
    except OSError as error:
        raise UsageError(f"--batch {batch}: {error.strerror}") from error
    lines = data.decode("utf-8", "replace").splitlines()
    return iter([line for line in lines if line.strip()])


def _run_batch(queries: Iterator[str], answer: "Callable[[str], FindResult | AskResult]") -> None:
    from codemem.cli import output

    for query in queries:
        output.as_json(answer(query))
