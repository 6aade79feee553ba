"""A scale run from entries to table: encode, rank, answer, report.

    python -m codemem.benchmarks.scaling.run OPTIONS.json [--phases encode,rank,answer,report]

A further phase, `dense`, keeps MiniLM's vectors for ranking; it needs no entries and may run while others train. What a
phase made lies in the run's `work` folder: one that is cut off goes on, and phases may be run one by one, as a
machine is lent. `codemem bench scale` is the same for a user.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from codemem.benchmarks import measure
from codemem.benchmarks.plot import line_plot
from codemem.benchmarks.scaling.answers import answer_rows, read_answers
from codemem.benchmarks.scaling.entries import load_encoded
from codemem.benchmarks.scaling.options import Options
from codemem.benchmarks.scaling.pool import Memory, Pool, memories, read_pool_folder
from codemem.benchmarks.scaling.ranking import RANKS, keep_vectors, rank_everything
from codemem.benchmarks.scaling.ranks import table_rows
from codemem.benchmarks.scaling.work import layout_of, open_engine
from codemem.errors import CodememError

PHASES = ("encode", "rank", "answer", "report")
RESULT, SECONDS, HELD = "scale.json", "seconds.json", "held.json"
Say = Callable[[str], None]


def run(options: Options, *, phases: Sequence[str] = PHASES, say: Say = lambda _: None) -> dict[str, Any]:
    """The result; empty before the report. Raises `ValueError` (bad corpus) or `CodememError` (a part failed)."""
    options.work.mkdir(parents=True, exist_ok=True)
    path = options.work / "options.json"
    path.write_text(options.to_json(), encoding="utf-8")
    result: dict[str, Any] = {}
    for phase in phases:
        started = time.perf_counter()
        if phase == "encode":
            _workers("encode", path, options.encoders, say)
        elif phase == "dense":
            keep_vectors(options, say)
        elif phase == "rank":
            _note_seconds(options, rank(options, say))
        elif phase == "answer" and options.answers:
            _workers("answer", path, options.answerers, say)
        elif phase == "report":
            result = report(options)
        _note_seconds(options, {phase: round(time.perf_counter() - started, 1)})
        say(f"{phase}: {time.perf_counter() - started:.1f} s")
    return result


def _workers(phase: str, options: Path, parts: int, say: Say) -> None:
    """All parts side by side; if one fails the others are ended, and it is named."""
    command = [sys.executable, "-m", "codemem.benchmarks.scaling.work", phase, str(options)]
    started = [subprocess.Popen([*command, str(part), str(parts)]) for part in range(parts)]
    try:
        while any(process.poll() is None for process in started):
            for part, process in enumerate(started):
                if process.poll():
                    raise CodememError(f"{phase}: part {part} of {parts} failed (exit code {process.returncode})")
            time.sleep(0.1)
        failed = [part for part, process in enumerate(started) if process.returncode]
        if failed:
            raise CodememError(f"{phase}: parts {failed} of {parts} failed")
    finally:
        for process in started:
            if process.poll() is None:
                process.kill()
            process.wait()
    say(f"{phase}: {parts} processes done")


def rank(options: Options, say: Say) -> dict[str, float]:
    """Ranks of all questions in all memories, in this process."""
    pool, engine = read_pool_folder(options.corpus), open_engine(options)
    layout = layout_of(engine, options)
    encoded = load_encoded(options.work / "entries", layout)
    every = memories(pool, encoded.tokens, options.sizes)
    about = {
        "documents": len(encoded.tokens),
        "tokens": int(encoded.tokens.sum()),
        "entry_bytes": sum(array.nbytes for array in encoded.tensors.values()),
        "sizes": _held(encoded.tokens, every),
    }
    (options.work / HELD).write_text(json.dumps(about), encoding="utf-8")
    return rank_everything(options, pool, engine, layout=layout, encoded=encoded, every=every, progress=say)


def report(options: Options) -> dict[str, Any]:
    """The result as JSON, also written to `work/scale.json`."""
    pool = read_pool_folder(options.corpus)
    known = json.loads((options.work / HELD).read_text(encoding="utf-8"))
    ranks = json.loads((options.work / RANKS).read_text(encoding="utf-8"))
    held = {int(size): row for size, row in known["sizes"].items()}
    device = torch.device(options.device)
    result = {
        "bench": "scale",
        "model": options.model,
        "machine": measure.machine(device),
        "layers": options.layers,
        "documents": known["documents"],
        "tokens": known["tokens"],
        "entry_bytes": known["entry_bytes"],
        "asked": {k: sum(q.kind == k for q in pool.questions.asked) for k in _kinds(pool)},
        "seconds": json.loads((options.work / SECONDS).read_text(encoding="utf-8")),
        "rows": [*table_rows(ranks, held), *answer_rows(read_answers(options.work))],
    }
    (options.work / RESULT).write_text(json.dumps(result, indent=1), encoding="utf-8")
    return result


def _kinds(pool: Pool) -> list[str]:
    return list(dict.fromkeys(question.kind for question in pool.questions.asked))


def _held(tokens: npt.NDArray[np.int64], every: Sequence[Memory]) -> dict[int, dict[str, int]]:
    """By size, tokens and documents of its largest memory."""
    found: dict[int, dict[str, int]] = {}
    for memory in every:
        held = {"held_tokens": int(tokens[memory.chosen].sum()), "documents": int(memory.chosen.sum())}
        found[memory.size] = max(found.get(memory.size, held), held, key=lambda h: h["held_tokens"])
    return found


def _note_seconds(options: Options, more: dict[str, float]) -> None:
    path = options.work / SECONDS
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    path.write_text(json.dumps(known | more), encoding="utf-8")


def as_text(result: dict[str, Any]) -> str:
    """Tables: ranks, then answers."""
    head = (
        f"{result['model']}, {result['layers']} layers: {result['documents']:,} documents, "
        f"{result['tokens']:,} tokens, "
        f"{result['machine']}; asked: {result['asked']}; seconds: {result['seconds']}"
    )
    ranked = [row for row in result["rows"] if "MRR" in row]
    answered = [row for row in result["rows"] if "right" in row]
    return "\n\n".join([head, *(measure.table(rows) for rows in (ranked, answered) if rows)])


def as_plot(result: dict[str, Any], metric: str = "R@10", kinds: Sequence[str] = ()) -> str:
    """SVG: the metric against the memory's tokens, a line a system; all kinds together, each question counting once."""
    sums: dict[str, dict[int, list[float]]] = {}
    for row in result["rows"]:
        if metric in row and (not kinds or row["questions"] in kinds):
            weight = row["answered"] if metric == "right" else row["asked"]
            total = sums.setdefault(row["system"], {}).setdefault(row["memory_tokens"], [0.0, 0.0])
            total[0] += weight * row[metric]
            total[1] += weight
    ordered = sorted(sums.items(), key=lambda item: item[0] != "memory")  # its colour is the same in every plot
    lines = {name: [(size, part / whole) for size, (part, whole) in at.items()] for name, at in ordered}
    return line_plot(lines, x_label="tokens of memory", y_label=metric)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m codemem.benchmarks.scaling.run", description=__doc__)
    parser.add_argument("options", type=Path)
    parser.add_argument("--phases", default=",".join(PHASES))
    given = parser.parse_args(arguments)
    options = Options.from_json(given.options.read_text(encoding="utf-8"))
    result = run(options, phases=given.phases.split(","), say=lambda words: print(words, file=sys.stderr, flush=True))
    if result:
        for metric in ("R@10", "right"):
            (options.work / f"scale-{metric.replace('@', '')}.svg").write_text(
                as_plot(result, metric), encoding="utf-8"
            )
        print(as_text(result))


if __name__ == "__main__":
    main(sys.argv[1:])
