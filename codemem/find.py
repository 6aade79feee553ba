"""`codemem find`: places for a query, by the memory, the outline, or both."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

from codemem.passages import FileChangedError, Lines
from codemem.results import FindResult, FoundPlace
from codemem.snapshot import Behind, Snapshot

MAX_TEXT_LINES = 60
"""Longer places are cut in the result's text; the lines still name all of it."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A place before its text is read."""

    snapshot: Snapshot
    path: str
    lines: Lines
    symbol: str | None
    score: float


def find(snapshots: Sequence[Snapshot], query: str, *, k: int, router: str) -> FindResult:
    """The best `k` places."""
    started = time.monotonic()
    found = sorted(
        (c for snapshot in snapshots for c in outline_candidates(snapshot, query, 2 * k)), key=lambda c: -c.score
    )
    results = [place for candidate in found if (place := _place(candidate))][:k]
    behind = reduce(Behind.__add__, (snapshot.unread for snapshot in snapshots))
    return FindResult(
        query=query,
        model=None,
        commit=snapshots[0].manifest.info.commit,
        fresh=not behind,
        behind=behind,
        took_ms=(time.monotonic() - started) * 1000,
        route_ms=0.0,
        results=results,
        router="outline",
    )


def outline_candidates(snapshot: Snapshot, query: str, k: int) -> list[Candidate]:
    hits = snapshot.outline.search(query, k)
    return [Candidate(snapshot, h.path, Lines(h.start_line, h.end_line), h.symbol, h.score) for h in hits]


def _place(candidate: Candidate) -> FoundPlace | None:
    """The candidate with its text; None if the file changed since it was read."""
    lines = candidate.lines
    shown = Lines(lines.start, min(lines.end, lines.start + MAX_TEXT_LINES - 1))
    try:
        text = candidate.snapshot.passages.lines(candidate.path, shown)
    except FileChangedError:
        return None
    return FoundPlace(
        candidate.snapshot.workspace.name,
        candidate.path,
        lines.start,
        lines.end,
        candidate.symbol,
        round(candidate.score, 4),
        text,
    )
