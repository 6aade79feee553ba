"""Steps made ready beside the training loop: drawn, tokenised and indexed while the device works on the step before."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType

import numpy as np
import numpy.typing as npt

from codemem.model.prompts import Prompts
from codemem.training.batching import RoutingBatches, no_negatives
from codemem.training.conversations import Conversation, Conversations
from codemem.training.corpus import Corpus, Ids
from codemem.training.hops import HopBatch, Hops
from codemem.training.readings import Readings
from codemem.training.recipe import Phase, Recipe

AHEAD = 3


@dataclass(slots=True)
class StepData:
    """Everything that one step reads. D documents, Q questions."""

    queries: list[int]
    """Corpus indices of the questions [Q]."""
    indices: list[int]
    """Corpus indices of the documents [D]."""

    documents: list[Ids]
    questions: list[Ids]
    """Without the template."""
    positive: npt.NDArray[np.bool_]
    """[Q, D]"""
    ignore: npt.NDArray[np.bool_]
    """[Q, D]: likely answers too, so no negatives."""
    conversations: list[Conversation]
    memory: list[list[int]]
    """Per conversation, rows of `documents` that it attends to."""
    hops: HopBatch | None = None

    @property
    def tokens(self) -> int:
        """Tokens without padding."""
        texts = sum(len(c.ids) for c in self.conversations)
        texts += sum(map(len, self.hops.ids)) if self.hops else 0
        return sum(map(len, self.documents)) + sum(map(len, self.questions)) + texts


class Feed:
    """Endless steps of one phase; the same for the same seed, however fast they are taken."""

    def __init__(
        self,
        corpus: Corpus,
        prompts: Prompts,
        recipe: Recipe,
        phase: Phase,
        *,
        seed: int,
        rank: int = 0,
        count: int = 1,
    ) -> None:
        """`rank` of `count` processes, whose `seed` is the same. Raises `ValueError` where there is nothing to draw."""
        self._corpus, self._phase = corpus, phase
        own = 2 * (seed * count + rank) + 1
        self._draw: Callable[[], StepData]
        if recipe.reads == "retrieved":
            self._readings(prompts, recipe, own)
        else:
            self._memories(prompts, recipe, seed, own, rank=rank, count=count)
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="training-feed")
        self._ready: deque[Future[StepData]] = deque()

    def _readings(self, prompts: Prompts, recipe: Recipe, own: int) -> None:
        if not self._corpus.ranked:
            raise ValueError("no answer record was ranked: there is nothing that a reader could be shown")
        readings = Readings(
            self._corpus,
            prompts,
            tokens=recipe.answer_tokens,
            missing=recipe.missing,
            seed=own,
            kinds=recipe.kinds,
            further=recipe.further,
        )
        none = np.zeros((0, 0), bool)
        self._draw = lambda: StepData(
            [], [], [], [], none, none, [readings.next() for _ in range(self._phase.answers)], []
        )

    def _memories(self, prompts: Prompts, recipe: Recipe, seed: int, own: int, *, rank: int, count: int) -> None:
        corpus, phase = self._corpus, self._phase
        shared = recipe.gather and count > 1
        self._routing = RoutingBatches(
            corpus,
            size=phase.questions,
            group=recipe.group,
            hard=recipe.hard,
            seed=2 * seed if shared else 2 * (seed * count + rank),
            rank=rank if shared else 0,
            count=count if shared else 1,
            asked=recipe.asked,
        )
        self._without_scope = recipe.without_scope
        self._random = np.random.default_rng((seed, rank, 1))
        self._conversations = Conversations(
            corpus,
            prompts,
            tokens=recipe.answer_tokens,
            memory_documents=recipe.memory_documents,
            seed=own,
            kinds=recipe.kinds,
            plain=recipe.plain,
            further=recipe.further,
        )
        self._hops = Hops(corpus, prompts, seed=own + 1) if phase.hops else None
        self._draw = self._step

    def __enter__(self) -> Iterator[StepData]:
        for _ in range(AHEAD):
            self._ready.append(self._worker.submit(self._draw))
        return self._taken()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._worker.shutdown(cancel_futures=True)

    def _taken(self) -> Iterator[StepData]:
        while True:
            step = self._ready.popleft().result()
            self._ready.append(self._worker.submit(self._draw))
            yield step

    def _step(self) -> StepData:
        batch = self._routing.next()
        answers = self._phase.answers if self._corpus.answers else 0
        conversations = [self._conversations.next(batch.documents) for _ in range(answers)]
        index = {document: i for i, document in enumerate(batch.documents)}
        for conversation in conversations:
            for document in conversation.documents:
                index.setdefault(document, len(index))
        hops = self._hops.next(self._phase.hops) if self._hops else []
        for document in (document for hop in hops for document in hop.documents):
            index.setdefault(document, len(index))
        # Documents that only a conversation or a hop brought in are extra negatives, unless a question might mean them.
        extra = list(index)[len(batch.documents) :]
        unsure = no_negatives(self._corpus, batch.queries, extra)
        bare = self._random.random(len(index)) < self._without_scope
        without_scope = {document for document, chosen in zip(index, bare, strict=True) if chosen}
        return StepData(
            batch.queries,
            list(index),
            self._corpus.document_ids(index, self._phase.max_document_tokens, without_scope=without_scope),
            self._corpus.question_ids(batch.queries),
            np.pad(batch.positive, ((0, 0), (0, len(extra)))),
            np.concatenate((batch.ignore, unsure), 1),
            conversations,
            [[index[d] for d in c.documents] for c in conversations],
            self._hops.batch(hops, list(index), tokens=self._phase.max_document_tokens) if self._hops else None,
        )
