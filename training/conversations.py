"""Question-answer records to conversations as the product holds them (model/prompts.py)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from codemem.model.config import MemoryConfig
from codemem.model.prompts import Prompts, question_position
from codemem.training.corpus import Corpus


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

    def next(self) -> Conversation:
        """A kind by the square root of its count (times the recipe's `kinds`), so that few common kinds do not make up
        most of what is learnt; of that kind, each record once before any comes again."""
        kind = self._kinds[int(self.random.choice(len(self._kinds), p=self._weights))]
        if not self._order[kind]:
            self._order[kind] = list(map(int, self.random.permutation(self._by_kind[kind])))
        return self.build(self.corpus.answers[self._order[kind].pop()])

    def build(self, record: dict[str, Any]) -> Conversation:
        gold = list(record["gold"])
        answerable = bool(gold)
        distractors = [d for d in record["distractors"] if d not in gold]
        self.random.shuffle(distractors)
        in_memory = gold if answerable else []
        attended = [*in_memory, *distractors][: self.memory_documents]
        prompts = self.prompts
        question = prompts.question(record["question"])
        ids = [*question.template, *question.routing, *question.tail]
        learn = [False] * len(ids)
        routing = (len(question.template), len(question.template) + len(question.routing))

        def add(piece: list[int], learnt: bool) -> None:
            ids.extend(piece)
            learn.extend([learnt] * len(piece))

        # Chains are read hop by hop in half of the conversations: name, read, name again.
        hops = [[d] for d in in_memory] if len(in_memory) > 1 and self.random.random() < 0.5 else [in_memory]
        number = 0
        numbers: dict[int, int] = {}
        for hop, documents in enumerate(hops):
            # The naming turn of an unanswerable question names what looks closest, as the product then does.
            named = documents or attended[:1]
            add(prompts.named([self.corpus.headers[d] for d in named]), learnt=answerable)
            extra = list(distractors[hop * 2 : hop * 2 + int(self.random.integers(0, 3))])
            shown = [*named, *(d for d in extra if d not in named and d not in numbers)]
            self.random.shuffle(shown)
            pieces = []
            for document in shown:
                number += 1
                numbers[document] = number
                pieces.append(self._source(number, document, gold, room=self.tokens - len(ids), share=len(shown)))
            add(prompts.sources(pieces, record["question"]), learnt=False)
        cited: list[str | int] = [record["answer"], *sorted(numbers[d] for d in in_memory if d in numbers)]
        add(prompts.answer(cited if answerable else [record["answer"]], answerable=answerable), learnt=True)
        return Conversation(ids, learn, routing, attended, len(in_memory))

    def _source(self, number: int, document: int, gold: list[int], *, room: int, share: int) -> list[int]:
        piece = self.prompts.source(number, self.corpus.headers[document], self.corpus.texts[document])
        # Gold text stays whole so that the deciding lines are there; distractors give way.
        limit = max(64, (room - 128) // max(share, 1)) if document not in gold else len(piece)
        return piece if len(piece) <= limit else [*piece[: limit - 1], *self.prompts.newline]


def positions(conversation_length: int, template: int, memory: MemoryConfig) -> list[int]:
    """Positions of a conversation's tokens."""
    start = question_position(memory)
    return [*range(template), *range(start, start + conversation_length - template)]
