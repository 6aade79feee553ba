"""What a memory loses as it grows: the same questions to nested memories of real code, beside BM25 and their fusion.

The documents that hold the answers come first and are in every memory; what follows is the corpus in an order that its
content alone decides (by sha256), without copies of the former. So a larger memory is a smaller one and more. Questions
are planted facts (`model/msa4b/facts.py`) and sentences of documentation, from a pool of `evals.functions_pool`.

A document's score does not depend on what else is remembered, so one bank of the largest size tells every size's ranks
exactly; BM25, whose word weights do depend on it, is built anew for each.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from codemem.benchmarks import measure
from codemem.benchmarks.plot import line_plot
from codemem.engine_interface import Bank, MemoryEngine
from codemem.evals.bm25 import BM25
from codemem.evals.functions import measures, read_pool
from codemem.indexer import SourceFile, index_tree, open_tree
from codemem.model.entry import Entry, EntryLayout, TokenisedDocument
from codemem.model.events import Answer, Source
from codemem.model.msa4b.facts import plant
from codemem.model.store import LoadedEntries

CALL_DOCUMENTS = 512
FUSION_K = 60
"""Of reciprocal rank fusion (Cormack, Clarke and Buettcher 2009)."""
Text = tuple[str, str]
"""Header and text of a document."""


@dataclass(frozen=True, slots=True)
class Options:
    corpus: Sequence[Path]
    """Folders of source trees."""
    sizes: Sequence[int] = (16_000, 128_000, 1_000_000)
    """Tokens of the nested memories, ascending; the corpus may end the last one earlier."""
    facts: int = 32
    pool: Path | None = None
    """Folder of documents.jsonl and queries.jsonl; its first questions whose functions fit half the smallest memory."""
    questions: int = 200
    """At most so many of the pool's."""
    answers: int = 0
    """Facts that are also asked for with an answer, at every size; takes the whole layout of entries."""
    bm25: bool = True


@dataclass(frozen=True, slots=True)
class Question:
    text: str
    gold: int
    """Index of the document that answers it."""
    kind: str
    value: str | None = None
    """What a right answer holds."""


def run(options: Options, engine: MemoryEngine, *, progress: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Ranks at every size. Raises `ValueError` if the smallest memory cannot hold the questions' documents."""
    texts, questions = _questions(options)
    layout = engine.layout if options.answers else engine.find_layout
    started = time.perf_counter()
    kept, entries = _remember(options, engine, layout, texts, progress)
    encoding_s = time.perf_counter() - started
    ends = list(accumulate(entry.tokens for entry in entries))
    counts = [(size, int(np.searchsorted(ends, size, side="right"))) for size in options.sizes]
    if counts[0][1] < len(texts):
        raise ValueError(
            f"{counts[0][0]:,} tokens do not hold the documents of the questions: ask fewer, or begin larger"
        )
    bank = engine.bank(_loaded(entries), layout)
    rankings = [engine.rank(question.text, bank) for question in questions]
    scores = np.stack([ranking.scores for ranking in rankings])
    rows, ranks = [], {}
    for size, count in counts:
        progress(f"{size:,} tokens: {count:,} documents")
        systems: dict[str, npt.NDArray[np.floating[Any]]] = {"memory": scores[:, :count]}
        if options.bm25:
            index = BM25([header + text for header, text in kept[:count]])
            systems["BM25"] = np.stack([index.scores(question.text) for question in questions])
            systems["fusion"] = _fused(systems["memory"], systems["BM25"])
        found = {name: _ranks(of, questions) for name, of in systems.items()}
        ranks[str(size)] = found
        rows += _rows(size, count, ends, found, questions)
        if options.answers:
            bank = engine.bank(_loaded(entries[:count]), layout)
            asked = [question for question in questions if question.value is not None][: options.answers]
            share = _answered(engine, bank, kept, asked)
            place = {"memory_tokens": size, "held_tokens": ends[count - 1], "documents": count}
            rows.append({**place, "system": "answers", "questions": "fact", "right": share})
    return {
        "bench": "scale",
        "model": engine.name,
        "machine": measure.machine(torch.device(engine.device)),
        "documents": len(entries),
        "tokens": ends[-1],
        "encoding_seconds": encoding_s,
        "find_ms": float(np.median([ranking.route_ms for ranking in rankings])),
        "rows": rows,
        "ranks": ranks,
        **measure.peaks(torch.device(engine.device)),
    }


def _questions(options: Options) -> tuple[list[Text], list[Question]]:
    """The documents that hold the answers, and the questions."""
    facts = plant(options.facts)
    texts: list[Text] = [(fact.header, fact.text) for fact in facts]
    questions = [Question(fact.question, i, "fact", fact.value) for i, fact in enumerate(facts)]
    if options.pool is None:
        return texts, questions
    pool = read_pool(options.pool)
    room = options.sizes[0] // 2
    for query, gold in zip(pool.queries[: options.questions], pool.gold, strict=False):
        header, newline, text = pool.documents[gold].partition("\n")
        room -= len(text) // 3  # tokens of code have some three characters
        if room < 0:
            break
        questions.append(Question(query, len(texts), "function"))
        texts.append((header + newline, text))
    return texts, questions


def corpus_documents(folders: Sequence[Path], known: Sequence[Text]) -> Iterator[Text]:
    """Every document of the folders once, in the order of their hashes; none whose text is known already."""
    seen = {_digest(text) for _, text in known}
    found: list[tuple[bytes, Text]] = []
    for folder in folders:
        with open_tree(folder) as tree:
            for file in index_tree(tree):
                for document in file.documents if isinstance(file, SourceFile) else ():
                    digest = _digest(document.text)
                    if digest not in seen and document.text.strip():
                        seen.add(digest)
                        found.append((digest, (document.header, document.text)))
    return iter(text for _, text in sorted(found))


def _digest(text: str) -> bytes:
    """Of the text without its spaces: a copy that was indented anew is a copy."""
    return hashlib.sha256("".join(text.split()).encode("utf-8", "surrogatepass")).digest()


def _remember(
    options: Options,
    engine: MemoryEngine,
    layout: EntryLayout,
    texts: list[Text],
    progress: Callable[[str], None],
) -> tuple[list[Text], list[Entry]]:
    """Documents and entries up to the largest size, or to the corpus' end."""
    kept: list[Text] = []
    entries: list[Entry] = []
    tokens = 0
    for batch in _batches([*texts, *corpus_documents(options.corpus, texts)], CALL_DOCUMENTS):
        done = engine.tokenise(batch)
        by_key = {entry.key: entry for entry in engine.encode(_unique(done, layout), layout)}
        for text, document in zip(batch, done, strict=True):
            if tokens + len(document.ids) > options.sizes[-1] and len(kept) >= len(texts):
                return kept, entries
            kept.append(text)
            entries.append(by_key[layout.key(document.ids)])
            tokens += len(document.ids)
        progress(f"encoded {tokens:,} of {options.sizes[-1]:,} tokens")
    return kept, entries


def _unique(documents: Sequence[TokenisedDocument], layout: EntryLayout) -> list[TokenisedDocument]:
    return list({layout.key(document.ids): document for document in documents}.values())


def _batches(items: Sequence[Text], size: int) -> Iterator[Sequence[Text]]:
    return (items[at : at + size] for at in range(0, len(items), size))


def _loaded(entries: Sequence[Entry]) -> LoadedEntries:
    """Entries in memory as the store would give them back."""
    chunks = [entry.chunks for entry in entries]
    return LoadedEntries(
        keys=tuple(entry.key for entry in entries),
        offsets=np.concatenate(([0], np.cumsum(chunks))).astype(np.int64),
        tokens=np.array([entry.tokens for entry in entries], np.uint32),
        chunk_ends=np.concatenate([entry.chunk_ends for entry in entries]),
        tensors={name: np.concatenate([entry.tensors[name] for entry in entries]) for name in entries[0].tensors},
        missing=(),
        corrupt=(),
        mapped=False,
    )


def _ranks(scores_QN: npt.NDArray[np.floating[Any]], questions: Sequence[Question]) -> list[int]:
    """1 + the documents that score higher than the gold."""
    return [1 + int((row > row[q.gold]).sum()) for row, q in zip(scores_QN, questions, strict=True)]


def _fused(*systems: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
    """Reciprocal rank fusion [questions, documents]."""
    total = np.zeros(systems[0].shape)
    for scores in systems:
        order = np.argsort(-scores, axis=1, kind="stable")
        ranks = np.empty(order.shape)
        np.put_along_axis(ranks, order, np.arange(1, scores.shape[1] + 1, dtype=float)[None, :], axis=1)
        total += 1 / (FUSION_K + ranks)
    return total


def _rows(
    size: int, count: int, ends: Sequence[int], found: dict[str, list[int]], questions: Sequence[Question]
) -> list[dict[str, Any]]:
    rows = []
    for name, ranks in found.items():
        for kind in dict.fromkeys(question.kind for question in questions):
            chosen = [rank for rank, question in zip(ranks, questions, strict=True) if question.kind == kind]
            means = {metric: sum(values) / len(values) for metric, values in measures(chosen).items()}
            place = {"memory_tokens": size, "held_tokens": ends[count - 1], "documents": count}
            rows.append({**place, "system": name, "questions": kind, **means})
    return rows


def _answered(engine: MemoryEngine, bank: Bank, kept: Sequence[Text], asked: Sequence[Question]) -> float:
    """Share of facts whose value stands in the answer."""
    right = 0
    for question in asked:
        *_, last = engine.answer(
            question.text,
            bank,
            lambda i: Source(i, *kept[i]),
            max_rounds=2,
            source_tokens=2048,
            max_tokens=64,
            cancelled=lambda: False,
        )
        assert isinstance(last, Answer)
        right += str(question.value) in last.text
    return right / len(asked)


def as_text(result: dict[str, Any]) -> str:
    head = f"{result['model']}: {result['documents']:,} documents, {result['tokens']:,} tokens, {result['machine']}"
    return f"{head}\n\n{measure.table(result['rows'])}"


def as_plot(result: dict[str, Any], metric: str = "R@10") -> str:
    """SVG: the metric against the memory's tokens, a line a system and kind of question."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for row in result["rows"]:
        if metric in row:
            lines.setdefault(f"{row['system']}, {row['questions']}", []).append((row["memory_tokens"], row[metric]))
    return line_plot(lines, x_label="tokens of memory", y_label=metric)
