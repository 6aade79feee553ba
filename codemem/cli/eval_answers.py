"""`codemem eval facts`, `hops`, `premises` and `statements`: are answers right."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from codemem.cli.options import Device, Json, Model

if TYPE_CHECKING:
    from codemem.evals.answers.questions import SetName

Adapter = Annotated[
    Path | None, typer.Option("--adapter", help="An adapter that training wrote, in place of the shipped one.")
]
Reader = Annotated[
    Path | None,
    typer.Option("--reader", help="An adapter trained to read retrieved text: for the systems that end in -tuned."),
]
RivalModel = Annotated[
    str | None, typer.Option("--rival-model", help="A larger model for the rivals: for those that end in -larger.")
]
RivalReader = Annotated[
    Path | None, typer.Option("--rival-reader", help="An adapter of --rival-model, trained likewise: -larger-tuned.")
]
Repositories = Annotated[
    Path, typer.Option("--repositories", help="Folder of the pinned packages; missing ones are fetched into it.")
]
SplitName = Literal["dev", "practice", "held-out", "recent"]
Split = Annotated[SplitName, typer.Option("--split", help="Which packages. Tune on nothing but dev.")]
Systems = Annotated[
    list[str] | None,
    typer.Option(
        "--system",
        help="memory, memory-naming-off, memory-attention-off, memory-best-chunks, memory-one-round, bm25-chunks, "
        "bm25-files, minilm, fusion, gold or closed-book, the last six also with -tuned, -larger or -larger-tuned "
        "behind them. Repeatable; "
        "the first is compared with the others. Default: all that can be asked.",
    ),
]
Packages = Annotated[list[str] | None, typer.Option("--package", help="Ask about these alone. Repeatable.")]
Most = Annotated[int | None, typer.Option("--most", min=1, help="At most so many questions, every kind alike.")]
TongueName = Literal["en", "de", "es", "zh"]
TongueOption = Annotated[TongueName, typer.Option("--tongue", help="Language of the questions.")]
Phrasing = Annotated[int, typer.Option("--phrasing", min=0, max=2, help="Which wording of the English questions.")]
Tokens = Annotated[
    list[int] | None,
    typer.Option("--tokens", help="Grow the repository to so many tokens with distractors. Repeat for a curve."),
]
SourceTokens = Annotated[int, typer.Option("--source-tokens", min=256, help="Tokens that may be read for an answer.")]
AnswerTokens = Annotated[int, typer.Option("--answer-tokens", min=16, help="Tokens of an answer.")]
Rounds = Annotated[
    int | None, typer.Option("--rounds", min=1, help="Rounds that the memory may take. Default: the model's own.")
]
RankingOnly = Annotated[bool, typer.Option("--ranking-only", help="Measure what would be read; answer nothing.")]
Out = Annotated[Path, typer.Option("--out", help="Folder for the dated report, and for what a later run goes on from.")]


def _asks(name: "SetName", about: str) -> Callable[..., None]:
    """The command that asks one set: all take the same options."""

    def command(
        *,
        repositories: Repositories = Path(".work/repositories"),
        split: Split = "dev",
        systems: Systems = None,
        packages: Packages = None,
        most: Most = None,
        tongue: TongueOption = "en",
        phrasing: Phrasing = 0,
        tokens: Tokens = None,
        source_tokens: SourceTokens = 3000,
        answer_tokens: AnswerTokens = 96,
        rounds: Rounds = None,
        ranking_only: RankingOnly = False,
        out: Out = Path("reports"),
        model: Model = None,
        adapter: Adapter = None,
        reader: Reader = None,
        rival_model: RivalModel = None,
        rival_reader: RivalReader = None,
        device: Device = None,
        json: Json = False,
    ) -> None:
        from codemem.cli import output
        from codemem.config import Settings
        from codemem.evals.answers.engines import Models
        from codemem.evals.answers.evaluate import Options, evaluate_answers, summary
        from codemem.evals.answers.names import offered
        from codemem.evals.answers.reading import Limits
        from codemem.evals.answers.run import Asking

        models = Models(model, adapter, reader, rival_model, rival_reader, device)
        given = offered(reader=reader is not None, rival=rival_model is not None, rival_reader=rival_reader is not None)
        options = Options(
            name,
            repositories,
            out,
            split=split,
            systems=tuple(systems or given),
            packages=tuple(packages or ()),
            most=most,
            asking=Asking(tongue, phrasing),
            limits=Limits(rounds, source_tokens, answer_tokens),
            ranking_only=ranking_only,
            sizes=tuple(sorted(tokens or ())),
            models=models,
        )
        outcome = evaluate_answers(options, Settings.load(), progress=output.note)
        if json:
            output.print_json({"set": f"{name}-{split}", "systems": summary(outcome), "report": str(outcome.page)})
        else:
            output.line(outcome.page.read_text(encoding="utf-8"))

    command.__doc__ = about
    return command


facts = _asks(
    "facts",
    """Ask for defaults, errors, constants, bases, decorators and callers, each stated in one place.

    Judged by exact match and by the lines cited, never by a model.
    """,
)
hops = _asks("hops", "Ask for what two or three files state together: inherited, called, configured, re-exported.")
premises = _asks(
    "premises",
    "Ask for what is not so: a default of what a function does not take, the parent of a class that has none.",
)
statements = _asks(
    "statements", "Ask in plain words, in English, what one statement answers: right is an answer that quotes it."
)


def swe_qa(
    data: Annotated[Path, typer.Argument(help="`cited_files.jsonl`: questions, revisions and cited files.")],
    *,
    references: Annotated[Path, typer.Option("--references", help="Folder `Benchmark` of SWE-QA-Bench.")],
    checkouts: Annotated[Path, typer.Option("--checkouts", help="Folder of exports `owner+name@revision`.")],
    clones: Annotated[Path | None, typer.Option("--clones", help="Clones to export missing revisions from.")] = None,
    systems: Systems = None,
    most: Most = None,
    source_tokens: SourceTokens = 3000,
    answer_tokens: AnswerTokens = 256,
    rounds: Rounds = None,
    out: Out = Path("reports"),
    model: Model = None,
    adapter: Adapter = None,
    reader: Reader = None,
    rival_model: RivalModel = None,
    rival_reader: RivalReader = None,
    device: Device = None,
    json: Json = False,
) -> None:
    """Ask SWE-QA's open questions: how much of the reference's code is named, and how much is made up."""
    from codemem.cli import output
    from codemem.config import Settings
    from codemem.evals.answers.engines import Models
    from codemem.evals.answers.evaluate import Options
    from codemem.evals.answers.reading import Limits
    from codemem.evals.answers.swe_qa import evaluate_swe_qa
    from codemem.evals.checkouts import Checkouts

    options = Options(
        "facts",
        checkouts,
        out,
        systems=tuple(systems or ("memory", "bm25-chunks", "fusion", "closed-book")),
        most=most,
        limits=Limits(rounds, source_tokens, answer_tokens),
        models=Models(model, adapter, reader, rival_model, rival_reader, device),
    )
    page, runs = evaluate_swe_qa(
        options,
        Settings.load(),
        data=data,
        references=references,
        checkouts=Checkouts(checkouts, clones),
        progress=output.note,
    )
    if json:
        named = {name: sum(r.named for r in found) / len(found) for name, found in runs.items()}
        output.print_json({"named": named, "report": str(page)})
    else:
        output.line(page.read_text(encoding="utf-8"))
