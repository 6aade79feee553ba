"""`codemem find`: places for a query, by the memory, the outline, or both."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from codemem.model.events import Ranking
from codemem.outline import Outline
from codemem.outline.alike import space_out
from codemem.outline.mix import mix_files, mix_without_memory, outline_weight, words_weight
from codemem.passages import FileChangedError, Lines, enclosing_symbol
from codemem.recall import Recall, file_key
from codemem.results import FindResult, FoundPlace
from codemem.search import Session
from codemem.snapshot import Snapshot
from codemem.word_places import WordPlace, words_of_files

OUTLINE_FILES = 500
"""Files that the outline may name for a query that is ranked by both sides."""
MAX_TEXT_LINES = 60
"""Longer places are cut in the result's text; the lines still name all of it."""
SPARE = 4
"""Candidates a result: some overlap better ones, or changed meanwhile."""


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


def find(
    session: Session,
    query: str,
    *,
    k: int,
    router: str | None = None,
    first: Sequence[Candidate] = (),
    besides: Sequence[Candidate] = (),
) -> FindResult:
    """The best `k` places. Where there is no memory, 'both' means the outline. `first` stand before all others,
    `besides` behind the first."""
    started = time.monotonic()
    router = router or session.router
    route_ms = 0.0
    if session.recall is None or router == "outline":
        router = "outline"
        candidates = lexical_candidates(session.snapshots, query, SPARE * k)
    else:
        ranking = session.recall.rank(query)
        route_ms = ranking.route_ms
        candidates = memory_candidates(session.recall, ranking, SPARE * k)
        if router == "both":
            candidates = mixed_candidates(session, query, ranking, candidates, SPARE * k)
    if besides:
        between = candidates[1].score if len(candidates) > 1 else 0.0
        candidates = [*candidates[:1], *(replace(c, score=between) for c in besides), *candidates[1:]]
    candidates = [*(replace(c, score=candidates[0].score if candidates else c.score) for c in first), *candidates]
    behind = session.unread if router == "outline" else session.behind
    return FindResult(
        query=query,
        model=None if router == "outline" else session.snapshots[0].manifest.info.model,
        commit=session.commit,
        fresh=not behind,
        behind=behind,
        results=_with_text(candidates, query, k),
        took_ms=round((time.monotonic() - started) * 1000, 2),
        route_ms=round(route_ms, 2),
        router=router,
        notes=session.notes,
    )


def outline_candidates(snapshots: Sequence[Snapshot], query: str, k: int) -> list[Candidate]:
    """By falling score of the outline, a place a file."""
    found = [
        Candidate(snapshot, h.path, Lines(h.start_line, h.end_line), h.symbol, h.score)
        for snapshot in snapshots
        for h in snapshot.outline.search(query, k)
    ]
    return sorted(found, key=lambda c: -c.score)[:k]


def memory_candidates(recall: Recall, ranking: Ranking, k: int) -> list[Candidate]:
    """By falling score of the documents, each at its best chunk."""
    found = (
        _at_best_chunk(recall, ranking, index) for index in np.argsort(-ranking.scores, kind="stable")[:k].tolist()
    )
    return [candidate for candidate in found if candidate]


def _at_best_chunk(recall: Recall, ranking: Ranking, index: int) -> Candidate | None:
    tree, document = recall.where(index)
    span = recall.chunk_bytes(index, int(ranking.best_chunk[index]))
    try:
        place = tree.passages.place(document, *span)
    except FileChangedError:
        return None
    return Candidate(tree.snapshot, place.path, place.lines, place.symbol, float(ranking.scores[index]))


def lexical_candidates(snapshots: Sequence[Snapshot], query: str, k: int) -> list[Candidate]:
    """Files by what they define and by the words of their bodies, where there is no memory: each at the definition that
    the outline names, else at the document whose words fit best."""
    outline = _outline_of_files(snapshots, query, k)
    words = words_of_files(snapshots, query)
    mixed = space_out(mix_without_memory(_scores(outline), _scores(words)))
    return [
        replace(outline[key], score=score) if key in outline else _at_words(words[key], score)
        for key, score in list(mixed.items())[:k]
    ]


def _outline_of_files(snapshots: Sequence[Snapshot], query: str, k: int) -> dict[str, Candidate]:
    found = outline_candidates(snapshots, query, max(k, OUTLINE_FILES))
    return {file_key(snapshots.index(c.snapshot), c.path): c for c in found}


def _scores(places: Mapping[str, Candidate] | Mapping[str, WordPlace]) -> dict[str, float]:
    return {key: place.score for key, place in places.items()}


def _at_words(place: WordPlace, score: float) -> Candidate:
    manifest = place.snapshot.manifest
    record = manifest.file(manifest.row_of_document(place.document))
    span = record.documents[place.document - record.first_document]
    lines = Lines(span.start_line, span.end_line)
    symbol = enclosing_symbol(record.symbols, lines)
    return Candidate(place.snapshot, record.path, lines, symbol.qualified_name if symbol else span.symbol, score)


def mixed_candidates(
    session: Session, query: str, ranking: Ranking, by_memory: Sequence[Candidate], k: int
) -> list[Candidate]:
    """Files by the one rule of `outline.mix`, each at the place of outline or memory, whichever speaks louder for it.

    Further places that the memory found follow after all files, with the scores they leave for the last of these.
    """
    recall = session.recall
    assert recall is not None, "without a memory there is nothing to mix"
    best = recall.best_of_files(ranking.scores)
    memory = {key: float(ranking.scores[index]) for key, index in best.items()}
    outline = _outline_of_files(session.snapshots, query, k)
    words = words_of_files(session.snapshots, query)
    told = max(snapshot.outline.scores(query).told for snapshot in session.snapshots)
    weight = outline_weight(query, told)
    named, remembered = mix_files({}, _scores(outline), weight=weight), mix_files(memory, {}, weight=weight)
    mixed = space_out(mix_files(memory, _scores(outline), _scores(words), weight=weight, by_words=words_weight(query)))
    places = []
    for key, score in list(mixed.items())[:k]:
        if key in outline and (key not in best or named[key] > remembered[key]):
            places.append(replace(outline[key], score=score))
        elif key not in best:
            places.append(_at_words(words[key], score))
        elif found := _at_best_chunk(recall, ranking, best[key]):
            places.append(replace(found, score=score))
    floor = places[-1].score if places else 1.0
    top = max((c.score for c in by_memory), default=1.0)
    return places + [replace(c, score=floor * c.score / top) for c in by_memory if c.score > 0]


def _with_text(candidates: Sequence[Candidate], query: str, k: int) -> list[FoundPlace]:
    """The first `k` that do not overlap a better one and whose files are as they were read."""
    chosen: list[Candidate] = []
    results: list[FoundPlace] = []
    for candidate in candidates:
        if len(results) == k:
            break
        if any(candidate.overlaps(other) for other in chosen):
            continue
        place = _place(candidate, query)
        if place is not None:
            chosen.append(candidate)
            results.append(place)
    return results


def _read_now(candidate: Candidate, query: str) -> Candidate:
    """The definition that a file, known by its name alone so far, has for the query. Raises FileChangedError."""
    file = candidate.snapshot.passages.source_file(candidate.path)
    alone = Outline.build([file], names=[candidate.snapshot.workspace.root.name])
    best = next(iter(alone.search(query, 1)), None)
    if best is None:
        last = max((document.end_line for document in file.documents), default=1)
        return replace(candidate, lines=Lines(1, last))
    return replace(candidate, lines=Lines(best.start_line, best.end_line), symbol=best.symbol)


def _place(candidate: Candidate, query: str) -> FoundPlace | None:
    """The candidate with its text; None if the file changed since it was read."""
    try:
        if candidate.path not in candidate.snapshot.manifest:
            candidate = _read_now(candidate, query)
        lines = candidate.lines
        shown = Lines(lines.start, min(lines.end, lines.start + MAX_TEXT_LINES - 1))
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
