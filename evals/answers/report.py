"""A run as a page: every measure with its interval, differences, kinds and languages, failures with examples."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from codemem.evals.answers.scoring import (
    MEASURES,
    Record,
    difference,
    failure,
    invented_share,
    mean,
)
from codemem.evals.report import Report, Table

EXAMPLES = 3
_SHOWN = 160
"""Characters of an answer that an example shows."""

Runs = Mapping[str, Sequence[Record]]
"""System -> its records, all of the same questions; the first is ours."""


def answers_report(name: str, title: str, note: str, runs: Runs, data: dict[str, Any]) -> Report:
    """Tables and what they were made from; `data` says under which circumstances."""
    ours = next(iter(runs))
    tables: list[Table] = [_measures(runs), _differences(runs, ours)]
    tables += [_groups(runs, "kind"), _groups(runs, "language")]
    tables += [_failures(runs), _examples(ours, runs[ours])]
    records = {system: [record.to_json() for record in found] for system, found in runs.items()}
    return Report(name, title, note, [table for table in tables if table[2]], {**data, "records": records})


def _measures(runs: Runs) -> Table:
    rows = []
    for measure in MEASURES:
        found = [mean(records, measure) for records in runs.values()]
        rows.append([measure, *(str(value) if value is not None else "" for value in found)])
    shares = [invented_share(records) for records in runs.values()]
    rows.append(["invented, of all identifiers", *(f"{share:.3f}" if share is not None else "" for share in shares)])
    return "Measures", ["", *runs], rows


def _differences(runs: Runs, ours: str) -> Table:
    rows = []
    for other, records in runs.items():
        if other != ours and (found := difference(runs[ours], records)) is not None:
            theirs = mean(records, "right")
            relative = f"{found.mean / theirs.mean:+.0%}" if theirs is not None and theirs.mean else ""
            rows.append([other, str(found), relative])
    return f"{ours} minus the other, right answers, paired", ["other", "difference", "relative"], rows


def _groups(runs: Runs, key: str) -> Table:
    groups = list(dict.fromkeys(getattr(record, key) for record in next(iter(runs.values()))))
    rows = []
    for group in sorted(groups):
        found = [[r for r in records if getattr(r, key) == group] for records in runs.values()]
        shares = [f"{sum(r.right for r in part) / len(part):.2f}" for part in found]
        rows.append([group, str(len(found[0])), *shares])
    return f"Right by {key}", [key, "questions", *runs], rows


def _failures(runs: Runs) -> Table:
    counts = {system: Counter(failure(record) for record in records) for system, records in runs.items()}
    kinds = sorted(
        {kind for found in counts.values() for kind in found if kind}, key=lambda k: -sum(c[k] for c in counts.values())
    )
    rows = [[kind, *(str(found[kind]) for found in counts.values())] for kind in kinds]
    rows.append(["none: right and cited, or a due refusal", *(str(found[None]) for found in counts.values())])
    return "Failures by kind", ["kind", *runs], rows


def _examples(system: str, records: Sequence[Record]) -> Table:
    by_kind: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        if kind := failure(record):
            by_kind[kind].append(record)
    rows = [
        [kind, record.asked, ", ".join(record.expected), _cut(record.answer), record.question]
        for kind, found in sorted(by_kind.items(), key=lambda pair: -len(pair[1]))
        for record in found[:EXAMPLES]
    ]
    return f"Failures of {system}: examples", ["kind", "question", "expected", "answer", "identifier"], rows


def _cut(answer: str) -> str:
    flat = " ".join(answer.split())
    return flat if len(flat) <= _SHOWN else flat[: _SHOWN - 1] + "…"
