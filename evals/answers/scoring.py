"""What is measured of an answer, and means of it with intervals."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from codemem.evals.answers.judge import (
    MOST_CITATIONS,
    Span,
    counted,
    covered,
    first_place,
    identifiers,
    invented,
    is_right,
)
from codemem.evals.answers.questions import Question
from codemem.evals.answers.reading import Given, Piece
from codemem.evals.metrics import Interval, bootstrap, paired_difference

READ_TOKENS = 2000
"""Tokens read at which the recall of gold lines is taken."""


@dataclass(frozen=True, slots=True)
class Record:
    """One question answered by one system, judged."""

    question: str
    """Identifier."""
    kind: str
    language: str
    asked: str
    expected: tuple[str, ...]
    answer: str
    found: bool
    right: bool
    """The expected values were named; for what cannot be answered: it said so."""
    cited: bool
    """A citation that is counted holds the deciding line."""
    cited_all: bool
    """The citations that are counted hold a line of every step."""
    citations: tuple[tuple[str, int, int], ...]
    gold_read: float
    """Share of the steps whose line was read for the answer."""
    decided: bool
    """The deciding line was read."""
    recall: float
    """Share of the steps among the first READ_TOKENS tokens of the ranking."""
    rival: bool
    """A wrong value of the kind was named."""
    identifiers: int
    """In the answer."""
    invented: tuple[str, ...]
    """Identifiers of the answer that stand neither in what was read nor in the question."""
    rounds: int
    seconds: float
    tokens: int

    @property
    def answerable(self) -> bool:
        return bool(self.expected)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> "Record":
        lists = {name: tuple(row[name]) for name in ("expected", "invented")}
        return cls(**{**row, **lists, "citations": tuple(tuple(c) for c in row["citations"])})


def score(question: Question, asked: str, given: Given, count_tokens: Callable[[str], int]) -> Record:
    """Judges what a system gave."""
    citations = counted(given.citations)
    held = covered(citations, question)
    read = covered([piece.span for piece in given.read], question)
    named = identifiers(given.answer)
    return Record(
        question=question.identifier,
        kind=question.kind,
        language=question.language,
        asked=asked,
        expected=question.expected,
        answer=given.answer,
        found=given.found,
        right=given.found == question.answerable and (not question.answerable or is_right(given.answer, question)),
        cited=bool(held) and held[-1],
        cited_all=bool(held) and all(held),
        citations=tuple((c.path, c.start_line, c.end_line) for c in given.citations[:MOST_CITATIONS]),
        gold_read=sum(read) / len(read) if read else 0.0,
        decided=bool(read) and read[-1],
        recall=recall_at(given.ranked, question, count_tokens),
        rival=any(first_place(rival, given.answer) is not None for rival in question.rivals),
        identifiers=len(named),
        invented=tuple(sorted(invented(given.answer, (_known(piece) for piece in given.read), asked))),
        rounds=given.rounds,
        seconds=round(given.seconds, 3),
        tokens=given.tokens,
    )


def _known(piece: Piece) -> str:
    return f"{piece.span.path} {piece.text}"


def recall_at(ranked: Sequence[Piece], question: Question, count_tokens: Callable[[str], int]) -> float:
    """Share of the steps whose line stands in the first READ_TOKENS tokens; the piece that exceeds them is cut."""
    left = READ_TOKENS
    spans = []
    for piece in ranked:
        if left <= 0:
            break
        tokens = count_tokens(piece.text)
        span = piece.span
        if tokens > left:
            lines = max(1, round((span.end_line - span.start_line + 1) * left / tokens))
            span = Span(span.path, span.start_line, span.start_line + lines - 1)
        spans.append(span)
        left -= tokens
    held = covered(spans, question)
    return sum(held) / len(held) if held else 0.0


Measure = Callable[[Record], float | None]
"""None where a measure says nothing about a record."""

MEASURES: dict[str, Measure] = {
    "right": lambda r: float(r.right) if r.answerable else None,
    "right and cited": lambda r: float(r.right and r.cited) if r.answerable else None,
    "cited, of right": lambda r: float(r.cited) if r.answerable and r.right else None,
    "all steps cited, of right": lambda r: float(r.cited_all) if r.answerable and r.right else None,
    "refused, of answerable": lambda r: float(not r.found) if r.answerable else None,
    "refused, of absent": lambda r: float(not r.found) if not r.answerable else None,
    "gold lines read": lambda r: r.gold_read if r.answerable else None,
    "gold lines at 2,000 tokens": lambda r: r.recall if r.answerable else None,
    "answers with an invented identifier": lambda r: float(bool(r.invented)) if r.found else None,
    "seconds": lambda r: r.seconds,
}


def values(records: Sequence[Record], measure: str) -> list[float]:
    found = (MEASURES[measure](record) for record in records)
    return [value for value in found if value is not None]


def mean(records: Sequence[Record], measure: str) -> Interval | None:
    """With its 95% bootstrap interval; None if the measure says nothing about any record."""
    found = values(records, measure)
    return bootstrap(found) if found else None


def invented_share(records: Sequence[Record]) -> float | None:
    """Of all identifiers in answers, those that stand nowhere in what was read."""
    total = sum(record.identifiers for record in records)
    return sum(len(record.invented) for record in records) / total if total else None


def difference(ours: Sequence[Record], theirs: Sequence[Record], measure: str = "right") -> Interval | None:
    """Interval of the mean of ours minus theirs over the questions that both answered, paired."""
    other = {record.question: record for record in theirs}
    pairs = []
    for record in ours:
        if record.question in other:
            mine, its = MEASURES[measure](record), MEASURES[measure](other[record.question])
            if mine is not None and its is not None:
                pairs.append((mine, its))
    return paired_difference([a for a, _ in pairs], [b for _, b in pairs]) if pairs else None


FAILURES: dict[str, Callable[[Record], bool]] = {
    "answered although nothing is there": lambda r: not r.answerable and r.found,
    "refused with the deciding line read": lambda r: r.answerable and not r.found and r.decided,
    "refused, deciding line not read": lambda r: r.answerable and not r.found,
    "named another value of the kind, deciding line read": lambda r: (
        r.answerable and not r.right and r.rival and r.decided
    ),
    "named another value of the kind, deciding line not read": lambda r: r.answerable and not r.right and r.rival,
    "named no value of the kind, deciding line read": lambda r: r.answerable and not r.right and r.decided,
    "named no value of the kind, deciding line not read": lambda r: r.answerable and not r.right,
    "right, but no citation holds the deciding line": lambda r: r.answerable and not r.cited,
}
"""Kinds of failure; a record belongs to the first that fits."""


def failure(record: Record) -> str | None:
    """The kind of a failure; None for a right answer whose citation shows why, or a due refusal."""
    return next((name for name, fits in FAILURES.items() if fits(record)), None)
