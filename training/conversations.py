"""Question-answer records to conversations as the product holds them (model/prompts.py, model/answer.py)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from codemem.model.config import MemoryConfig
from codemem.model.prompts import Prompts, question_position
from codemem.training.corpus import Corpus
from codemem.training.naming_choices import naming_turn

MOST_SHOWN = 5
"""Sources beside those that hold the answer, at most: the product reads until its budget is spent."""
BEST_LAST = 0.7
"""Share of readings in which the document that decides is read last, as the product orders what it is sure of."""


@dataclass(slots=True)
class Conversation:
    """One training text. Positions of the template are 0 to 2, then they go on from the question's position."""

    ids: list[int]
    learn: list[bool]
    """Tokens that the model itself must write."""
    routing: tuple[int, int]
    """Half-open range of the tokens that route."""
    documents: list[int]
    """Corpus indices of the documents in memory; the first `gold` of them are the ones to find."""
    gold: int
    kind: str = ""
    choices: dict[int, list[int]] = field(default_factory=dict)
    """Index of a learnt token -> the tokens that decoding offers there, where it does not offer all."""
    decisions: set[int] = field(default_factory=set)
    """Indices of learnt tokens that decide what happens next: name more, refuse, or answer."""


class Conversations:
    """Draws conversations; deterministic by seed."""

    def __init__(
        self,
        corpus: Corpus,
        prompts: Prompts,
        *,
        tokens: int,
        memory_documents: int,
        seed: int,
        kinds: Mapping[str, float] | None = None,
    ) -> None:
        self.corpus, self.prompts, self.tokens = corpus, prompts, tokens
        self.memory_documents = memory_documents
        self.random = np.random.default_rng(seed)
        self._by_kind: dict[str, list[int]] = {}
        for index, record in enumerate(corpus.answers):
            self._by_kind.setdefault(record["kind"], []).append(index)
        self._kinds = sorted(self._by_kind)
        counts = np.sqrt([len(self._by_kind[kind]) for kind in self._kinds])
        counts *= [(kinds or {}).get(kind, 1.0) for kind in self._kinds]
        self._weights = counts / counts.sum()
        self._order: dict[str, list[int]] = {kind: [] for kind in self._kinds}

    def next(self, extra: Sequence[int] = ()) -> Conversation:
        """A kind by the square root of its count (times the recipe's `kinds`), so that few common kinds do not make up
        most of what is learnt; of that kind, each record once before any comes again. `extra`: documents of the step
        that memory may hold besides."""
        kind = self._kinds[int(self.random.choice(len(self._kinds), p=self._weights))]
        if not self._order[kind]:
            self._order[kind] = list(map(int, self.random.permutation(self._by_kind[kind])))
        return self.build(self.corpus.answers[self._order[kind].pop()], extra)

    def build(self, record: dict[str, Any], extra: Sequence[int] = ()) -> Conversation:
        """The conversation about one record."""
        gold = list(dict.fromkeys(record["gold"]))
        distractors = [d for d in dict.fromkeys(record["distractors"]) if d not in gold]
        self.random.shuffle(distractors)
        attended = [*gold, *distractors]
        attended += [d for d in self._drawn(extra) if d not in attended and not self._decides(d, record)]
        attended = attended[: max(self.memory_documents, len(gold))]
        writing = _Writing(self, record, gold, distractors, attended)
        # Chains are read hop by hop in half of the conversations: name, read, name again.
        by_hop = len(gold) > 1 and self.random.random() < 0.5
        hops = [[document] for document in gold] if by_hop else [gold]
        for number, documents in enumerate(hops):
            writing.name(documents)
            writing.read(documents, last=number == len(hops) - 1)
        writing.answer()
        return writing.done()

    def _drawn(self, extra: Sequence[int]) -> list[int]:
        room = min(len(extra), self.memory_documents)
        return list(map(int, self.random.choice(extra, room, replace=False))) if room else []

    def _decides(self, document: int, record: dict[str, Any]) -> bool:
        """Whether a document drawn at random happens to hold what the record asks for."""
        evidence = record.get("evidence", "")
        text = self.corpus.texts[document]
        return bool(evidence and evidence in text) or any(
            self.corpus.copies[document] == self.corpus.copies[g] for g in record["gold"]
        )


class _Writing:
    """A conversation in the making."""

    def __init__(
        self, drawn: Conversations, record: dict[str, Any], gold: list[int], distractors: list[int], attended: list[int]
    ) -> None:
        self.prompts, self.corpus, self.random = drawn.prompts, drawn.corpus, drawn.random
        self.record, self.gold, self.attended, self.tokens = record, gold, attended, drawn.tokens
        self.left = list(distractors)
        self.candidates = list(dict.fromkeys([*attended, *distractors]))
        question = self.prompts.question(record["question"])
        self.ids = [*question.template, *question.routing, *question.tail]
        self.learn = [False] * len(self.ids)
        self.routing = (len(question.template), len(question.template) + len(question.routing))
        self.numbers: dict[int, int] = {}
        self.choices: dict[int, list[int]] = {}
        self.decisions: set[int] = set()

    def add(self, piece: list[int], *, learnt: bool) -> None:
        self.ids.extend(piece)
        self.learn.extend([learnt] * len(piece))

    def header(self, document: int) -> list[int]:
        return self.prompts.header(self.corpus.headers[document])

    def name(self, documents: list[int]) -> None:
        """The model's turn that names. Of what cannot be answered it names what looks closest, which is not learnt."""
        start = len(self.ids)
        if self.numbers:  # it goes on instead of answering
            self.decisions.add(start)
        named = [self.header(d) for d in documents or self.attended[:1] or self.candidates[:1]]
        candidates = [self.header(d) for d in self.candidates if d not in self.numbers]
        turn = naming_turn(
            named,
            [*named, *candidates],
            opening=self.prompts.file,
            newline=self.prompts.newline[0],
            stop=self.prompts.turn_end,
        )
        self.add(turn.ids, learnt=False)
        if not documents:
            return
        for position, offered in turn.choices.items():
            self.learn[start + position] = True
            self.choices[start + position] = offered
        if self.numbers:
            self.learn[start] = True

    def read(self, documents: list[int], *, last: bool) -> None:
        """The turn that shows sources: what was named among others, best last where routing would be sure of it."""
        count = int(self.random.integers(0, MOST_SHOWN + 1))
        if not documents:
            count = max(2, count)
        others, self.left = self.left[:count], self.left[count:]
        shown = [*others, *(d for d in documents if d not in self.numbers)]
        if not documents or self.random.random() > BEST_LAST:
            self.random.shuffle(shown)
        # The answer and, of a chain, what is still to be read need room.
        room = self.tokens - len(self.ids) - 160 - (0 if last else 500)
        pieces = []
        first = len(self.numbers) + 1
        share = max(64, (room - sum(self._length(d) for d in documents)) // max(1, len(others)))
        for number, document in enumerate(shown, start=first):
            self.numbers[document] = number
            piece = self.prompts.source(number, self.corpus.headers[document], self.corpus.texts[document])
            # Gold text stays whole so that the deciding lines are there; distractors give way.
            if document not in self.gold and len(piece) > share:
                piece = [*piece[: share - 1], *self.prompts.newline]
            pieces.append(piece)
        self.add(self.prompts.sources(pieces, self.record["question"]), learnt=False)

    def _length(self, document: int) -> int:
        return len(self.prompts.source(10, self.corpus.headers[document], self.corpus.texts[document]))

    def answer(self) -> None:
        """The answer with its citations, or the word that there is none."""
        self.decisions.add(len(self.ids))
        answerable = bool(self.gold)
        cited = sorted(self.numbers[d] for d in self.gold if d in self.numbers)
        pieces: list[str | int] = [self.record["answer"], *(cited if answerable else ())]
        self.add(self.prompts.answer(pieces, answerable=answerable), learnt=True)

    def done(self) -> Conversation:
        return Conversation(
            self.ids, self.learn, self.routing, self.attended, len(self.gold), self.record.get("kind", ""),
            self.choices, self.decisions,
        )  # fmt: skip


def positions(conversation_length: int, template: int, memory: MemoryConfig) -> list[int]:
    """Positions of a conversation's tokens."""
    start = question_position(memory)
    return [*range(template), *range(start, start + conversation_length - template)]
