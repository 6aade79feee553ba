"""What an engine reports while it ranks and answers; plain data for the layers above."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Ranking:
    """How a memory answers a query, before any text is read."""

    scores: npt.NDArray[np.float32]
    """[documents] the sum over the ranking layers of each document's best chunk; higher is better."""
    best_chunk: npt.NDArray[np.int32]
    """[documents] the chunk, counted within the document, whose summed score is highest."""
    route_ms: float


@dataclass(frozen=True, slots=True)
class Definition:
    """A definition in a text, or the part of one that stands there."""

    name: str
    """With its scope, joined by '.'."""
    start_line: int
    end_line: int
    """Half-open range of lines, counted from the text's first, which is 0: one that begins before is less."""

    @property
    def own_name(self) -> str:
        """Without its scope and the ?, ! or = in which Ruby lets a name end: as names of a question are found."""
        return self.name.rpartition(".")[2].rstrip("?!=")


@dataclass(frozen=True, slots=True)
class Source:
    """A document's text as the model will read it. `document` is its index in the bank."""

    document: int
    header: str
    text: str
    definitions: Sequence[Definition] = ()
    """In its text, where they are known."""
    quotable: bool = True
    """Whether an explanation may quote it, where another source may be quoted."""

    @property
    def path(self) -> str:
        """Of its file, as far as the header tells: a scope follows behind a blank."""
        return self.header.rstrip("\n").partition(" ")[0]


@dataclass(frozen=True, slots=True)
class LayerChoice:
    layer: int
    documents: Sequence[int]
    """Bank indices by falling score."""
    scores: Sequence[float]


@dataclass(frozen=True, slots=True)
class Round:
    """One round of Memory Interleave: what each layer routed to, what was named, and by whom."""

    layers: Sequence[LayerChoice]
    named: Sequence[int]
    """Bank indices whose text is read next."""
    by_model: bool
    """True if the model wrote the names; False if routing decided because it wrote none."""


@dataclass(frozen=True, slots=True)
class Read:
    """Spans that the model has read: bank index and byte range of the document's text."""

    document: int
    start_byte: int
    end_byte: int


@dataclass(frozen=True, slots=True)
class TextPiece:
    """The next piece of the answer, valid Unicode."""

    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The last event."""

    text: str
    found: bool
    """False: the sources do not hold the answer, or the evidence is weak."""
    cited: Sequence[Read]
    """At most three of the spans that were read, the best evidence first."""
    read: Sequence[Read]
    route_ms: float
    first_token_ms: float
    tokens: int
    tokens_per_second: float
    stopped: str = field(default="end")
    """'end', 'length' or 'cancelled'."""


AnswerEvent = Round | Read | TextPiece | Answer
