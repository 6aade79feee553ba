"""A run as a page: every measure with its interval, differences, kinds and languages, failures with examples."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from codemem.evals.answers.names import bolted_on
from codemem.evals.answers.scoring import (
    MEASURES,
    Record,
    difference,
    failure,
    invented_share,
    mean,
    values,
)
from codemem.evals.report import Report, Table

EXAMPLES = 3
RANKING = "gold lines at 2,000 tokens"
_SHOWN = 160
"""Characters of an answer that an example shows."""

Runs = Mapping[str, Sequence[Record]]
"""System -> its records, all of the same questions; the first is ours."""


def answers_report(
    name: str,
    title: str,
    note: str,
    runs: Runs,
    data: dict[str, Any],
    *,
    ranking_only: bool = False,
    examples: bool = True,
) -> Report:
    """Tables and what they were made from; `data` says under which circumstances.

    With `ranking_only` nothing was answered, and what would be read is all there is to say. Without `examples` failures
    are counted alone.
    """
    ours = next(iter(runs))
    main = RANKING if ranking_only else "right"
    tables: list[Table] = [_measures(runs, (RANKING,) if ranking_only else tuple(MEASURES))]
    tables += [
        _differences(runs, ours, main),
        _best(runs, ours, main),
        _groups(runs, "kind", main),
        _groups(runs, "language", main),
    ]
    if not ranking_only:
        tables += [_rounds(runs, ours), _failures(runs)]
    if examples and not ranking_only:
        tables.append(_examples(ours, runs[ours]))
    records = {system: [record.to_json() for record in found] for system, found in runs.items()}
    return Report(name, title, note, [table for table in tables if table[2]], {**data, "records": records})


def _measures(runs: Runs, measures: Sequence[str]) -> Table:
    rows = []
    for measure in measures:
        found = [mean(records, measure) for records in runs.values()]
        rows.append([measure, *(str(value) if value is not None else "" for value in found)])
    shares = [invented_share(records) for records in runs.values()]
    if any(share is not None for share in shares):
        shown = [f"{share:.3f}" if share is not None else "" for share in shares]
        rows.append(["invented, of all identifiers", *shown])
    return "Measures", ["", *runs], rows


def _differences(runs: Runs, ours: str, measure: str) -> Table:
    rows = []
    for other, records in runs.items():
        if other != ours and (found := difference(runs[ours], records, measure)) is not None:
            theirs = mean(records, measure)
            relative = f"{found.mean / theirs.mean:+.0%}" if theirs is not None and theirs.mean else ""
            rows.append([other, str(found), relative])
    return f"{ours} minus the other, {measure}, paired", ["other", "difference", "relative"], rows


def _best(runs: Runs, ours: str, measure: str) -> Table:
    """Ours beside the best of the rivals that retrieve, whichever that is: what may be claimed."""
    rows = []
    for label, larger in (("the same model", False), ("the larger model", True)):
        means = {s: m.mean for s in bolted_on(list(runs), larger=larger) if (m := mean(runs[s], measure)) is not None}
        if means and ours not in means:
            best = max(means, key=lambda system: means[system])
            found = difference(runs[ours], runs[best], measure)
            relative = f"{found.mean / means[best]:+.0%}" if found is not None and means[best] else ""
            rows.append([f"{label}: {best}, of {len(means)}", str(found), relative])
    return f"{ours} minus the best bolted-on retrieval, {measure}, paired", ["with", "difference", "relative"], rows


def _groups(runs: Runs, key: str, measure: str) -> Table:
    groups = list(dict.fromkeys(getattr(record, key) for record in next(iter(runs.values()))))
    rows = []
    for group in sorted(groups):
        found = [[r for r in records if getattr(r, key) == group] for records in runs.values()]
        # What cannot be answered counts as right where it was refused.
        shares = [
            sum(r.right for r in part) / len(part) if measure == "right" else _share(part, measure) for part in found
        ]
        rows.append([group, str(len(found[0])), *(f"{s:.2f}" if s is not None else "" for s in shares)])
    return f"{measure}, by {key}", [key, "questions", *runs], rows


def _share(records: Sequence[Record], measure: str) -> float | None:
    found = values(records, measure)
    return sum(found) / len(found) if found else None


def _rounds(runs: Runs, ours: str) -> Table:
    """Questions that have an answer by the rounds a system took for them, beside what ours did with the same ones.

    Systems that always took one round have no row. No round: refused without asking the model.
    """
    mine = {record.question: record for record in runs[ours]}
    rows = []
    for system, records in runs.items():
        asked = [record for record in records if record.answerable]
        taken = sorted({record.rounds for record in asked})
        for number in taken if max(taken, default=1) > 1 else ():
            part = [record for record in asked if record.rounds == number]
            same = [mine[record.question] for record in part]
            shares = [
                sum(getattr(record, name) for record in found) / len(found)
                for name in ("gold_read", "right")
                for found in (part, same)
            ]
            rows.append([system, str(number), str(len(part)), *(f"{share:.2f}" for share in shares)])
    columns = ["system", "rounds", "questions", "gold lines read", f"by {ours}", "right", f"of {ours}"]
    return "Answerable questions by rounds taken", columns, rows


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
