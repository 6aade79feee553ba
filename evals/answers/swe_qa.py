"""SWE-QA's open questions: how much of the reference answer's code an answer names, and how much it makes up.

The reference answers are SWE-QA-Bench's own (https://github.com/peng-weihan/SWE-QA-Bench, `Benchmark/NAME.jsonl`); no
model judges. What counts of a reference are the identifiers that stand in the repository and not in the question.
"""

import json
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from codemem.config import Settings
from codemem.evals.answers.engines import Engines, refuse_lacking
from codemem.evals.answers.evaluate import Options, make_system
from codemem.evals.answers.judge import identifiers, invented
from codemem.evals.answers.questions import Question
from codemem.evals.answers.reading import Given
from codemem.evals.answers.systems import checkout_of
from codemem.evals.cases import Case, read_swe_qa
from codemem.evals.checkouts import Checkouts
from codemem.evals.errors import BadCasesError, EvaluationError
from codemem.evals.metrics import bootstrap, paired_difference, recall
from codemem.evals.report import Report, Table, write_report

_WORD = re.compile(r"[A-Za-z_$][\w$]*")


@dataclass(frozen=True, slots=True)
class OpenRecord:
    """One open question, answered."""

    case: str
    answer: str
    found: bool
    named: float
    """Share of the reference's identifiers that the answer names."""
    identifiers: int
    """In the answer."""
    invented: tuple[str, ...]
    cited: float
    """Share of the files that the reference cites among those that the answer cites."""
    seconds: float


def read_references(folder: Path) -> dict[str, str]:
    """Question -> reference answer, of every `*.jsonl` in a folder. Raises BadCasesError."""
    found: dict[str, str] = {}
    for path in sorted(folder.glob("*.jsonl")):
        try:
            rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
            found |= {row["question"].strip(): row["answer"] for row in rows}
        except (OSError, json.JSONDecodeError, KeyError) as error:
            raise BadCasesError(f"{path}: {error}") from error
    if not found:
        raise BadCasesError(f"no reference answers (*.jsonl) in {folder}: SWE-QA-Bench keeps them in Benchmark/")
    return found


def score_open(case: Case, reference: str, known: set[str], given: Given) -> OpenRecord:
    """`known`: all words of the repository."""
    asked = set(_WORD.findall(case.query))
    wanted = (identifiers(reference) & known) - asked
    named = identifiers(given.answer)
    read = [f"{piece.span.path} {piece.text}" for piece in given.read]
    return OpenRecord(
        case=case.identifier,
        answer=given.answer,
        found=given.found,
        named=len(wanted & set(_WORD.findall(given.answer))) / len(wanted) if wanted else 0.0,
        identifiers=len(named),
        invented=tuple(sorted(invented(given.answer, read, case.query))),
        cited=recall([citation.path for citation in given.citations], case.files, 3),
        seconds=round(given.seconds, 3),
    )


def evaluate_swe_qa(
    options: Options,
    settings: Settings,
    *,
    data: Path,
    references: Path,
    checkouts: Checkouts,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[Path, dict[str, list[OpenRecord]]]:
    """Asks the questions of every system; the page written and the records. Raises EvaluationError."""
    started = time.perf_counter()
    answers = read_references(references)
    cases = [case for case in read_swe_qa(data).cases if case.query.strip() in answers][: options.most]
    if not cases:
        raise EvaluationError(f"none of the questions in {data} has a reference answer in {references}")
    refuse_lacking(options.systems, options.models)
    engines = Engines(settings, options.models)
    runs: dict[str, list[OpenRecord]] = {}
    for name in options.systems:
        system = make_system(name, engines.of(name), settings, options)
        runs[name] = []
        try:
            for repository in dict.fromkeys(case.repository for case in cases):
                root = checkouts.find(repository).root
                known = {word for _, text in checkout_of(root).texts() for word in _WORD.findall(text)}
                system.prepare(root)
                for case in (case for case in cases if case.repository == repository):
                    given = system.answer(_question(case), case.query)
                    runs[name].append(score_open(case, answers[case.query.strip()], known, given))
                progress(f"{name}: {repository.name}")
        finally:
            system.close()
    report = _report(runs, engines.of(options.systems[0]).name)
    return write_report(report, options.out, seconds=round(time.perf_counter() - started, 1)), runs


def _question(case: Case) -> Question:
    """An open question has no values; of its lines, the files alone are known."""
    return Question(case.identifier, case.repository.name, "", "open", {"en": [case.query]})


def _report(runs: dict[str, list[OpenRecord]], model: str) -> Report:
    rows = []
    for name, records in runs.items():
        total = sum(record.identifiers for record in records)
        made_up = sum(len(record.invented) for record in records)
        rows.append(
            [
                name,
                str(bootstrap([record.named for record in records])),
                str(bootstrap([record.cited for record in records])),
                f"{made_up / total:.3f}" if total else "",
                f"{sum(not record.found for record in records)} of {len(records)}",
            ]
        )
    first, *others = runs
    gaps = [
        [name, str(paired_difference([r.named for r in runs[first]], [r.named for r in runs[name]]))] for name in others
    ]
    columns = ["system", "reference's identifiers named", "reference's files cited", "invented identifiers", "refused"]
    tables: list[Table] = [("", columns, rows)]
    if gaps:
        tables.append((f"{first} minus the other, identifiers named, paired", ["other", "difference"], gaps))
    count = len(runs[first])
    note = f"{count} questions of SWE-QA, model {model}; 95% bootstrap intervals over questions."
    data = {name: [asdict(record) for record in records] for name, records in runs.items()}
    return Report(f"swe-qa-answers-{model}", "SWE-QA: answers", note, tables, {"records": data})
