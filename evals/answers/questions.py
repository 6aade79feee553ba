"""Questions with the values that answer them and the lines that decide them: what the sets on disk hold."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from codemem.evals.answers.packages import Split
from codemem.evals.errors import BadCasesError

SETS = Path(__file__).parent / "sets"
SetName = Literal["facts", "hops", "premises", "statements"]
SET_NAMES: tuple[SetName, ...] = ("facts", "hops", "premises", "statements")
Tongue = Literal["en", "de", "es", "zh"]
TONGUES: tuple[Tongue, ...] = ("en", "de", "es", "zh")


class Code(NamedTuple):
    """Whose code a question is about."""

    package: str
    language: str


class Line(NamedTuple):
    """One line of a file, 1-based."""

    path: str
    line: int


@dataclass(frozen=True, slots=True)
class Question:
    """One question about one package."""

    identifier: str
    package: str
    language: str
    """Of the code."""
    kind: str
    asked: dict[str, list[str]]
    """Tongue -> the question, and other phrasings of it."""
    expected: tuple[str, ...] = ()
    """Values that a right answer names, all of them; none if the repository does not hold the answer."""
    rivals: tuple[str, ...] = ()
    """Wrong values of the same kind from the same package: none may be named before the right one."""
    evidence: tuple[tuple[Line, ...], ...] = ()
    """For each step, in order, the lines any of which states it; the last step decides."""

    @property
    def answerable(self) -> bool:
        return bool(self.expected)

    def text(self, tongue: str = "en", phrasing: int = 0) -> str:
        """The question; beyond the last phrasing it begins again with the first."""
        asked = self.asked[tongue]
        return asked[phrasing % len(asked)]

    def to_json(self) -> dict[str, Any]:
        row = asdict(self)
        row["evidence"] = [[list(line) for line in step] for step in self.evidence]
        return row

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> "Question":
        evidence = tuple(tuple(Line(*line) for line in step) for step in row["evidence"])
        lists = {"expected": tuple(row["expected"]), "rivals": tuple(row["rivals"]), "evidence": evidence}
        return cls(**{**row, **lists})


def set_path(name: SetName, split: Split, folder: Path = SETS) -> Path:
    return folder / f"{name}-{split}.json"


def read_questions(path: Path) -> list[Question]:
    """The questions of one set. Raises BadCasesError."""
    try:
        return [Question.from_json(row) for row in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise BadCasesError(f"{path} holds no questions ({error})") from error


def write_questions(questions: Iterable[Question], path: Path) -> None:
    """A JSON list with one question a line, so that differences are readable."""
    rows = [json.dumps(question.to_json(), ensure_ascii=False, separators=(",", ":")) for question in questions]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("[\n" + ",\n".join(rows) + "\n]\n", encoding="utf-8")


def sample(questions: Sequence[Question], most: int) -> list[Question]:
    """At most `most` of them, every kind alike: the first of each kind, then the second, and so on."""
    by_kind: dict[str, list[Question]] = {}
    for question in questions:
        by_kind.setdefault(question.kind, []).append(question)
    turns = max((len(found) for found in by_kind.values()), default=0)
    ordered = [found[turn] for turn in range(turns) for found in by_kind.values() if turn < len(found)]
    chosen = {question.identifier for question in ordered[:most]}
    return [question for question in questions if question.identifier in chosen]
