"""What the systems of an evaluation are called, and which model each of them asks."""

from collections.abc import Sequence
from dataclasses import dataclass

from codemem.evals.errors import EvaluationError

OURS = "memory"
PRODUCT = (
    OURS,
    "memory-naming-off",
    "memory-attention-off",
    "memory-best-chunks",
    "memory-references-off",
    "memory-one-round",
    "memory-no-hops",
    "memory-premises-off",
)
REFERENCES = "-references"
RETRIEVAL = ("bm25-chunks", "bm25-files", "minilm", "fusion", "bm25-chunks" + REFERENCES)
"""What is bolted on to a model; the last also tells where the names of a question stand in what is read."""
READERS = (*RETRIEVAL, "gold", "closed-book")
TUNED, LARGER = "-tuned", "-larger"
SUFFIXES = ("", TUNED, LARGER, LARGER + TUNED)
SYSTEMS = (*PRODUCT, *(f"{name}{suffix}" for suffix in SUFFIXES for name in READERS))


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads in a system that is not the product."""

    pieces: str
    """One of READERS: what is read."""
    larger: bool = False
    """Whether the rival model reads in place of the evaluated one."""
    tuned: bool = False
    """Whether it reads with an adapter that was trained to read retrieved text."""


def reader_of(system: str) -> Reader | None:
    """What a system's name says; None for the product."""
    if system in PRODUCT:
        return None
    whole = system.removesuffix(TUNED)
    pieces = whole.removesuffix(LARGER)
    return Reader(pieces, larger=pieces != whole, tuned=whole != system)


def offered(*, reader: bool = False, rival: bool = False, rival_reader: bool = False) -> tuple[str, ...]:
    """The systems that can be asked with the adapters and models at hand."""
    given = {"": True, TUNED: reader, LARGER: rival, LARGER + TUNED: rival and rival_reader}
    return (*PRODUCT, *(f"{name}{suffix}" for suffix, there in given.items() if there for name in READERS))


def refuse_unknown(systems: Sequence[str]) -> None:
    """Raises EvaluationError where one is none of SYSTEMS."""
    if unknown := [name for name in systems if name not in SYSTEMS]:
        raise EvaluationError(f"no system {', '.join(unknown)}: there are {', '.join(SYSTEMS)}")


def bolted_on(systems: Sequence[str], *, larger: bool) -> list[str]:
    """Those of `systems` where retrieval is bolted on to the evaluated model or, if asked for, to the larger one."""
    readers = ((system, reader_of(system)) for system in systems)
    return [system for system, r in readers if r is not None and r.pieces in RETRIEVAL and r.larger == larger]
