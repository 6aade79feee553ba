"""Asks every question of every system, one repository after the other, and keeps what was given.

What is done is kept line by line, so that a run goes on where it was stopped: a machine that is lent for minutes at a
time finishes a long evaluation in several runs.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codemem.evals.answers.questions import Question
from codemem.evals.answers.scoring import Record, score
from codemem.evals.answers.systems import System


@dataclass(frozen=True, slots=True)
class Asking:
    """How questions are put, the same for every system of a run."""

    tongue: str = "en"
    phrasing: int = 0


def read_records(path: Path) -> dict[str, Record]:
    """Question -> its record. A kill may have cut the last line short; that question is asked again."""
    lines = path.read_text(encoding="utf-8").split("\n")
    records = [Record.from_json(json.loads(line)) for line in lines if line.endswith("}")]
    return {record.question: record for record in records}


class Records:
    """Records of one system under one set of circumstances, on disk."""

    def __init__(self, folder: Path, system: str, circumstances: Mapping[str, Any]) -> None:
        """`circumstances`: whatever changes an answer; records made under others are kept apart."""
        text = json.dumps({"system": system, **circumstances}, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{system.replace(' ', '-')}-{digest}.jsonl"
        self.done = read_records(self.path) if self.path.is_file() else {}

    def add(self, record: Record) -> None:
        self.done[record.question] = record
        whole = self.path.is_file() and not self.path.read_bytes().endswith(b"\n")
        with self.path.open("a", encoding="utf-8") as out:
            out.write(("\n" if whole else "") + json.dumps(record.to_json(), ensure_ascii=False) + "\n")


def run(
    system: System,
    questions: Sequence[Question],
    roots: Mapping[str, Path],
    records: Records,
    asking: Asking,
    *,
    count_tokens: Callable[[str], int],
    progress: Callable[[str], None] = lambda _: None,
) -> list[Record]:
    """Records of all questions, in their order. `roots`: package -> its repository."""
    by_root: dict[Path, list[Question]] = {}
    for question in questions:
        if question.identifier not in records.done:
            by_root.setdefault(roots[question.package], []).append(question)
    try:
        for root, asked in by_root.items():
            system.prepare(root)
            for question in asked:
                text = question.text(asking.tongue, asking.phrasing)
                records.add(score(question, text, system.answer(question, text), count_tokens))
            progress(f"{system.name}: {len(asked)} questions about {root.name}")
    finally:
        system.close()
    return [records.done[question.identifier] for question in questions]
