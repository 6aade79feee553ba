"""What commands answer, and its JSON: the contract of design.md. Keys may be added, never renamed or taken away."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from codemem.indexer import Skipped
from codemem.snapshot import Behind


@dataclass(frozen=True, slots=True)
class IndexResult:
    path: str
    model: str | None
    documents: int
    tokens: int
    encoded: int
    """Documents encoded now."""
    reused: int
    """Documents whose entries were there."""
    removed: int
    """Documents of the last manifest that are gone."""
    skipped: Sequence[Skipped]
    seconds: float
    tokens_per_second: float
    """Of what was encoded now; 0 if nothing was."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Place:
    """Lines of a file, 1-based and inclusive, and how well they fit."""

    repository: str
    path: str
    start_line: int
    end_line: int
    symbol: str | None
    score: float


@dataclass(frozen=True, slots=True)
class FoundPlace(Place):
    """One result of `find`, with its text."""

    text: str


@dataclass(frozen=True, slots=True)
class Citation(Place):
    """Lines that were read for an answer, checked against the file."""


@dataclass(frozen=True, slots=True)
class FindResult:
    query: str
    model: str | None
    """None where the outline alone answered."""
    commit: str | None
    fresh: bool
    behind: Behind
    took_ms: float
    route_ms: float
    results: Sequence[FoundPlace]
    router: str = "both"
    """What it was ranked by: 'memory', 'outline' or 'both'."""
    notes: Sequence[str] = field(default=())

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class AskResult:
    question: str
    answer: str
    """'' if nothing was found: `places` then says where to look."""
    found: bool
    citations: Sequence[Citation]
    rounds: Sequence[dict[str, Any]]
    model: str | None
    commit: str | None
    fresh: bool
    behind: Behind
    stats: dict[str, float]
    places: Sequence[FoundPlace] = ()
    notes: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class CleanResult:
    removed: Sequence[str]
    """Files and folders."""
    entries: int
    """Entries dropped from the store."""
    bytes: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class StatusResult:
    path: str
    model: str | None
    commit: str | None
    fresh: bool
    documents: int
    tokens: int
    bytes: int
    behind: Behind
    daemon: dict[str, Any] | None = None
    """What the daemon says of itself; None if none runs."""
    purpose: str = "outline"
    in_memory: int = 0
    """Documents whose entries are in the store."""
    skipped: Sequence[Skipped] = ()
    problems: Sequence[str] = ()
    """What `--verify` found."""
    notes: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
