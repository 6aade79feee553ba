"""Facts, hops and needles answered: as `codemem ask` does, and by the same model over what other systems rank first.

Process i of n answers the questions i, i + n, ... and appends a line each to its own file; what is there already is not
asked again. Each question is put to all memories and systems before the next is, so that a run that is cut off compares
fewer questions at all sizes.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from codemem.benchmarks.scaling.entries import Encoded
from codemem.benchmarks.scaling.pool import Memory, Pool
from codemem.benchmarks.scaling.questions import Asked
from codemem.benchmarks.scaling.ranking import ASKED
from codemem.benchmarks.scaling.ranks import Top
from codemem.definitions import definitions_of_piece
from codemem.engine_interface import Bank
from codemem.evals.answers.engines import without
from codemem.evals.answers.judge import is_right
from codemem.evals.answers.reading import NoMemory
from codemem.model.engine import Engine
from codemem.model.entry import EntryLayout
from codemem.model.events import Answer, Source

KINDS = ("hops", "facts", "single", "keys", "values")
"""That are answered."""
ROUNDS = 3
"""Of the memory alone; `ask` reads in one (decision 0030)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one answer, the same for every system."""

    source_tokens: int = 3000
    answer_tokens: int = 64


def to_answer(asked: Sequence[Asked], most: int) -> list[int]:
    """Numbers of the questions that are answered, at most `most` of a kind, the kinds in turn by their shares."""
    of_kind: dict[str, list[int]] = {kind: [] for kind in KINDS}
    for index, question in enumerate(asked):
        if len(of_kind.get(question.kind, range(most))) < most:
            of_kind[question.kind].append(index)
    place = {index: (at + 0.5) / len(row) for row in of_kind.values() for at, index in enumerate(row)}
    return sorted(place, key=lambda index: (place[index], index))


def right(answer: Answer, asked: Asked) -> bool:
    """Whether an answer names what it must, and does not say that it found nothing."""
    if asked.judged is not None:
        return answer.found and is_right(answer.text, asked.judged)
    return answer.found and all(value in answer.text for value in asked.values)


def _source(index: int, header: str, text: str) -> Source:
    return Source(index, header, text, definitions_of_piece(header, text))


class Answering:
    """One process's part."""

    def __init__(self, pool: Pool, engine: Engine, layout: EntryLayout, encoded: Encoded, limits: Limits) -> None:
        self.pool, self.engine, self.layout, self.encoded, self.limits = pool, engine, layout, encoded, limits
        self._reader = without(engine, attention=True, naming=True)
        self._banks: dict[tuple[int, int | None], tuple[Bank, npt.NDArray[np.int64]]] = {}

    def by_asking(self, asked: Asked, memory: Memory, top: Top) -> Answer:
        """As the product: one round in the order of what `ask` reads, the memory attended to.

        What is no part of `top` is worth nothing: more is never read than the model may choose from.
        """
        bank, numbers = self._bank(memory)
        prior = np.full(len(numbers), min(0.0, *top.worth), np.float32)
        prior[np.searchsorted(numbers, top.documents)] = top.worth
        return self._ask(self.engine, asked, bank, numbers, rounds=1, prior=prior)

    def by_memory(self, asked: Asked, memory: Memory) -> Answer:
        """The memory alone, in up to three rounds."""
        return self._ask(self.engine, asked, *self._bank(memory), rounds=ROUNDS)

    def by_reader(self, asked: Asked, top: Top) -> Answer:
        """One round over the first documents of a ranking; no memory."""
        prior = np.arange(len(top.documents), 0, -1, dtype=np.float32)
        return self._ask(self._reader, asked, NoMemory(), top.documents, rounds=1, prior=prior)

    def _bank(self, memory: Memory) -> tuple[Bank, npt.NDArray[np.int64]]:
        """A memory's bank, made once, and the numbers of its documents in the pool."""
        key = memory.size, memory.world
        if key not in self._banks:
            numbers = np.flatnonzero(memory.chosen)
            self._banks[key] = self.engine.bank(self.encoded.part(numbers), self.layout), numbers
        return self._banks[key]

    def _ask(
        self,
        engine: Engine,
        asked: Asked,
        bank: Bank,
        numbers: Sequence[int] | npt.NDArray[np.int64],
        *,
        rounds: int,
        prior: npt.NDArray[np.float32] | None = None,
    ) -> Answer:
        *_, last = engine.answer(
            asked.text,
            bank,
            lambda i: _source(i, *self.pool.documents[int(numbers[i])]),
            prior=prior,
            max_rounds=rounds,
            source_tokens=self.limits.source_tokens,
            max_tokens=self.limits.answer_tokens,
        )
        assert isinstance(last, Answer)
        return last

    def run(
        self,
        every: Sequence[Memory],
        chosen: Sequence[int],
        tops: dict[tuple[int, str, str], Top],
        systems: Sequence[str],
        out: Path,
        *,
        progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`chosen`: this process's questions. `tops`: by size, question and system, what it ranks first."""
        done = _keys(out)
        cut_short = out.is_file() and not out.read_bytes().endswith(b"\n")
        with out.open("a", encoding="utf-8") as file:
            file.write("\n" if cut_short else "")
            for number, question in enumerate(self.pool.questions.asked[i] for i in chosen):
                for memory, system in ((m, s) for m in every if m.asks(question.world) for s in systems):
                    if (memory.size, question.identifier, system) not in done:
                        answer = self._by(system, question, memory, tops)
                        row = {"size": memory.size, "question": question.identifier, "kind": question.kind}
                        said = {"right": right(answer, question), "found": answer.found, "answer": answer.text}
                        file.write(json.dumps(row | {"system": system} | said) + "\n")
                        file.flush()
                progress(f"{number + 1} of {len(chosen)} questions answered")

    def _by(self, system: str, asked: Asked, memory: Memory, tops: dict[tuple[int, str, str], Top]) -> Answer:
        if system == "memory":
            return self.by_memory(asked, memory)
        top = tops[memory.size, asked.identifier, system]
        return self.by_asking(asked, memory, top) if system == ASKED else self.by_reader(asked, top)


def read_answers(folder: Path) -> list[dict[str, Any]]:
    """All processes' lines, each once."""
    found: dict[tuple[int, str, str], dict[str, Any]] = {}
    for path in sorted(folder.glob("answers-*.jsonl")):
        for row in _rows(path):
            found[row["size"], row["question"], row["system"]] = row
    return list(found.values())


def answer_rows(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row a size, system and kind: the share of right answers, of questions put to all sizes and systems."""
    times = Counter(row["question"] for row in found)
    whole = max(times.values(), default=0)
    groups: dict[tuple[int, str, str], list[bool]] = {}
    for row in (row for row in found if times[row["question"]] == whole):
        groups.setdefault((row["size"], row["system"], row["kind"]), []).append(row["right"])
    return [
        {"memory_tokens": size, "system": system, "questions": kind, "answered": len(v), "right": sum(v) / len(v)}
        for (size, system, kind), v in sorted(groups.items())
    ]


def _rows(path: Path) -> list[dict[str, Any]]:
    """A kill may have cut the last line short."""
    lines = path.read_text(encoding="utf-8").split("\n") if path.is_file() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def _keys(path: Path) -> set[tuple[int, str, str]]:
    return {(row["size"], row["question"], row["system"]) for row in _rows(path)}
