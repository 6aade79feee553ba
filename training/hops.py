"""Where a chain goes on: questions with what was read first behind them, whose tokens route (docs/msa.md, "Hops").

An answer record of two or more documents, in the order in which they are to be read, gives a question for each document
but the first: asked is the question with the document before it, wanted the next one.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from codemem.model.prompts import Prompts
from codemem.training.corpus import QUESTION_TOKENS, Corpus, Ids

RUN = 16
"""Hops in a row from one package, so that most of their negatives come from the same repository."""


@dataclass(frozen=True, slots=True)
class Hop:
    """From one document to the next."""

    question: str
    read: int
    """Corpus index of the document that was read."""
    wanted: int
    """Of the one that it leads to."""
    chain: tuple[int, ...]
    """Every document of the chain."""
    distractor: int | None
    """A document that looks alike."""

    @property
    def documents(self) -> list[int]:
        """What a step encodes for it."""
        return [self.wanted, self.read, *(() if self.distractor is None else (self.distractor,))]


@dataclass(frozen=True, slots=True)
class HopBatch:
    """Hops of a step. N hops, D documents of the step."""

    ids: list[Ids]
    """Question and what was read, without the template."""
    silent: list[int]
    """How many tokens of each do not route: the question's."""
    positive: npt.NDArray[np.bool_]
    """[N, D]"""
    ignore: npt.NDArray[np.bool_]
    """[N, D]: what was read, the rest of the chain, and copies of either."""


class Hops:
    """Draws hops endlessly, deterministic by seed. Raises `ValueError` where no record is a chain."""

    def __init__(self, corpus: Corpus, prompts: Prompts, *, seed: int) -> None:
        self.corpus, self.prompts = corpus, prompts
        self.random = np.random.default_rng(seed)
        self._by_package: dict[int, list[Hop]] = defaultdict(list)
        for record in corpus.answers:
            chain = tuple(dict.fromkeys(record["gold"]))
            others = [d for d in record["distractors"] if d not in chain]
            for read, wanted in pairwise(chain):
                hop = Hop(record["question"], read, wanted, chain, others[0] if others else None)
                self._by_package[int(corpus.packages[read])].append(hop)
        if not self._by_package:
            raise ValueError("no answer record is a chain of documents: there are no hops to learn")
        self._queue: list[list[Hop]] = []

    def _refill(self) -> None:
        for hops in self._by_package.values():
            order = self.random.permutation(len(hops))
            self._queue += [[hops[i] for i in order[at : at + RUN]] for at in range(0, len(order), RUN)]
        self.random.shuffle(self._queue)

    def next(self, count: int) -> list[Hop]:
        """The next `count`."""
        drawn: list[Hop] = []
        while len(drawn) < count:
            if not self._queue:
                self._refill()
            drawn += self._queue.pop()
        return drawn[:count]

    def batch(self, hops: Sequence[Hop], documents: Sequence[int], *, tokens: int) -> HopBatch:
        """Their ids and what they compete over, `documents` of the step. What was read is cut to `tokens`."""
        columns: dict[int, list[int]] = defaultdict(list)
        for column, document in enumerate(documents):
            columns[int(self.corpus.copies[document])].append(column)
        ids, silent = [], []
        positive = np.zeros((len(hops), len(documents)), bool)
        ignore = np.zeros_like(positive)
        for row, hop in enumerate(hops):
            found = self.prompts.following(hop.question, self.corpus.headers[hop.read], self.corpus.texts[hop.read])
            question = found.question[-(QUESTION_TOKENS + 8) :]
            ids.append(np.asarray([*question, *found.source[:tokens]], np.uint32))
            silent.append(len(question))
            for document in hop.chain:
                ignore[row, columns.get(int(self.corpus.copies[document]), [])] = True
            positive[row, columns.get(int(self.corpus.copies[hop.wanted]), [])] = True
        return HopBatch(ids, silent, positive, ignore & ~positive)
