"""The report of answers already recorded, over the questions that every system was asked in time; nothing is answered.

    python -m codemem.evals.answers.recorded WORK/records --set facts --split held-out --system memory-one-round \
        --system memory --system bm25-chunks --note NOTE.txt --out FOLDER

The first system is the one compared. Of a held-out split failures are counted and no example is shown: nothing of those
packages is looked at while developing.
"""

import argparse
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from codemem.evals.answers.names import SYSTEMS, refuse_unknown
from codemem.evals.answers.packages import SPLITS, Split
from codemem.evals.answers.questions import SET_NAMES, Question, SetName, read_questions, set_path
from codemem.evals.answers.report import answers_report
from codemem.evals.answers.run import read_records
from codemem.evals.answers.scoring import Record
from codemem.evals.errors import EvaluationError
from codemem.evals.report import write_report

FLAGS = {"right": "r", "cited": "c", "cited_all": "a", "decided": "d", "found": "f", "rival": "v"}
"""Of a record, what the JSON beside a page keeps as a letter where it is true."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """Records of several systems about the same questions."""

    runs: dict[str, list[Record]]
    """System -> its records, in the order of the set."""
    reached: dict[str, int]
    """System -> how many questions of the set it was asked."""
    questions: list[Question]
    """Of the whole set."""


def read_recorded(folder: Path, name: SetName, split: Split, systems: Sequence[str]) -> Recorded:
    """What lies in a folder of records, cut to the questions that all systems were asked. Raises EvaluationError.

    Every system must have one file about the set: two are of two circumstances, and those are not mixed.
    """
    refuse_unknown(systems)
    questions = read_questions(set_path(name, split))
    known = {question.identifier for question in questions}
    found: dict[str, dict[str, Record]] = {}
    for system in systems:
        pattern = re.compile(re.escape(system) + r"-[0-9a-f]{12}\.jsonl")
        files = [file for file in sorted(folder.glob("*.jsonl")) if pattern.fullmatch(file.name)]
        held = [records for file in files if known & set(records := read_records(file))]
        if len(held) != 1:
            raise EvaluationError(f"{len(held)} files of {system} about {name}-{split} in {folder}: there must be one")
        found[system] = held[0]
    common = [q.identifier for q in questions if all(q.identifier in records for records in found.values())]
    if not common:
        raise EvaluationError(f"no question of {name}-{split} was asked of all of {', '.join(systems)}")
    runs = {system: [records[identifier] for identifier in common] for system, records in found.items()}
    return Recorded(runs, {system: len(known & set(records)) for system, records in found.items()}, questions)


def compact(recorded: Recorded) -> dict[str, Any]:
    """Every judgement in a few letters: question -> one word a system, its flags and its rounds."""
    rows: dict[str, list[str]] = {}
    for records in recorded.runs.values():
        for record in records:
            flags = "".join(letter for name, letter in FLAGS.items() if getattr(record, name))
            rows.setdefault(record.question, []).append(f"{flags}{record.rounds}")
    return {
        "systems": list(recorded.runs),
        "flags": FLAGS,
        "reached": recorded.reached,
        "judged": {question: " ".join(words) for question, words in rows.items()},
    }


def write_recorded(recorded: Recorded, name: SetName, split: Split, out: Path, note: str = "") -> Path:
    """The page of a set, and the judgements beside it."""
    first = next(iter(recorded.runs.values()))
    reached = ", ".join(f"{system} {count}" for system, count in recorded.reached.items())
    package = {question.identifier: question.package for question in recorded.questions}
    compared = Counter(package[record.question] for record in first)
    packages = ", ".join(f"{name} {compared[name]} of {count}" for name, count in Counter(package.values()).items())
    whole = [
        f"{len(first)} of {len(recorded.questions)} questions ({sum(r.answerable for r in first)} of "
        f"{sum(q.answerable for q in recorded.questions)} with an answer): those that every system was asked "
        f"before the time was spent. Asked: {reached}. Compared by package: {packages}. "
        "Intervals are 95% bootstrap over questions.",
        *([note] if note else []),
        "The command, the machine and the versions below are those that wrote this page from the records.",
    ]
    title = f"{name}: {split}"
    examples = split != "held-out"
    report = answers_report(f"{name}-{split}", title, "\n\n".join(whole), recorded.runs, {}, examples=examples)
    return write_report(replace(report, data=compact(recorded)), out)


def main(arguments: Sequence[str]) -> int:
    description, _, example = (__doc__ or "").partition("\n\n")
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=description, epilog=example, formatter_class=formatter)
    parser.add_argument("records", type=Path, help="the folder OUT/work/records of an evaluation")
    parser.add_argument("--set", choices=SET_NAMES, required=True)
    parser.add_argument("--split", choices=SPLITS, default="dev")
    parser.add_argument("--system", action="append", choices=SYSTEMS, required=True)
    parser.add_argument("--note", type=Path, help="a text file: where, when and with what the answers were given")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    try:
        recorded = read_recorded(given.records, given.set, given.split, given.system)
        note = given.note.read_text(encoding="utf-8").strip() if given.note else ""
        print(write_recorded(recorded, given.set, given.split, given.out, note))
    except (EvaluationError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
