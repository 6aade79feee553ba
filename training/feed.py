"""Steps made ready beside the training loop: drawn, tokenised and indexed while the device works on the step before,
in a thread or, where one cannot keep up, in several processes."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from codemem.model.prompts import Prompts
from codemem.training.batching import RoutingBatches, no_negatives
from codemem.training.conversation import Conversation
from codemem.training.conversations import Conversations
from codemem.training.corpus import Corpus, Ids
from codemem.training.hops import HopBatch, Hops
from codemem.training.readings import Readings
from codemem.training.recipe import Phase, Recipe

AHEAD = 3
APART = 1_000_003
"""Between the seeds of the processes that draw: those of steps and of what a step draws lie far closer."""


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
    held: list[Conversation] = field(default_factory=list)
    """That the lower half reads as the run's beginning does."""

    @property
    def tokens(self) -> int:
        """Tokens without padding."""
        texts = sum(len(c.ids) for c in (*self.conversations, *self.held))
        texts += sum(map(len, self.hops.ids)) if self.hops else 0
        return sum(map(len, self.documents)) + sum(map(len, self.questions)) + texts


class Draw:
    """Makes the steps of one phase, one at a call; the same for the same seed."""

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
            keywords=recipe.keywords,
            noted=recipe.noted,
        )
        none = np.zeros((0, 0), bool)
        self._draw = lambda: StepData(
            [], [], [], [], none, none, [readings.next() for _ in range(self._phase.answers)], []
        )

    def _memories(self, prompts: Prompts, recipe: Recipe, seed: int, own: int, *, rank: int, count: int) -> None:
        corpus, phase = self._corpus, self._phase
        if phase.held and not corpus.answers:
            raise ValueError("the recipe holds the lower half by conversations, and the data have no answer record")
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
            keywords=recipe.keywords,
            by_hop=recipe.by_hop,
            as_ranked=recipe.as_ranked,
            packed=recipe.packed,
            noted=recipe.noted,
        )
        self._hops = Hops(corpus, prompts, seed=own + 1) if phase.hops else None
        self._draw = self._step

    def __call__(self) -> StepData:
        return self._draw()

    def _step(self) -> StepData:
        batch = self._routing.next()
        answers = self._phase.answers if self._corpus.answers else 0
        conversations = [self._conversations.next(batch.documents) for _ in range(answers)]
        held = [self._conversations.next(batch.documents) for _ in range(self._phase.held)]
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
            held,
        )


class _Drawn(IterableDataset[StepData]):
    """What each process of a loader draws, by a seed of its own."""

    def __init__(self, make: Callable[[int], Draw]) -> None:
        self._make = make

    def __iter__(self) -> Iterator[StepData]:
        worker = get_worker_info()
        assert worker is not None
        draw = self._make(worker.id)
        while True:
            yield draw()


def _alone(worker: int) -> None:
    """Begins a process that draws: a forked tokenizer has no threads to wait for."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"


class Feed:
    """Endless steps of one phase; the same for the same seed and the recipe's `feeds`, however fast they are taken."""

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

        def make(feed: int) -> Draw:
            return Draw(corpus, prompts, recipe, phase, seed=seed + APART * feed, rank=rank, count=count)

        self._draw = make(0)
        self._worker: ThreadPoolExecutor | None = None
        self._loader: DataLoader[StepData] | None = None
        if recipe.feeds > 1:  # forked: the corpus is far too large to be sent
            self._loader = DataLoader(
                _Drawn(make),
                batch_size=None,
                num_workers=recipe.feeds,
                prefetch_factor=AHEAD,
                collate_fn=_as_it_is,
                multiprocessing_context="fork",
                worker_init_fn=_alone,
            )
        else:
            self._worker = ThreadPoolExecutor(1, thread_name_prefix="training-feed")
        self._ready: deque[Future[StepData]] = deque()

    def __enter__(self) -> Iterator[StepData]:
        if self._loader is not None:
            return iter(self._loader)
        assert self._worker is not None
        for _ in range(AHEAD):
            self._ready.append(self._worker.submit(self._draw))
        return self._taken(self._worker)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loader = None  # its processes end with it
        if self._worker is not None:
            self._worker.shutdown(cancel_futures=True)

    def _taken(self, worker: ThreadPoolExecutor) -> Iterator[StepData]:
        while True:
            step = self._ready.popleft().result()
            self._ready.append(worker.submit(self._draw))
            yield step


def _as_it_is(step: Any) -> Any:
    return step
