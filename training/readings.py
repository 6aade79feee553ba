"""Conversations of a reader of retrieved text: the fair rival of the memory.

The same questions and answers, shown as the evaluation shows them to a model that reads what another retrieval ranks
first (evals/answers/systems.py, model/answer.py): pieces of files in the order of BM25, as many as the budget holds,
the best last. Nothing is named by the model, nothing is routed to, and nothing attended besides.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from codemem.evals.baselines import CHUNK_LINES
from codemem.model.answer import CANDIDATES, Limits
from codemem.model.events import Source
from codemem.model.prompts import Prompts
from codemem.model.references import references
from codemem.training.conversation import Conversation
from codemem.training.corpus import Corpus
from codemem.training.data.answers import NOT_FOUND
from codemem.training.files import Files
from codemem.training.keywords import Wording
from codemem.training.packed import IndexedFiles
from codemem.training.records import Further, Records
from codemem.training.retrieved import Chunk
from codemem.training.writing import source_lengths

SOURCE_TOKENS = Limits().source_tokens
"""Of source text in all, as the product and the evaluation read."""
FOREIGN = 0.5
"""Of the questions that are refused, the share that is asked about another package of the language; of the others the
pieces that decide are taken away."""
PLACED = 4
"""Where retrieval did not find what decides and the question is to be answered, it is put among the first so many."""
TRIES = 100


class Readings:
    """Draws conversations about the records that were ranked; deterministic by seed."""

    def __init__(
        self,
        corpus: Corpus,
        prompts: Prompts,
        *,
        tokens: int,
        missing: float,
        seed: int,
        kinds: Mapping[str, float] | None = None,
        further: int = 0,
        keywords: float = 0.0,
        noted: float = 0.0,
    ) -> None:
        """`tokens`: of a conversation at most. `missing`: the share that is refused, because nothing shown decides.
        `further`: questions that are asked besides about the same pieces, at most. `keywords`: the share that is
        asked in key words. `noted`: the share that is told where the names of a question stand in the pieces."""
        self.corpus, self.ranked, self.prompts = corpus, corpus.ranked, prompts
        self.tokens, self.missing = tokens, missing
        self.random = np.random.default_rng(seed)
        self._files = Files(corpus)
        self._indexed, self._noted = IndexedFiles(corpus, self._files), noted
        self._tells = False
        self._known: dict[Chunk, int] = {}
        self._records = Records(corpus.answers, self.random, kinds, among=sorted(corpus.ranked))
        ranked = sorted(corpus.ranked)
        self._further = Further(corpus, self.random, kinds, count=further, among=ranked) if further else None
        self._wording = Wording(self.random, keywords)
        self._of_language: dict[str, list[int]] = {}
        for index in sorted(corpus.ranked):
            self._of_language.setdefault(corpus.answers[index].get("language", ""), []).append(index)

    def next(self) -> Conversation:
        """The conversation about the next record whose pieces fit. Raises `ValueError` where none does."""
        for _ in range(TRIES):
            index = self._records.next()
            self._tells = bool(self._noted) and self.random.random() < self._noted
            found = self.refused(index) if self.random.random() < self.missing else self.answered(index)
            if found is not None and len(found.ids) <= self.tokens:
                return found
        raise ValueError(f"no piece of {TRIES} packages fits a conversation of {self.tokens} tokens")

    def answered(self, index: int) -> Conversation | None:
        """The record answered from what ranks first; where what decides is not read then, it ranks higher. None where
        there is no room for it."""
        record = self._wording.of(self.corpus.answers[index])
        needed = self.deciding(record)
        ranked = self.ranked[index]
        room = len(self.prompts.answer([record["answer"], *[10] * len(needed)], answerable=True))
        shown = self.shown(record, ranked, room)
        lacking = [piece for piece in needed if piece not in shown]
        if lacking:
            ranked = [piece for piece in ranked if piece not in lacking]
            for piece in reversed(lacking):
                ranked.insert(int(self.random.integers(0, min(PLACED, len(ranked) + 1))), piece)
            ranked = ranked[:CANDIDATES]
            shown = self.shown(record, ranked, room)
        if not set(needed) <= set(shown):
            return None
        conversation = self._conversation(record, ranked, shown, self._answer(record, shown), answerable=True)
        self._ask_further(conversation, record, shown)
        return conversation

    def _answer(self, record: Mapping[str, Any], shown: Sequence[Chunk]) -> list[str | int]:
        return [record["answer"], *sorted(shown.index(piece) + 1 for piece in self.deciding(record))]

    def _ask_further(self, conversation: Conversation, record: dict[str, Any], shown: Sequence[Chunk]) -> None:
        """Asks what else of the package these pieces answer, as long as there is room."""
        if self._further is None:
            return
        for other in self._further.drawn(record, lambda other: set(self.deciding(other)) <= set(shown)):
            asked = self._wording.of(other)["question"]
            question = self.prompts.asked(asked, self._references(asked, shown))
            answer = self.prompts.answer(self._answer(other, shown), answerable=True)
            if len(conversation.ids) + len(question) + len(answer) <= self.tokens:
                conversation.ask(question, answer)

    def refused(self, index: int) -> Conversation | None:
        """The record asked where it cannot be answered. None where no piece is left."""
        record = self._wording.of(self.corpus.answers[index])
        ranked = self.ranked[index]
        if self.random.random() < FOREIGN:
            others = self._of_language[record.get("language", "")]
            other = others[int(self.random.integers(len(others)))]
            package = self.corpus.packages[self.corpus.answers[other]["gold"][0]]
            if package == self.corpus.packages[record["gold"][0]]:
                return None
            ranked = self.ranked[other]
        evidence = record.get("evidence", "")
        taken = self.deciding(record)
        left = [p for p in ranked if p not in taken and not (evidence and evidence in self._text(p))]
        answer = NOT_FOUND[int(self.random.integers(len(NOT_FOUND)))]
        shown = self.shown(record, left, len(self.prompts.answer([answer], answerable=False)))
        return self._conversation(record, left, shown, [answer], answerable=False) if shown else None

    def deciding(self, record: Mapping[str, Any]) -> list[Chunk]:
        """The pieces to be read for an answer: of every document on the way its beginning, of the last its evidence."""
        found = []
        for document in record["gold"]:
            evidence = record.get("evidence", "") if document == record["gold"][-1] else ""
            found.append((self._files.first(document), self._files.of(document).holding(document, evidence)[0]))
        return list(dict.fromkeys(found))

    def _text(self, piece: Chunk) -> str:
        return self._files.of(piece[0]).chunk(piece[1])

    def _header(self, piece: Chunk) -> str:
        return f"{self._files.of(piece[0]).path}\n"

    def _source(self, number: int, piece: Chunk) -> list[int]:
        return self.prompts.source(number, self._header(piece), self._text(piece))

    def _references(self, question: str, shown: Sequence[Chunk]) -> str:
        """Where the names of a question stand in the pieces, in the conversations that tell it."""
        return references(question, [self._as_source(piece) for piece in shown]) if self._tells else ""

    def _as_source(self, piece: Chunk) -> Source:
        first = piece[1] * CHUNK_LINES
        definitions = self._indexed.within(piece[0], first, first + CHUNK_LINES)
        return Source(piece[0], self._header(piece), self._text(piece), definitions)

    def _costs(self, pieces: Sequence[Chunk]) -> list[int]:
        """Tokens of each as a first source; a package's pieces rank for many of its questions."""
        new = [piece for piece in pieces if piece not in self._known]
        sources = [(1, self._header(piece), self._text(piece)) for piece in new]
        self._known.update(zip(new, source_lengths(self.corpus.tokenizer, sources), strict=True))
        return [self._known[piece] for piece in pieces]

    def shown(self, record: Mapping[str, Any], ranked: Sequence[Chunk], answer: int) -> list[Chunk]:
        """What is read of a ranking in the order of reading, the best last, beside an answer of so many tokens."""
        frame = len(self._opening(record, ranked)) + len(self.prompts.sources([], record["question"])) + answer
        budget = min(SOURCE_TOKENS, self.tokens - frame)
        chosen: list[Chunk] = []
        spent = 0
        costs = self._costs(ranked[:CANDIDATES])
        for piece, cost in zip(ranked[:CANDIDATES], costs, strict=True):
            if chosen and spent + cost > budget:
                continue
            chosen.append(piece)
            spent += cost
        return chosen[::-1]

    def _opening(self, record: Mapping[str, Any], ranked: Sequence[Chunk]) -> list[int]:
        """The question, and the turn in which a model that names nothing has what ranks first."""
        question = self.prompts.question(record["question"])
        named = self.prompts.named([self._header(piece) for piece in ranked[:1]])
        return [*question.template, *question.routing, *question.tail, *named]

    def _conversation(
        self,
        record: Mapping[str, Any],
        ranked: Sequence[Chunk],
        shown: Sequence[Chunk],
        pieces: Sequence[str | int],
        *,
        answerable: bool,
    ) -> Conversation:
        sources = [self._source(number, piece) for number, piece in enumerate(shown, start=1)]
        told = self._references(record["question"], shown)
        read = [*self._opening(record, ranked), *self.prompts.sources(sources, record["question"], told)]
        answer = self.prompts.answer(pieces, answerable=answerable)
        template = len(self.prompts.question("").template)
        learn = [False] * len(read) + [True] * len(answer)
        fork = len(read) - len(self.prompts.asked(record["question"], told))
        return Conversation(
            [*read, *answer], learn, (template, template), [], 0, record.get("kind", ""), {}, {len(read)}, fork
        )
