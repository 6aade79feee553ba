"""Every question's ranks in every memory: by the memory itself, BM25, names, what `ask` reads, MiniLM, and by fusions.

What a system ranked is kept as soon as it has, and a later run goes on from there: a stop loses one system's work.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from codemem.benchmarks.scaling.corpus import Text
from codemem.benchmarks.scaling.dense import VECTORS, DenseEncoder, vectors_of
from codemem.benchmarks.scaling.entries import Encoded
from codemem.benchmarks.scaling.lexical import WordCounts
from codemem.benchmarks.scaling.names import Named, mixed
from codemem.benchmarks.scaling.options import Options
from codemem.benchmarks.scaling.pool import Memory, Pool, read_pool_folder
from codemem.benchmarks.scaling.ranks import Scores, Top, rank_all
from codemem.benchmarks.scaling.spoken import Spoken
from codemem.model.engine import Engine
from codemem.model.entry import EntryLayout

RANKS, PARTS = "ranks.json", "ranks"
"""In a run's `work`: all rows, and the folder of each system's own."""
BATCH = 16
"""Questions whose keys are read at once."""
FEW = 20_000
"""Documents up to which one process reads their words."""
ASKED = "as ask reads"
"""What `codemem ask` ranks by: the memory and names, what speaks of them and what their definitions name."""
FUSIONS = {"BM25 + MiniLM": ("BM25", "MiniLM"), "memory + BM25": ("memory", "BM25")}
Say = Callable[[str], None]
Row = dict[str, Any]


def rank_everything(
    options: Options,
    pool: Pool,
    engine: Engine,
    *,
    layout: EntryLayout,
    encoded: Encoded,
    every: Sequence[Memory],
    progress: Say = lambda _: None,
) -> dict[str, float]:
    """Seconds of each part that was made now; the rows lie in `work/ranks.json`, after each system what there is."""
    systems = _Systems(options, pool, engine, layout, encoded, every, progress)
    parts = options.work / PARTS
    parts.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    for number, name in enumerate(systems.names):
        path = parts / f"{name.replace(' ', '-')}.json"
        found = _kept(path, systems.digest)
        if found is None:
            found = systems.rank(name, systems.names[: number + 1])
            _write(path, {"of": systems.digest, "rows": found})
        rows += found
        _write(options.work / RANKS, _in_order(rows, pool))
    return systems.seconds


def _kept(path: Path, digest: str) -> list[Row] | None:
    """Rows of the same questions in the same memories; None if there are none."""
    kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    rows: list[Row] | None = kept["rows"] if kept.get("of") == digest else None
    return rows


def _write(path: Path, content: Any) -> None:
    """The file appears whole or stays as it was."""
    partial = path.with_suffix(".writing")
    partial.write_text(json.dumps(content), encoding="utf-8")
    partial.replace(path)


def _in_order(rows: Sequence[Row], pool: Pool) -> list[Row]:
    """By size, then question; of one question as the systems came."""
    place = {question.identifier: number for number, question in enumerate(pool.questions.asked)}
    return sorted(rows, key=lambda row: (row["size"], place[row["question"]]))


@dataclass
class _Systems:
    """Whatever ranks, each made when it is first needed: scores that a fusion needs are made again after a stop."""

    options: Options
    pool: Pool
    engine: Engine
    layout: EntryLayout
    encoded: Encoded
    every: Sequence[Memory]
    say: Say
    seconds: dict[str, float] = field(default_factory=dict)
    _made: dict[str, Scores] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """In the order in which they are ranked: what takes longest last."""
        lexical = ["BM25"] if self.options.bm25 else []
        return ["memory", *lexical, "memory and names", ASKED, *(["MiniLM"] if self.options.minilm is not None else [])]

    @cached_property
    def digest(self) -> str:
        """Of what rows depend on: the model and its entries, the questions, and what each memory holds."""
        digest = hashlib.sha256(self.layout.fingerprint.encode())
        digest.update(self.encoded.tokens.tobytes())
        digest.update(self.pool.questions.to_json().encode())
        for memory in self.every:
            digest.update(f"{memory.size} {memory.world}".encode() + np.packbits(memory.chosen).tobytes())
        return digest.hexdigest()

    def rank(self, name: str, known: Sequence[str]) -> list[Row]:
        """Rows of a system, and of the fusions that it makes possible beside those known."""
        fusions = {fusion: of for fusion, of in FUSIONS.items() if name in of and set(of) <= set(known)}
        needed = dict.fromkeys([name, *(part for of in fusions.values() for part in of)])
        scores = {part: self.scores(part) for part in needed}
        started = time.perf_counter()
        rows = rank_all(
            self.pool.questions.asked,
            self.every,
            scores,
            fusions,
            torch.device(self.engine.device),
            wanted=(name, *fusions),
            progress=lambda words: self.say(f"{name}: {words}"),
        )
        self.seconds[f"{name}, ranks"] = round(time.perf_counter() - started, 2)
        return rows

    def scores(self, name: str) -> Scores:
        if name not in self._made:
            make = {
                "memory": self._by_memory,
                "BM25": self._by_words,
                "memory and names": self._by_names,
                ASKED: self._by_reading,
                "MiniLM": self._by_vectors,
            }[name]
            started = time.perf_counter()
            self._made[name] = make()
            self.seconds[name] = round(time.perf_counter() - started, 2)
            self.say(f"{name}: {self.seconds[name]} s")
        return self._made[name]

    @property
    def _questions(self) -> list[str]:
        return [question.text for question in self.pool.questions.asked]

    @property
    def _texts(self) -> list[str]:
        return texts_of(self.pool)[: len(self.encoded.tokens)]

    @property
    def _processes(self) -> int:
        return max(1, (os.cpu_count() or 1) - 1) if len(self.encoded.tokens) > FEW else 1

    def _by_memory(self) -> Scores:
        """A document's score does not depend on what else is remembered: one bank of the largest size tells all."""
        keys = [spec.name for spec in self.layout.tensors if spec.name.startswith("route")]
        bank = self.engine.bank(self.encoded.part(np.arange(len(self.encoded.tokens)), keys), self.layout)
        parts: list[Tensor] = []
        questions = self._questions
        for start in range(0, len(questions), BATCH):
            queries = [self.engine.queries(question, bank.layers) for question in questions[start : start + BATCH]]
            parts.append(bank.score_batch(queries))
        scores = torch.cat(parts)
        return lambda index, _: scores[index]

    def _by_words(self) -> Scores:
        words = WordCounts.of(self._texts, self._questions, processes=self._processes)
        return lambda index, memory: self._on_device(words.scores(index, memory.held))

    @property
    def _documents(self) -> list[Text]:
        return self.pool.documents[: len(self.encoded.tokens)]

    @cached_property
    def _named(self) -> Named:
        return Named.of(self._documents, self._questions, processes=self._processes)

    def _by_names(self) -> Scores:
        return lambda index, memory: self._on_device(self._mixed(index, memory))

    def _by_reading(self) -> Scores:
        spoken = Spoken.of(self._documents, self._questions, self._named, processes=self._processes)
        return lambda index, memory: self._on_device(spoken.read(index, self._mixed(index, memory), memory.held))

    def _mixed(self, index: int, memory: Memory) -> npt.NDArray[np.float64]:
        """Up to the last document of the memory."""
        by_memory = self.scores("memory")(index, memory)[: len(memory.held)].float().cpu().numpy()
        return mixed(by_memory, self._named.scores(index, memory.held), memory.held)

    def _by_vectors(self) -> Scores:
        device = torch.device(self.engine.device)
        assert self.options.minilm is not None, "named only where its folder is given"
        encoder = DenseEncoder(self.options.minilm, device)
        vectors = vectors_of(self._texts, self.options.work / VECTORS, encoder.encode, device, progress=self.say)
        asked = encoder.encode(self._questions)
        return lambda index, _: vectors @ asked[index]

    def _on_device(self, scores: npt.NDArray[Any]) -> Tensor:
        """[N]; `scores` may end with the last document of a memory."""
        whole = torch.zeros(len(self.encoded.tokens), dtype=torch.float64, device=torch.device(self.engine.device))
        whole[: len(scores)] = torch.from_numpy(scores).to(whole.device)
        return whole


def texts_of(pool: Pool) -> list[str]:
    """What other systems read of each document."""
    return [header + text for header, text in pool.documents]


def keep_vectors(options: Options, progress: Say = lambda _: None) -> None:
    """MiniLM's vectors of the whole pool into `work`, where ranking finds them: they may be made at any time before."""
    if options.minilm is None:
        return
    texts, device = texts_of(read_pool_folder(options.corpus)), torch.device(options.device)
    encoder = DenseEncoder(options.minilm, device)
    vectors_of(texts, options.work / VECTORS, encoder.encode, device, progress=progress)


def read_tops(work: Path) -> dict[tuple[int, str, str], Top]:
    """By size, question and system, the documents ranked first."""
    rows = json.loads((work / RANKS).read_text(encoding="utf-8"))
    return {(row["size"], row["question"], row["system"]): Top(row["top"], row["worth"]) for row in rows}
