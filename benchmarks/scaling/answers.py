"""Facts, hops and needles answered: by the memory, and by the same model reading what another system ranks first.

Process i of n answers the questions i, i + n, ... of every memory and appends a line each to its own file; what is
there already is not asked again.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from codemem.benchmarks.scaling.entries import Encoded
from codemem.benchmarks.scaling.pool import Memory, Pool
from codemem.benchmarks.scaling.questions import Asked
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


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one answer, the same for every system."""

    source_tokens: int = 3000
    answer_tokens: int = 64


def to_answer(asked: Sequence[Asked], most: int) -> list[int]:
    """Numbers of the questions that are answered: at most `most` of a kind."""
    left = dict.fromkeys(KINDS, most)
    chosen = []
    for index, question in enumerate(asked):
        if left.get(question.kind, 0) > 0:
            left[question.kind] -= 1
            chosen.append(index)
    return chosen


def right(answer: Answer, asked: Asked) -> bool:
    """Whether an answer names what it must, and does not say that it found nothing."""
    if asked.judged is not None:
        return answer.found and is_right(answer.text, asked.judged)
    return answer.found and all(value in answer.text for value in asked.values)


class Answering:
    """One process's part."""

    def __init__(self, pool: Pool, engine: Engine, layout: EntryLayout, encoded: Encoded, limits: Limits) -> None:
        self.pool, self.engine, self.layout, self.encoded, self.limits = pool, engine, layout, encoded, limits
        self._reader = without(engine, attention=True, naming=True)

    def by_memory(self, asked: Asked, bank: Bank, numbers: Sequence[int]) -> Answer:
        """`numbers`: of the bank's documents in the pool."""
        return self._ask(self.engine, asked, bank, numbers, rounds=ROUNDS)

    def by_reader(self, asked: Asked, top: Sequence[int]) -> Answer:
        """One round over the first documents of a ranking; no memory."""
        prior = np.arange(len(top), 0, -1, dtype=np.float32)
        return self._ask(self._reader, asked, NoMemory(), top, rounds=1, prior=prior)

    def _ask(
        self, engine: Engine, asked: Asked, bank: Bank, numbers: Sequence[int], *, rounds: int, prior: Any = None
    ) -> Answer:
        *_, last = engine.answer(
            asked.text,
            bank,
            lambda i: Source(i, *self.pool.documents[int(numbers[i])]),
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
        tops: dict[tuple[int, str, str], list[int]],
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
            for memory in every:
                mine = [self.pool.questions.asked[i] for i in chosen]
                mine = [question for question in mine if memory.asks(question.world)]
                wanted = [(q, s) for q in mine for s in systems if (memory.size, q.identifier, s) not in done]
                bank, numbers = None, np.zeros(0, np.int64)
                for question, system in wanted:
                    if system == "memory":
                        if bank is None:
                            numbers = np.flatnonzero(memory.chosen)
                            bank = self.engine.bank(self.encoded.part(numbers), self.layout)
                        answer = self.by_memory(question, bank, numbers.tolist())
                    else:
                        answer = self.by_reader(question, tops[memory.size, question.identifier, system])
                    row = {"size": memory.size, "question": question.identifier, "kind": question.kind}
                    said = {"right": right(answer, question), "found": answer.found, "answer": answer.text}
                    file.write(json.dumps(row | {"system": system} | said) + "\n")
                    file.flush()
                if wanted:
                    progress(f"{memory.size:,} tokens: {len(wanted)} answers")


def read_answers(folder: Path) -> list[dict[str, Any]]:
    """All processes' lines, each once."""
    found: dict[tuple[int, str, str], dict[str, Any]] = {}
    for path in sorted(folder.glob("answers-*.jsonl")):
        for row in _rows(path):
            found[row["size"], row["question"], row["system"]] = row
    return list(found.values())


def answer_rows(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row a size, system and kind: the share of right answers."""
    groups: dict[tuple[int, str, str], list[bool]] = {}
    for row in found:
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
