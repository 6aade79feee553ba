"""`codemem find`: places for a query, by the memory, the outline, or both."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from codemem.passages import FileChangedError, Lines
from codemem.recall import Recall
from codemem.results import FindResult, FoundPlace
from codemem.search import Session
from codemem.snapshot import Snapshot

MAX_TEXT_LINES = 60
"""Longer places are cut in the result's text; the lines still name all of it."""
RANK_CONSTANT = 60
"""Of reciprocal rank fusion (Cormack, Clarke, Büttcher 2009): how slowly a place's worth falls with its rank."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A place before its text is read."""

    snapshot: Snapshot
    path: str
    lines: Lines
    symbol: str | None
    score: float

    def overlaps(self, other: "Candidate") -> bool:
        """Whether they share more than half of the shorter one."""
        if self.path != other.path or self.snapshot is not other.snapshot:
            return False
        shared = min(self.lines.end, other.lines.end) - max(self.lines.start, other.lines.start) + 1
        shorter = min(c.lines.end - c.lines.start + 1 for c in (self, other))
        return shared * 2 > shorter


def find(session: Session, query: str, *, k: int, router: str | None = None) -> FindResult:
    """The best `k` places. Where there is no memory, 'both' means the outline."""
    started = time.monotonic()
    router = router or session.router
    ranked: list[list[Candidate]] = []
    route_ms = 0.0
    if session.recall and router != "outline":
        by_memory, route_ms = memory_candidates(session.recall, query, 4 * k)
        ranked.append(by_memory)
    if router != "memory":
        ranked.append(outline_candidates(session.snapshots, query, 4 * k))
    results = _with_text(ranked[0] if len(ranked) == 1 else fuse(ranked), k) if ranked else []
    used = session.recall is not None and router != "outline"
    behind = session.behind if used else session.unread
    return FindResult(
        query=query,
        model=session.snapshots[0].manifest.info.model if used else None,
        commit=session.commit,
        fresh=not behind,
        behind=behind,
        took_ms=round((time.monotonic() - started) * 1000, 2),
        route_ms=round(route_ms, 2),
        results=results,
        router=router if used else "outline",
        notes=session.notes,
    )


def outline_candidates(snapshots: Sequence[Snapshot], query: str, k: int) -> list[Candidate]:
    """By falling score of the outline."""
    found = [
        Candidate(snapshot, h.path, Lines(h.start_line, h.end_line), h.symbol, h.score)
        for snapshot in snapshots
        for h in snapshot.outline.search(query, k)
    ]
    return sorted(found, key=lambda c: -c.score)[:k]


def memory_candidates(recall: Recall, query: str, k: int) -> tuple[list[Candidate], float]:
    """By falling score of the documents, each at its best chunk; and the milliseconds that routing took."""
    ranking = recall.memory.engine.rank(query, recall.bank)
    best = np.argsort(-ranking.scores, kind="stable")[:k]
    candidates = []
    for index in best.tolist():
        tree, document = recall.where(index)
        span = recall.chunk_bytes(index, int(ranking.best_chunk[index]))
        try:
            place = tree.passages.place(document, *span)
        except FileChangedError:
            continue
        score = float(ranking.scores[index])
        candidates.append(Candidate(tree.snapshot, place.path, place.lines, place.symbol, score))
    return candidates, ranking.route_ms


def fuse(rankings: Sequence[Sequence[Candidate]]) -> list[Candidate]:
    """Reciprocal rank fusion; places that overlap are one, shown with the lines of the ranking named first."""
    merged: list[Candidate] = []
    for ranking in rankings:
        fresh = []
        for rank, candidate in enumerate(ranking):
            worth = 1 / (RANK_CONSTANT + rank + 1)
            known = next((i for i, other in enumerate(merged) if other.overlaps(candidate)), None)
            if known is None:
                fresh.append(replace(candidate, score=worth))
            else:
                merged[known] = replace(merged[known], score=merged[known].score + worth)
        merged += fresh
    return sorted(merged, key=lambda c: -c.score)


def _with_text(candidates: Sequence[Candidate], k: int) -> list[FoundPlace]:
    """The first `k` that do not overlap a better one and whose files are as they were read."""
    chosen: list[Candidate] = []
    results: list[FoundPlace] = []
    for candidate in candidates:
        if len(results) == k:
            break
        if any(candidate.overlaps(other) for other in chosen):
            continue
        place = _place(candidate)
        if place is not None:
            chosen.append(candidate)
            results.append(place)
    return results


def _place(candidate: Candidate) -> FoundPlace | None:
    """The candidate with its text; None if the file changed since it was read."""
    lines = candidate.lines
    shown = Lines(lines.start, min(lines.end, lines.start + MAX_TEXT_LINES - 1))
    try:
        text = candidate.snapshot.passages.lines(candidate.path, shown)
    except FileChangedError:
        return None
    return FoundPlace(
        repository=candidate.snapshot.workspace.name,
        path=candidate.path,
        start_line=lines.start,
        end_line=lines.end,
        symbol=candidate.symbol,
        score=round(candidate.score, 4),
        text=text,
    )
