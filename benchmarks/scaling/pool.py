"""Everything that is ever remembered in a scale run, in one fixed order, and which part of it each memory holds.

Documents that answer come first, then those of the packages that are asked about, then the corpus; both in the order of
their digests. A memory of n tokens holds the documents that answer and as many of the others, from the first, as fit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from codemem.benchmarks.scaling.corpus import Text, read_corpus, rows
from codemem.benchmarks.scaling.questions import Questions

QUESTIONS, NEAR = "questions.json", "near.jsonl.xz"
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Pool:
    """The questions, and the documents by number."""

    questions: Questions
    documents: list[Text]

    @property
    def answering(self) -> int:
        """Documents that answer: the first ones."""
        return len(self.questions.documents)

    @property
    def worlds(self) -> npt.NDArray[np.int64]:
        """[answering] world of each of them."""
        return np.array(self.questions.worlds, np.int64)


def read_pool_folder(folder: Path) -> Pool:
    """What `corpus` and `pack` wrote. Raises `ValueError` if parts are missing."""
    path = folder / QUESTIONS
    if not path.is_file():
        raise ValueError(f"{folder} holds no {QUESTIONS}: build it with codemem.benchmarks.scaling.pack")
    questions = Questions.from_json(path.read_text(encoding="utf-8"))
    near = list(rows(folder / NEAR)) if (folder / NEAR).is_file() else []
    return Pool(questions, [*questions.documents, *near, *read_corpus(folder)])


@dataclass(frozen=True, slots=True)
class Memory:
    """Which documents one memory holds."""

    size: int
    """Tokens that it was to have."""
    world: int | None
    """None: the documents of all worlds."""
    chosen: Mask
    """[N]"""

    @property
    def held(self) -> Mask:
        """The mask up to the last document chosen: what is scored by words of a small memory is soon done then."""
        return self.chosen[: int(np.flatnonzero(self.chosen)[-1]) + 1]

    def asks(self, world: int) -> bool:
        """Whether questions of this world are put to it."""
        return self.world is None or self.world == world


def memories(pool: Pool, tokens: npt.NDArray[np.int64], sizes: Sequence[int]) -> list[Memory]:
    """Every memory, by rising size. `tokens` [n]: of the first n documents; the pool may end the last size earlier.

    A world's own memory takes no more of the others than the next larger memory does, so that it is a part of that.
    Raises `ValueError` if the smallest has no room for a world's documents.
    """
    answering, worlds = tokens[: pool.answering], pool.worlds
    others = np.cumsum(tokens[pool.answering :])
    made: list[Memory] = []
    most = len(others)
    for size in sorted(sizes, reverse=True):
        counts = []
        whole = int(answering.sum()) <= size
        for world in [None] if whole else range(int(worlds.max()) + 1):
            held = np.ones(len(worlds), np.bool_) if world is None else worlds == world
            room = size - int(answering[held].sum())
            if room < 0:
                raise ValueError(f"{size:,} tokens do not hold the documents that answer: begin larger")
            counts.append(min(most, int(np.searchsorted(others, room, side="right"))))
            chosen = np.zeros(len(tokens), np.bool_)
            chosen[: pool.answering] = held
            chosen[pool.answering : pool.answering + counts[-1]] = True
            made.append(Memory(size, world, chosen))
        most = min(counts)
    return sorted(made, key=lambda memory: (memory.size, -1 if memory.world is None else memory.world))
