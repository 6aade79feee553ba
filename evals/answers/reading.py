"""What a system read and said for a question, and an engine that takes notes of it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from codemem.engine_interface import Bank, MemoryEngine
from codemem.evals.answers.best_chunks import BestChunks
from codemem.evals.answers.judge import Span
from codemem.model.bank import Bank as OwnBank
from codemem.model.entry import Entry, EntryLayout, TokenisedDocument
from codemem.model.events import Answer, AnswerEvent, Definition, Ranking, Read, Source
from codemem.model.store import LoadedEntries


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one answer, the same for every system."""

    rounds: int | None = None
    """Of the product; None: as many as its model gains by, as users have it."""
    source_tokens: int = 3000
    answer_tokens: int = 96
    """The answers are one value each: what comes later is talk."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Lines of a file, with the text that stands there."""

    span: Span
    text: str
    definitions: Sequence[Definition] = ()
    """In its text, where a reader is told where names stand."""


@dataclass(slots=True)
class Given:
    """What a system gave for one question."""

    answer: str = ""
    found: bool = False
    citations: list[Span] = field(default_factory=list)
    read: list[Piece] = field(default_factory=list)
    """In the order of reading."""
    ranked: list[Piece] = field(default_factory=list)
    """The first pieces of its ranking, read or not."""
    rounds: int = 1
    seconds: float = 0.0
    route_ms: float = 0.0
    tokens: int = 0
    """Of the answer."""


class NoMemory:
    """A bank without layers: text is read, nothing is routed to or attended."""

    layers: tuple[int, ...] = ()

    def __len__(self) -> int:
        return 0


class NotingEngine:
    """An engine as it is, which notes what is read; with `silent` it ranks and does not answer."""

    def __init__(
        self, engine: MemoryEngine, *, silent: bool = False, told: bool = True, best_chunks: bool = False
    ) -> None:
        """`told`: whether it hears which definitions stand in what it reads; `best_chunks`: whether it attends to one
        chunk of each document."""
        self._engine = engine
        self.silent, self._told, self._best_chunks = silent, told, best_chunks
        self.read: list[int] = []
        """Bank indices, in the order of reading, of the last question."""
        self.prior: npt.NDArray[np.float32] = np.zeros(0, np.float32)
        """What ranked the documents for the last question."""

    def forget(self) -> None:
        """What was noted of the last question: not every question reaches the engine."""
        self.read, self.prior = [], np.zeros(0, np.float32)

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
        return self._engine.tokenise(documents)

    def encode(self, documents: Sequence[TokenisedDocument], layout: EntryLayout) -> Iterator[Entry]:
        return self._engine.encode(documents, layout)

    def bank(self, entries: LoadedEntries, layout: EntryLayout) -> Bank:
        bank = self._engine.bank(entries, layout)
        if not self._best_chunks:
            return bank
        assert isinstance(bank, OwnBank), "an engine with our adapters makes our banks"
        return BestChunks.of(bank)

    def rank(self, query: str, bank: Bank) -> Ranking:
        return self._engine.rank(query, bank)

    def answer(
        self,
        question: str,
        bank: Bank,
        read: Callable[[int], Source],
        *,
        prior: npt.NDArray[np.float32] | None = None,
        **limits: Any,
    ) -> Iterator[AnswerEvent]:
        """As the engine's own."""
        self.prior = self._engine.rank(question, bank).scores if prior is None else prior
        self.read = []
        if self.silent:
            yield Answer("", False, [], [], 0.0, 0.0, 0, 0.0)
            return
        heard = read if self._told else lambda index: replace(read(index), definitions=())
        for event in self._engine.answer(question, bank, heard, prior=self.prior, **limits):
            if isinstance(event, Read):
                self.read.append(event.document)
            yield event


def lines_of_bytes(piece: Piece, start_byte: int, end_byte: int) -> Span:
    """Lines of the file that bytes of a piece's text (UTF-8) touch."""
    raw = piece.text.encode()
    first = piece.span.start_line + raw.count(b"\n", 0, start_byte)
    last = piece.span.start_line + raw.count(b"\n", 0, max(start_byte, end_byte - 1))
    return Span(piece.span.path, first, max(first, last))
