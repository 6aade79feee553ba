"""`codemem ask`: a question answered from the memory, with citations that were checked against the files."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from codemem.absence import Absent, absent
from codemem.config import RepositoryConfig
from codemem.draft import Draft, led
from codemem.errors import CodememError, NotIndexedError
from codemem.find import Candidate, find, outline_candidates
from codemem.links import linked
from codemem.mentions import mentions, speaking_places
from codemem.model.events import Answer, AnswerEvent, Read, Round, TextPiece
from codemem.model.evidence import MOST_LINES
from codemem.outline.mix import mix_files
from codemem.passages import FileChangedError, Lines
from codemem.premises import Lacking, lacking
from codemem.recall import Recall
from codemem.results import AskResult, Citation, FoundPlace
from codemem.search import Session
from codemem.sources import reader
from codemem.spelled_places import spelled_out
from codemem.word_places import words_of_documents

PLACES = 5
"""Places listed instead of prose when nothing was found."""
SPOKEN = 3
"""Of them, how many at most speak of a name of the question."""
PRIOR_PLACES = 50
"""Places of the outline that the first round hears of."""


@dataclass(frozen=True, slots=True)
class RoundDone:
    """A round, as results tell it."""

    number: int
    named: Sequence[str]
    by_model: bool
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Piece:
    """The next piece of the answer."""

    text: str


AskEvent = RoundDone | Piece | AskResult


@dataclass(slots=True)
class _Progress:
    """What the events so far said."""

    lost: Absent
    """What of the question stands nowhere in the files."""
    lacking: Lacking | None = None
    """What it takes for given although it is not so."""
    rounds: list[RoundDone] = field(default_factory=list)
    last: Round | None = None


def ask(
    session: Session,
    question: str,
    config: RepositoryConfig,
    *,
    cancelled: Callable[[], bool] = lambda: False,
    hops: bool = True,
    premises: bool = True,
) -> Iterator[AskEvent]:
    """Yields rounds and pieces of the answer as they come, and an AskResult at the end.

    Without `hops` nothing that is read leads on to other code, and without `premises` what the question takes for given
    is not looked at: for evaluations, to tell what these bring.

    Raises NotIndexedError if nothing is in memory, CodememError if what is there serves `find` alone.
    """
    recall = session.recall
    if recall is None:
        raise NotIndexedError("nothing is in memory yet: run `codemem index`, or `codemem find --router outline`")
    if not session.snapshots[0].manifest.info.serves_ask:
        raise CodememError("this memory was made for `find` alone: run `codemem index --for ask`")
    seen = _Progress(absent(session.snapshots, question))
    if premises and not seen.lost.decisive:
        seen.lacking = lacking(recall, question)
    if seen.lost.decisive or seen.lacking:
        yield _nothing_here(session, recall, question, seen)
        return
    prior = _prior(session, recall, question, follow=hops)
    if not hops:
        config = replace(config, max_rounds=1)
    for event in _interleaved(recall, question, prior, config, cancelled):
        if isinstance(event, Round):
            seen.last = event
            seen.rounds.append(_round(recall, event, len(seen.rounds) + 1))
            yield seen.rounds[-1]
        elif isinstance(event, TextPiece):
            yield Piece(event.text)
        elif isinstance(event, Answer):
            yield _result(session, recall, question, event, seen)


def _interleaved(
    recall: Recall,
    question: str,
    prior: npt.NDArray[np.float32],
    config: RepositoryConfig,
    cancelled: Callable[[], bool],
) -> Iterator[AnswerEvent]:
    """The engine's events. Where the answer that it begins speaks of code that it has not read, another round reads
    that, and nothing of what was begun is told; `max_rounds = 1` leaves it as it is."""
    began, draft = time.perf_counter(), Draft(recall, question)

    def answered(ranked: npt.NDArray[np.float32], stopped: Callable[[], bool]) -> Iterator[AnswerEvent]:
        return recall.memory.engine.answer(
            question,
            recall.bank,
            reader(recall, question),
            prior=ranked,
            max_rounds=config.max_rounds,
            source_tokens=config.source_tokens,
            max_tokens=config.max_tokens,
            cancelled=stopped,
        )

    if config.max_rounds == 1:
        draft.let_go()
    told = False
    for event in draft.watched(answered(prior, lambda: cancelled() or bool(draft.leads)), cancelled):
        told = told or isinstance(event, Answer)
        yield event
    if told or not draft.leads:
        return
    waited = (time.perf_counter() - began) * 1e3
    for event in answered(led(prior, draft.leads), cancelled):
        if isinstance(event, Round):
            yield replace(event, named=draft.leads, by_model=True)
        elif isinstance(event, Answer):
            yield replace(event, first_token_ms=round(event.first_token_ms + waited, 1))
        else:
            yield event


def _nothing_here(session: Session, recall: Recall, question: str, seen: _Progress) -> AskResult:
    """What is asked about stands nowhere in the files, or has not what is asked for: the model is not even asked."""
    nothing = Answer(
        text="", found=False, cited=[], read=[], route_ms=0.0, first_token_ms=0.0, tokens=0, tokens_per_second=0.0,
        stopped="absent",
    )  # fmt: skip
    return _result(session, recall, question, nothing, seen)


def _prior(session: Session, recall: Recall, question: str, *, follow: bool = True) -> npt.NDArray[np.float32]:
    """[documents in the bank] how memory, outline and words rank them: the rule of `find`, document by document, with
    the outline's weight for names throughout; and what the question spells out gains, what speaks of its names and, to
    `follow`, what is named by them."""
    named: dict[str, float] = {}
    for candidate in outline_candidates(session.snapshots, question, PRIOR_PLACES):
        tree = session.snapshots.index(candidate.snapshot)
        document = candidate.snapshot.manifest.document_at(candidate.path, candidate.lines.start)
        index = None if document is None else recall.index_of.get((tree, document))
        if index is not None:
            named[str(index)] = max(candidate.score, named.get(str(index), 0.0))
    remembered, worded = recall.rank(question).scores, words_of_documents(recall, question)
    mixed = mix_files(_by_index(remembered), named, _by_index(worded) if worded.any() else None)
    prior = np.zeros(len(recall), np.float32)
    prior[[int(key) for key in mixed]] = list(mixed.values())
    for gains in (mentions(recall, question), spelled_out(recall, question)):
        for index, gain in gains.items():
            prior[index] += gain
    for index, gain in linked(recall, question, prior).items() if follow else ():
        prior[index] += gain
    return prior


def _by_index(scores: npt.NDArray[np.float32]) -> dict[str, float]:
    return {str(index): score for index, score in enumerate(scores.tolist())}


def _round(recall: Recall, event: Round, number: int) -> RoundDone:
    named = list(dict.fromkeys(_path(recall, index) for index in event.named))
    layers = [
        {
            "layer": choice.layer,
            "documents": [
                {"path": _path(recall, index), "score": round(float(score), 4)}
                for index, score in zip(choice.documents, choice.scores, strict=True)
            ],
        }
        for choice in event.layers
    ]
    return RoundDone(number, named, event.by_model, {"named": named, "by_model": event.by_model, "layers": layers})


def _path(recall: Recall, index: int) -> str:
    tree, document = recall.where(index)
    return tree.work.manifest.paths[tree.work.manifest.row_of_document(document)]


def _result(session: Session, recall: Recall, question: str, answer: Answer, seen: _Progress) -> AskResult:
    citations = [c for read in answer.cited if (c := _citation(recall, read, seen.last))]
    found = answer.found and bool(answer.text.strip())
    told = (seen.lacking.note if seen.lacking else None, seen.lost.note)
    notes = [*session.notes, *(note for note in told if note)]
    if found and answer.cited and not citations:
        notes.append("the files that the answer was read from changed meanwhile: ask again")
    places: Sequence[FoundPlace] = ()
    if not found:
        spoken = speaking_places(recall, question, most=SPOKEN)
        first = _definitions(session, seen.lacking) if seen.lacking else []
        places = find(session, question, k=PLACES, router="both", first=first, besides=spoken).results
    return AskResult(
        question=question,
        answer=answer.text.strip() if found else "",
        found=found,
        citations=_unique(citations) if found else [],
        rounds=[done.details for done in seen.rounds],
        model=recall.memory.engine.name,
        commit=session.commit,
        fresh=not session.behind,
        behind=session.behind,
        stats={
            "route_ms": round(answer.route_ms, 2),
            "first_token_ms": round(answer.first_token_ms, 2),
            "tokens": answer.tokens,
            "tokens_per_second": round(answer.tokens_per_second, 2),
        },
        places=places,
        notes=notes,
    )


def _definitions(session: Session, found: Lacking) -> list[Candidate]:
    return [
        Candidate(
            session.snapshots[owner],
            path,
            Lines(symbol.start_line, symbol.end_line),
            f"{symbol.scope}.{symbol.name}" if symbol.scope else symbol.name,
            score=1.0,
        )
        for owner, path, symbol in found.definitions
    ]


def _citation(recall: Recall, read: Read, last: Round | None) -> Citation | None:
    """Where a span that was read lies; None if the file is no longer what was read."""
    tree, document = recall.where(read.document)
    try:
        tree.passages.check(document)
        place = tree.passages.place(document, read.start_byte, read.end_byte, whole=MOST_LINES)
    except FileChangedError:
        return None
    return Citation(
        repository=tree.snapshot.workspace.name,
        path=place.path,
        start_line=place.lines.start,
        end_line=place.lines.end,
        symbol=place.symbol,
        score=round(_score(read.document, last), 4),
    )


def _score(document: int, last: Round | None) -> float:
    """The mean over the layers of the last round of what they gave the document; 0 where a layer left it out."""
    if last is None or not last.layers:
        return 0.0
    total = sum(
        float(score)
        for choice in last.layers
        for index, score in zip(choice.documents, choice.scores, strict=True)
        if index == document
    )
    return total / len(last.layers)


def _unique(citations: Sequence[Citation]) -> list[Citation]:
    """Each place once, in order."""
    return list({(c.repository, c.path, c.start_line, c.end_line): c for c in reversed(citations)}.values())[::-1]
