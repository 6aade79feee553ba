"""What the layers above ask of a model. `codemem.model.engine.Engine` is it; tests may bring their own."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from codemem.model.entry import Entry, EntryLayout, TokenisedDocument
from codemem.model.events import AnswerEvent, Ranking, Source
from codemem.model.store import LoadedEntries

Bank = Any
"""Entries placed for search; only the engine that made one looks inside."""


class MemoryEngine(Protocol):
    """A loaded model."""

    @property
    def name(self) -> str: ...

    @property
    def device(self) -> str: ...

    @property
    def layout(self) -> EntryLayout:
        """Entries for find and ask."""

    @property
    def find_layout(self) -> EntryLayout:
        """Entries for find alone: the lower routed layers, about half the cost."""

    def tokenise(self, documents: Sequence[tuple[str, str]]) -> list[TokenisedDocument]:
        """Of (header, text) each."""

    def encode(self, documents: Sequence[TokenisedDocument], layout: EntryLayout) -> Iterator[Entry]:
        """Yields entries as they are done, in any order."""

    def bank(self, entries: LoadedEntries, layout: EntryLayout) -> Bank: ...

    def rank(self, query: str, bank: Bank) -> Ranking: ...

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
    ) -> Iterator[AnswerEvent]: ...
