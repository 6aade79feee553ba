"""One evaluation from options to report: what `codemem eval facts` and `codemem eval hops` call."""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from codemem.config import Settings
from codemem.evals.answers.engines import Engines, Models, refuse_lacking, without
from codemem.evals.answers.growth import grown, grown_questions, read_growth
from codemem.evals.answers.names import PRODUCT, READERS, REFERENCES, reader_of, refuse_unknown
from codemem.evals.answers.packages import Split, read_pins, unpacked
from codemem.evals.answers.plots import BARS, bars, growth
from codemem.evals.answers.questions import Question, SetName, read_questions, sample, set_path
from codemem.evals.answers.reading import Limits
from codemem.evals.answers.report import RANKING, answers_report
from codemem.evals.answers.run import Asking, Records, run
from codemem.evals.answers.scoring import MEASURES, Record, mean
from codemem.evals.answers.systems import (
    FilePieces,
    GoldPieces,
    NoPieces,
    PieceSource,
    ProductSystem,
    ReaderSystem,
    RetrievedPieces,
    System,
)
from codemem.evals.baselines import Bm25Retriever, DenseRetriever, FusionRetriever
from codemem.evals.errors import EvaluationError, MissingBaselineError
from codemem.evals.minilm import MiniLM
from codemem.evals.report import Report, Table, write_report
from codemem.model.engine import Engine


@dataclass(frozen=True, slots=True)
class Options:
    """What an evaluation was asked for."""

    name: SetName
    repositories: Path
    """Unpacked packages; missing ones are fetched."""
    out: Path
    """For the report; records, stores and grown repositories lie in `work` below it."""
    split: Split = "dev"
    systems: tuple[str, ...] = (*PRODUCT, *READERS)
    packages: tuple[str, ...] = ()
    """Only questions about these; all by default."""
    most: int | None = None
    asking: Asking = field(default_factory=Asking)
    limits: Limits = field(default_factory=Limits)
    ranking_only: bool = False
    """Measure what would be read, and answer nothing."""
    sizes: tuple[int, ...] = ()
    """Tokens of grown repositories; none: every package by itself."""
    worlds: tuple[int, ...] = ()
    """Of grown repositories, those of these alone, by number."""
    models: Models = field(default_factory=Models)

    @property
    def work(self) -> Path:
        return self.out / "work"

    @property
    def records(self) -> Path:
        """What was answered, a file for each system and set of circumstances."""
        return self.work / "records"


@dataclass(frozen=True, slots=True)
class Outcome:
    page: Path
    runs: dict[str, list[Record]]
    """Of grown repositories, the largest."""
    by_size: dict[str, dict[int, list[Record]]]


def evaluate_answers(
    options: Options, settings: Settings, *, progress: Callable[[str], None] = lambda _: None
) -> Outcome:
    """Runs every system over every question and writes the report with its plots. Raises EvaluationError."""
    refuse_unknown(options.systems)
    refuse_lacking(options.systems, options.models)
    started = time.perf_counter()
    settings = kept_in(options, settings)
    engines = Engines(settings, options.models)
    runs, by_size = collect(options, engines, settings, progress=progress)
    page = _write(options, engines.of(options.systems[0]), runs, by_size, time.perf_counter() - started)
    return Outcome(page, runs, by_size)


def kept_in(options: Options, settings: Settings) -> Settings:
    """Settings under which memories lie with the evaluation's own work."""
    return replace(settings, places=replace(settings.places, data=options.work / "data"))


def collect(
    options: Options, engines: Engines, settings: Settings, *, progress: Callable[[str], None] = lambda _: None
) -> tuple[dict[str, list[Record]], dict[str, dict[int, list[Record]]]]:
    """Records by system (of grown repositories, the largest), and by system and size; asks what has none yet."""
    by_size: dict[str, dict[int, list[Record]]] = {}
    runs: dict[str, list[Record]] = {}
    for size in options.sizes or (None,):
        worlds = _worlds(options, size)
        for name in options.systems:
            engine = engines.of(name)
            system = make_system(name, engine, settings, options)
            records = Records(options.records, name, _circumstances(options, engine, size))
            runs[name] = []
            for questions, roots in worlds:
                runs[name] += run(
                    system, questions, roots, records, options.asking, count_tokens=_counter(engine), progress=progress
                )
            if size is not None:
                by_size.setdefault(name, {})[size] = runs[name]
    return runs, by_size


World = tuple[list[Question], dict[str, Path]]
"""Questions, and the repository of each package."""


def _worlds(options: Options, size: int | None) -> list[World]:
    """One world, every package by itself; or, where the repository grows, those of the growth set."""
    pins = read_pins()
    if size is None:
        questions = _wanted(options, read_questions(set_path(options.name, options.split)))
        if options.most is not None:
            questions = sample(questions, options.most)
        packages = dict.fromkeys(question.package for question in questions)
        worlds: list[World] = [(questions, {p: unpacked(pins[p], options.repositories) for p in packages})]
    else:
        worlds = []
        for number, growth_ in enumerate(read_growth(options.split)):
            if options.worlds and number not in options.worlds:
                continue
            questions = _wanted(options, grown_questions(options.name, options.split, growth_))
            if questions and (options.most is None or sum(len(q) for q, _ in worlds) < options.most):
                for package in dict.fromkeys(file.package for file in growth_.prefix(size)):
                    unpacked(pins[package], options.repositories)
                place = options.work / f"{options.split}-{number}"
                root = grown(growth_, size, options.repositories, place)
                worlds.append((questions, {question.package: root for question in questions}))
    if any(options.asking.tongue not in question.asked for questions, _ in worlds for question in questions):
        raise EvaluationError(f"{options.name} are asked in English alone")
    if not any(questions for questions, _ in worlds):
        raise EvaluationError(f"no question of {options.name}-{options.split} fits what was asked for")
    return worlds


def _wanted(options: Options, questions: list[Question]) -> list[Question]:
    return [question for question in questions if not options.packages or question.package in options.packages]


def make_system(name: str, engine: Engine, settings: Settings, options: Options) -> System:
    """A system by its name on the command line, asking `engine`."""
    silent, limits = options.ranking_only, options.limits
    reader = reader_of(name)
    if reader is None:
        if name in {"memory-attention-off", "memory-naming-off"}:
            engine = without(engine, attention="attention" in name, naming="naming" in name)
        if name == "memory-one-round":
            limits = replace(limits, rounds=1)
        return ProductSystem(
            name,
            engine,
            settings,
            limits,
            silent=silent,
            told=name != "memory-references-off",
            best_chunks=name == "memory-best-chunks",
            hops=name != "memory-no-hops",
            premises=name != "memory-premises-off",
        )
    pieces = _pieces(reader.pieces, options.work / "minilm.sqlite", engine.device)
    return ReaderSystem(name, pieces, without(engine, attention=True, naming=True), limits, silent=silent)


def _pieces(name: str, cache_file: Path, device: str) -> PieceSource:
    def minilm() -> DenseRetriever:
        return DenseRetriever("MiniLM", _minilm(cache_file, device), with_path=True)

    makers: dict[str, Callable[[], PieceSource]] = {
        "bm25-chunks": lambda: RetrievedPieces(Bm25Retriever(with_path=True)),
        "bm25-chunks" + REFERENCES: lambda: RetrievedPieces(Bm25Retriever(with_path=True), defined=True),
        "bm25-files": FilePieces,
        "minilm": lambda: RetrievedPieces(minilm()),
        "fusion": lambda: RetrievedPieces(FusionRetriever(Bm25Retriever(with_path=True), minilm())),
        "gold": GoldPieces,
        "closed-book": NoPieces,
    }
    return makers[name]()


@cache
def _minilm(cache_file: Path, device: str) -> MiniLM:
    return MiniLM(cache_file, device=device)


def _counter(engine: Engine) -> Callable[[str], int]:
    return engine.count_tokens


def _circumstances(options: Options, engine: Engine, size: int | None) -> dict[str, Any]:
    """Whatever changes an answer; the device changes roundings alone and is left out."""
    files = [set_path(options.name, options.split)]
    return {
        "set": f"{options.name}-{options.split}",
        "sha256": [hashlib.sha256(file.read_bytes()).hexdigest()[:16] for file in files],
        "model": engine.name,
        "memory": engine.layout.fingerprint,
        "asking": asdict(options.asking),
        "limits": asdict(options.limits),
        "ranking_only": options.ranking_only,
        "size": size,
    }


def _write(
    options: Options,
    engine: Engine,
    runs: dict[str, list[Record]],
    by_size: dict[str, dict[int, list[Record]]],
    seconds: float,
) -> Path:
    tongue = "" if options.asking.tongue == "en" else f"-{options.asking.tongue}"
    grown_name = "-grown" if by_size else "-ranking" if options.ranking_only else ""
    name = f"{options.name}-{options.split}{tongue}{grown_name}-{engine.name}"
    first = next(iter(runs.values()))
    note = (
        f"{len(first)} questions ({sum(record.answerable for record in first)} with an answer), "
        f"{_told(options.models, engine)}; at most {options.limits.source_tokens} tokens read, "
        f"{options.limits.answer_tokens} written. Intervals are 95% bootstrap over questions."
    )
    data = {"circumstances": _circumstances(options, engine, None), "device": engine.device}
    report = answers_report(
        name, f"{options.name}: {options.split}", note, runs, data, ranking_only=options.ranking_only
    )
    if by_size:
        report = _with_growth(report, by_size)
    page = write_report(report, options.out, seconds=round(seconds, 1))
    try:
        pictures = _pictures(options, page, runs, by_size)
        shown = "".join(f"\n![{picture.stem}]({picture.name})\n" for picture in pictures)
    except MissingBaselineError as error:  # hours of answers must not be lost to a missing picture
        shown = f"\nNo pictures: {error}.\n"
    with page.open("a", encoding="utf-8") as out:
        out.write(shown)
    return page


def _told(models: Models, engine: Engine) -> str:
    """The models of an evaluation in words; `engine` is that of its first system."""
    adapter = models.adapter.name if models.adapter else "the shipped adapter"
    parts = [f"model {engine.name} with {adapter}"]
    if models.reader:
        parts.append(f"`-tuned` with {models.reader.name}")
    if models.rival_model:
        tuned = f", tuned with {models.rival_reader.name}" if models.rival_reader else ""
        parts.append(f"`-larger` is {models.rival_model} without an adapter{tuned}")
    return ", ".join(parts)


def _pictures(
    options: Options, page: Path, runs: dict[str, list[Record]], by_size: dict[str, dict[int, list[Record]]]
) -> list[Path]:
    measures = (RANKING,) if options.ranking_only else BARS
    pictures = [bars(runs, page.with_suffix(".svg"), f"{options.name}, {options.split}", measures)]
    for measure in ("right", RANKING) if by_size else ():
        place = page.with_name(f"{page.stem}-{measure.split(' ', maxsplit=1)[0]}.svg")
        pictures.append(growth(by_size, place, measure, f"{options.name}, {options.split}: {measure}"))
    return pictures


def _with_growth(report: Report, by_size: dict[str, dict[int, list[Record]]]) -> Report:
    """Tables by size before those of the largest one."""
    sizes = sorted(next(iter(by_size.values())))
    tables: list[Table] = []
    for measure in ("right", "right and cited", "gold lines at 2,000 tokens"):
        rows = [
            [system, *(str(mean(found[size], measure) or "") for size in sizes), _lost(found, sizes, measure)]
            for system, found in by_size.items()
        ]
        columns = ["system", *(f"{size:,}" for size in sizes), "lost"]
        tables.append((f"{measure}, by tokens in the repository", columns, rows))
    data = {
        **report.data,
        "by_size": {s: {str(n): [r.to_json() for r in rs] for n, rs in f.items()} for s, f in by_size.items()},
    }
    return replace(report, tables=[*tables, *report.tables], data=data)


def _lost(found: dict[int, list[Record]], sizes: Sequence[int], measure: str) -> str:
    """Relative loss from the smallest to the largest repository."""
    first, last = mean(found[sizes[0]], measure), mean(found[sizes[-1]], measure)
    return (
        f"{(first.mean - last.mean) / first.mean:.0%}" if first is not None and last is not None and first.mean else ""
    )


def summary(outcome: Outcome) -> dict[str, dict[str, float | None]]:
    """System -> measure -> mean."""
    return {
        system: {measure: round(found.mean, 4) if (found := mean(records, measure)) else None for measure in MEASURES}
        for system, records in outcome.runs.items()
    }
