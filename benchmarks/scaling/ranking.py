"""Every question's ranks in every memory: by the memory itself, by BM25, by MiniLM, and by fusions of them."""

import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from codemem.benchmarks.scaling.dense import VECTORS, DenseEncoder, load_vectors, save_vectors
from codemem.benchmarks.scaling.entries import Encoded
from codemem.benchmarks.scaling.lexical import WordCounts
from codemem.benchmarks.scaling.options import Options
from codemem.benchmarks.scaling.pool import Memory, Pool, read_pool_folder
from codemem.benchmarks.scaling.ranks import Scores, rank_all
from codemem.model.engine import Engine
from codemem.model.entry import EntryLayout

RANKS = "ranks.json"
BATCH = 16
"""Questions whose keys are read at once."""
FUSIONS = {"BM25 + MiniLM": ("BM25", "MiniLM"), "memory + BM25": ("memory", "BM25")}


def rank_everything(
    options: Options,
    pool: Pool,
    engine: Engine,
    *,
    layout: EntryLayout,
    encoded: Encoded,
    every: Sequence[Memory],
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Seconds of each part; the rows lie in `work/ranks.json`."""
    device = torch.device(engine.device)
    count = len(encoded.tokens)
    texts = texts_of(pool)[:count]
    asked = pool.questions.asked
    questions = [question.text for question in asked]
    seconds: dict[str, float] = {}
    systems: dict[str, Scores] = {}

    def timed(name: str, make: Callable[[], Scores]) -> None:
        started = time.perf_counter()
        systems[name] = make()
        seconds[name] = round(time.perf_counter() - started, 2)
        progress(f"{name}: {seconds[name]} s")

    timed("memory", lambda: _by_memory(engine, layout, encoded, questions))
    if options.minilm is not None:
        folder = options.minilm
        kept = load_vectors(options.work / VECTORS, texts_of(pool), device)
        timed("MiniLM", lambda: _by_vectors(DenseEncoder(folder, device), texts, questions, kept, progress))
    if options.bm25:
        processes = max(1, (os.cpu_count() or 1) - 1) if count > 20_000 else 1
        timed("BM25", lambda: _by_words(WordCounts.of(texts, questions, processes=processes), device))
    started = time.perf_counter()
    found = rank_all(asked, every, systems, FUSIONS, device, progress=progress)
    seconds["ranks"] = round(time.perf_counter() - started, 2)
    (options.work / RANKS).write_text(json.dumps(found), encoding="utf-8")
    return seconds


def _by_memory(engine: Engine, layout: EntryLayout, encoded: Encoded, questions: Sequence[str]) -> Scores:
    """A document's score does not depend on what else is remembered: one bank of the largest size tells all."""
    keys = [spec.name for spec in layout.tensors if spec.name.startswith("route")]
    bank = engine.bank(encoded.part(np.arange(len(encoded.tokens)), keys), layout)
    parts: list[Tensor] = []
    for start in range(0, len(questions), BATCH):
        queries = [engine.queries(question, bank.layers) for question in questions[start : start + BATCH]]
        parts.append(bank.score_batch(queries))
    scores = torch.cat(parts)
    return lambda index, _: scores[index]


def texts_of(pool: Pool) -> list[str]:
    """What other systems read of each document."""
    return [header + text for header, text in pool.documents]


def keep_vectors(options: Options, progress: Callable[[str], None] = lambda _: None) -> None:
    """MiniLM's vectors of the whole pool into `work`, where ranking finds them: they may be made at any time before."""
    if options.minilm is None:
        return
    texts, device = texts_of(read_pool_folder(options.corpus)), torch.device(options.device)
    vectors = DenseEncoder(options.minilm, device).encode(texts, progress=progress)
    save_vectors(options.work / VECTORS, vectors, texts)


def _by_vectors(
    encoder: DenseEncoder,
    texts: Sequence[str],
    questions: Sequence[str],
    kept: Tensor | None,
    progress: Callable[[str], None],
) -> Scores:
    """`kept`: vectors of these texts and maybe others behind them."""
    vectors = encoder.encode(texts, progress=progress) if kept is None else kept[: len(texts)]
    asked = encoder.encode(questions)
    return lambda index, _: vectors @ asked[index]


def _by_words(words: WordCounts, device: torch.device) -> Scores:
    return lambda index, memory: torch.from_numpy(words.scores(index, memory.chosen)).to(device)


def read_tops(work: Path) -> dict[tuple[int, str, str], list[int]]:
    """By size, question and system, the documents ranked first."""
    rows = json.loads((work / RANKS).read_text(encoding="utf-8"))
    return {(row["size"], row["question"], row["system"]): row["top"] for row in rows}
