"""One model for several threads: each step of work takes a turn, and the more urgent goes first."""

import hashlib
import heapq
import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from codemem.engine_interface import Bank, MemoryEngine
from codemem.errors import CodememError
from codemem.model.entry import Entry, EntryLayout, TokenisedDocument
from codemem.model.events import AnswerEvent, Ranking, Source
from codemem.model.store import LoadedEntries
from codemem.recent import Recent

FIND, ASK, INDEX = range(3)
"""Urgency, the most urgent first: a query takes milliseconds, an answer streams, indexing can wait."""

TOKENS_BYTES, TOKENS_DOCUMENTS = 8 << 20, 2048
"""How much, and how many documents, is kept of what a model tokenised."""

_T = TypeVar("_T")
_END: Any = object()


class CancelledError(CodememError):
    """Whoever asked does not want to know any more."""


class Gate:
    """Lets one thread through at a time: of those that wait, the most urgent, then the one that came first."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: list[tuple[int, int]] = []
        self._tickets = itertools.count()
        self._taken = False

    @contextmanager
    def turn(self, urgency: int) -> Iterator[None]:
        with self._changed:
            ticket = (urgency, next(self._tickets))
            heapq.heappush(self._waiting, ticket)
            self._changed.wait_for(lambda: not self._taken and self._waiting[0] == ticket)
            heapq.heappop(self._waiting)
            self._taken = True
        try:
            yield
        finally:
            with self._changed:
                self._taken = False
                self._changed.notify_all()

    @property
    def waiting(self) -> int:
        with self._changed:
            return len(self._waiting)


class Tokens:
    """What one model tokenised lately, by header and text. Threads may share it."""

    def __init__(self, limit: int = TOKENS_BYTES, most: int = TOKENS_DOCUMENTS) -> None:
        self._recent = Recent(limit, most)

    def get(self, document: tuple[str, str]) -> TokenisedDocument | None:
        packed = self._recent.get(_digest(document))
        if packed is None:
            return None
        count = int.from_bytes(packed[:4], "little")
        numbers = np.frombuffer(packed, np.uint32, offset=4)
        return TokenisedDocument(numbers[:count], numbers[count:])

    def put(self, document: tuple[str, str], done: TokenisedDocument) -> None:
        count = len(done.ids).to_bytes(4, "little")
        self._recent.put(_digest(document), count + done.ids.tobytes() + done.chunk_ends.tobytes())

    def __len__(self) -> int:
        return len(self._recent)


def _digest(document: tuple[str, str]) -> bytes:
    header, text = (part.encode("utf-8", "surrogatepass") for part in document)
    return hashlib.blake2b(len(header).to_bytes(8, "little") + header + text, digest_size=16).digest()


class GatedEngine:
    """An engine as one thread sees it: every step (a pack encoded, a token written, a query ranked) takes a turn.

    `check` is called before each step and may raise.
    """

    def __init__(
        self,
        engine: MemoryEngine,
        gate: Gate,
        urgency: int,
        check: Callable[[], None],
        tokens: Tokens | None = None,
    ) -> None:
        """`tokens` are shared by all threads of one engine."""
        self._engine, self._gate, self._urgency, self._check = engine, gate, urgency, check
        self._tokens = Tokens() if tokens is None else tokens

    @property
    def name(self) -> str:
        return self._engine.name

    @property
    def device(self) -> str:
        return self._engine.device

    @property
    def layout(self) -> EntryLayout:
        return self._engine.layout

    @property
    def find_layout(self) -> EntryLayout:
        return self._engine.find_layout

    def tokenise(self, documents: Sequence[tuple[str, str]]) -> list[TokenisedDocument]:
        """What was tokenised before needs no turn: a branch that is switched back to, for one."""
        known = {document: done for document in documents if (done := self._tokens.get(document))}
        new = [document for document in dict.fromkeys(documents) if document not in known]
        if new:
            for document, done in zip(new, self._step(lambda: self._engine.tokenise(new)), strict=True):
                self._tokens.put(document, done)
                known[document] = done
        return [known[document] for document in documents]

    def encode(self, documents: Sequence[TokenisedDocument], layout: EntryLayout) -> Iterator[Entry]:
        return self._stepwise(self._engine.encode(documents, layout))

    def bank(self, entries: LoadedEntries, layout: EntryLayout) -> Bank:
        return self._step(lambda: self._engine.bank(entries, layout))

    def rank(self, query: str, bank: Bank) -> Ranking:
        return self._step(lambda: self._engine.rank(query, bank))

    def answer(
        self,
        question: str,
        bank: Bank,
        read: Callable[[int], Source],
        *,
        prior: npt.NDArray[np.float32] | None = None,
        max_rounds: int | None,
        source_tokens: int,
        max_tokens: int,
        cancelled: Callable[[], bool],
    ) -> Iterator[AnswerEvent]:
        events = self._step(
            lambda: self._engine.answer(
                question,
                bank,
                read,
                prior=prior,
                max_rounds=max_rounds,
                source_tokens=source_tokens,
                max_tokens=max_tokens,
                cancelled=cancelled,
            )
        )
        return self._stepwise(events)

    def _step(self, work: Callable[[], _T]) -> _T:
        self._check()
        with self._gate.turn(self._urgency):
            return work()

    def _stepwise(self, steps: Iterator[_T]) -> Iterator[_T]:
        while (item := self._step(lambda: next(steps, _END))) is not _END:
            yield item
