"""An MSA checkpoint with its matrices as they are, in 8 and in 4 bits: memory, speed, and what changes.

    python -m codemem.benchmarks.narrow FOLDER SOURCES [--device cuda] [--within 8]

Each kind of weights reads the same documents, is asked the same questions and writes as many tokens. Compared with the
first kind: which documents each routed layer chose (the share of the top k that is the same), and the logits behind the
prompt. Nothing that a kind computes is used by another. FOLDER holds the checkpoint (a random one of `--shape` is
written if it does not exist). With `--within`, kinds that need more GPU memory fail, and say so; the first kind that
does not is then what the others are compared with. Prints one JSON object.
"""

import argparse
import gc
import json
import statistics
import sys
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from codemem.benchmarks import measure
from codemem.benchmarks.msa_session import documents
from codemem.benchmarks.random_checkpoint import checkpoint_at
from codemem.benchmarks.shapes import SHAPES, place
from codemem.kernels.serving import refusals
from codemem.model.msa4b import Conversation, Msa4bMemory, Msa4bModel, load_msa4b
from codemem.model.weights.kept import WEIGHTS, Weights

QUESTIONS = (
    "Which function chooses the tile sizes of a matrix product?",
    "Where is a gradient clipped?",
    "How does a module register a buffer, and what is saved of it?",
    "What happens when two shapes cannot be broadcast?",
)
WRITTEN = 24
"""Tokens written behind the last question and timed, after as many for compiling and recording."""


class _Answers:
    """What one kind of weights made of the questions."""

    def __init__(self) -> None:
        self.logits: list[Tensor] = []
        self.chosen: list[list[set[int]]] = []
        """By question and routed layer."""


def run(folder: Path, sources: Path, *, tokens: int, device: str, shape: str, within: float | None) -> dict[str, Any]:
    on, dtype = place(device)
    checkpoint_at(folder, SHAPES[shape], device=on)
    if within is not None and on.type == "cuda":
        total = torch.cuda.get_device_properties(on).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, within * 1e9 / total), on.index or 0)
    first: _Answers | None = None
    compared: Weights = "bf16"
    rows = []
    for weights in WEIGHTS:
        try:
            row, answers = _kind(folder, sources, tokens, on, dtype=dtype, weights=weights)
        except torch.OutOfMemoryError:
            rows.append({"weights": weights, "failed": f"more than {within} GB of GPU memory"})
            continue
        finally:
            gc.collect()
            if on.type == "cuda":
                torch.cuda.empty_cache()
        if first is None:
            first, compared = answers, weights
        else:
            row |= {"compared_with": compared} | _changes(answers, first)
        rows.append(row)
        print(row, file=sys.stderr, flush=True)
    return {
        "bench": "narrow",
        "machine": measure.machine(on),
        "shape": shape,
        "within_gb": within,
        "questions": len(QUESTIONS),
        "rows": rows,
        "refused_kernels": refusals(),
    }


def _kind(
    folder: Path, sources: Path, tokens: int, on: torch.device, *, dtype: torch.dtype, weights: Weights
) -> tuple[dict[str, Any], _Answers]:
    if on.type == "cuda":
        torch.cuda.reset_peak_memory_stats(on)
    started = time.perf_counter()
    model = load_msa4b(folder, device=on, dtype=dtype, weights=weights)
    measure.synchronise(on)
    row: dict[str, Any] = {"weights": weights, "load_seconds": time.perf_counter() - started}
    if on.type == "cuda":
        row["loaded_device_bytes"] = torch.cuda.memory_allocated(on)
        row["load_peak_device_bytes"] = torch.cuda.max_memory_allocated(on)
    memory = Msa4bMemory.of(model)
    row |= _read(model, memory, sources, tokens)
    answers = _Answers()
    row |= _ask(model, memory, answers)
    if on.type == "cuda":
        row["peak_device_bytes"] = torch.cuda.max_memory_allocated(on)
    return row, answers


def _read(model: Msa4bModel, memory: Msa4bMemory, sources: Path, tokens: int) -> dict[str, Any]:
    """Reads documents up to so many tokens. The first ones, which wait for kernels to be compiled, are not timed."""
    every = documents(sources)
    memory.add(model, list(islice(every, 8)))
    first = held = sum(len(document.ids) for document in memory.documents)
    measure.synchronise(model.device)
    started = time.perf_counter()
    while held < tokens and (batch := list(islice(every, 64))):
        before = len(memory)
        memory.add(model, batch)
        held += sum(len(document.ids) for document in memory.documents[before:])
    measure.synchronise(model.device)
    seconds = time.perf_counter() - started
    return {"documents": len(memory), "tokens": held, "encode_tokens_a_second": (held - first) / seconds}


def _ask(model: Msa4bModel, memory: Msa4bMemory, answers: _Answers) -> dict[str, Any]:
    to_first: list[float] = []
    for question in QUESTIONS:
        for _ in range(2):  # lengths that are new may cost once
            measure.synchronise(model.device)
            started = time.perf_counter()
            conversation = Conversation(model, memory)
            logits = conversation.logits(conversation.feed(model.protocol.question(question)))
            token = int(logits.argmax())
            took = 1000 * (time.perf_counter() - started)
        to_first.append(took)
        answers.logits.append(logits.float().cpu())
        routes = sorted(conversation.routes.items())
        answers.chosen.append([set(route.documents.tolist()) for _, route in routes])
    times = []
    for _ in range(2 * WRITTEN):
        started = time.perf_counter()
        token = int(conversation.follow(token).argmax())
        times.append(1000 * (time.perf_counter() - started))
    took = statistics.median(times[WRITTEN:])
    return {"prompt_to_first_token_ms": statistics.median(to_first), "ms_a_token": took, "tokens_a_second": 1e3 / took}


def _changes(found: _Answers, first: _Answers) -> dict[str, Any]:
    overlaps = [
        [len(one & other) / max(1, len(other)) for one, other in zip(*pair, strict=True)]
        for pair in zip(found.chosen, first.chosen, strict=True)
    ]
    by_layer = [statistics.fmean(layer) for layer in zip(*overlaps, strict=True)]
    pairs = list(zip(found.logits, first.logits, strict=True))
    errors = [float((one - other).square().mean().sqrt() / other.square().mean().sqrt()) for one, other in pairs]
    return {
        "top_k_overlap": statistics.fmean(by_layer),
        "top_k_overlap_by_layer": [round(overlap, 3) for overlap in by_layer],
        "logits_relative_error": statistics.fmean(errors),
        "logits_correlation": statistics.fmean(float(torch.corrcoef(torch.stack(pair))[0, 1]) for pair in pairs),
        "same_first_token": statistics.fmean(float(one.argmax() == other.argmax()) for one, other in pairs),
    }


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("sources", type=Path)
    parser.add_argument("--tokens", type=int, default=400_000)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--shape", default="4b", choices=SHAPES)
    parser.add_argument("--within", type=float, help="GB of GPU memory that may be taken")
    o = parser.parse_args(arguments)
    print(json.dumps(run(o.folder, o.sources, tokens=o.tokens, device=o.device, shape=o.shape, within=o.within)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
