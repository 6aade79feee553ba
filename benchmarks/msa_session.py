"""An MSA checkpoint at its true size, from loading to the second answer: load, read a repository, save, reload, ask.

    python -m codemem.benchmarks.msa_session FOLDER SOURCES --tokens 1000000

FOLDER holds the checkpoint (a random one of the 4B shape is written if it does not exist), SOURCES Python files. Prints
one JSON object. Needs neither git nor grammars: files are cut into runs of lines.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from codemem.benchmarks import measure
from codemem.benchmarks.random_checkpoint import checkpoint_at
from codemem.benchmarks.shapes import SHAPES, place
from codemem.kernels.serving import refusals
from codemem.model.events import Answer, Round
from codemem.model.msa4b import Interleave, Limits, Msa4bMemory, Msa4bModel, Slot, load_memory, load_msa4b, save_memory
from codemem.model.msa4b.bank import bf16_bits
from codemem.model.msa4b.ranking import with_ranking
from codemem.model.msa4b.tokens import Prompt

LINES_A_DOCUMENT = 60
QUESTION = "Which function chooses the tile sizes of a matrix product?"
FURTHER = "def tile(m, n, k):\n    return m * n * k\n" * 16
"""What a further round reads."""
SECOND_ROUNDS = 4
"""Timed, the first apart."""


def documents(sources: Path) -> Iterator[tuple[str, str]]:
    """Header and text of runs of lines."""
    for path in sorted(sources.rglob("*.py")):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
        for start in range(0, len(lines), LINES_A_DOCUMENT):
            yield f"{path.relative_to(sources).as_posix()}\n", "".join(lines[start : start + LINES_A_DOCUMENT])


def run(folder: Path, sources: Path, *, tokens: int, device: str, shape: str, tokenizer: Path | None) -> dict[str, Any]:
    on, dtype = place(device)
    report: dict[str, Any] = {"bench": "msa_session", "machine": measure.machine(on), "shape": shape}
    seconds, size = _timed(lambda: checkpoint_at(folder, SHAPES[shape], device=on, tokenizer=tokenizer), on)
    if size is not None:
        report |= {"write_seconds": seconds, "checkpoint_bytes": size}
    torch.zeros(1, device=on)  # what a GPU's libraries take is not the checkpoint's
    before = measure.peaks(on)["peak_host_bytes"]
    report["load_seconds"], model = _timed(lambda: load_msa4b(folder, device=on, dtype=dtype), on)
    report["loaded_peak_host_bytes"] = measure.peaks(on)["peak_host_bytes"]
    report["load_host_bytes"] = report["loaded_peak_host_bytes"] - before
    memory = Msa4bMemory.of(model)
    report["encode"] = _read(model, memory, sources, tokens)
    with tempfile.TemporaryDirectory() as place_:
        saved = Path(place_) / "memory"
        report["save_seconds"], _ = _timed(lambda: save_memory(memory, saved), on)
        report["memory_bytes"] = sum(file.stat().st_size for file in saved.iterdir())
        report["reload_seconds"], again = _timed(lambda: load_memory(model, saved), on)
    report["reloaded_equal"] = _equal(memory, again)
    report["asked"] = [_ask(model, again, rule, mode) for rule in ("scaled", "cosine") for mode in ("extend", "replay")]
    return report | measure.peaks(on)


def _read(model: Msa4bModel, memory: Msa4bMemory, sources: Path, tokens: int) -> dict[str, Any]:
    """Encodes until the memory holds so many tokens. Told apart: the first documents, which wait for kernels to be
    compiled and libraries to start; and what tokenising takes."""
    started, held, batch = time.perf_counter(), 0, []
    first_seconds, first_tokens = 0.0, 0
    for document in documents(sources):
        batch.append(document)
        if len(batch) == (256 if first_tokens else 16):
            held += _add(model, memory, batch)
            batch = []
            if not first_tokens:
                measure.synchronise(model.device)
                first_seconds, first_tokens = time.perf_counter() - started, held
            if held >= tokens:
                break
    held += _add(model, memory, batch)
    measure.synchronise(model.device)
    seconds = time.perf_counter() - started
    return {
        "documents": len(memory),
        "tokens": held,
        "chunks": memory.chunks,
        "seconds": seconds,
        "tokens_a_second": held / seconds,
        "first_documents_seconds": first_seconds,
        "tokens_a_second_after_the_first": (held - first_tokens) / (seconds - first_seconds),
        "tokenise_seconds": _tokenising(model, sources, len(memory)),
        "refused_kernels": refusals(),
    }


def _tokenising(model: Msa4bModel, sources: Path, count: int) -> float:
    """Seconds that tokenising the same documents takes alone."""
    numbered = [(number, *document) for number, document in enumerate(islice(documents(sources), count))]
    started = time.perf_counter()
    model.protocol.documents(numbered)
    return time.perf_counter() - started


def _add(model: Msa4bModel, memory: Msa4bMemory, batch: Sequence[tuple[str, str]]) -> int:
    before = len(memory)
    memory.add(model, batch)
    return sum(len(document.ids) for document in memory.documents[before:])


def _ask(model: Msa4bModel, memory: Msa4bMemory, rule: Any, mode: Any) -> dict[str, Any]:
    ranked = with_ranking(model, rule)
    if ranked.config.memory.cosine != memory.config.memory.cosine:
        other = Msa4bMemory.of(ranked)
        other.restore_documents(memory.documents, memory.next_number)
        for layer in model.config.memory.routed_layers:
            other.restore_layer(layer, memory.layer(layer).reranked(cosine=ranked.config.memory.cosine))
        memory = other
    limits = Limits(rounds=2, retrieval_tokens=32, answer_tokens=48)
    asker = Interleave(ranked, memory, limits=limits, rounds=mode, slot=Slot(ranked))
    seconds: list[float] = []
    for _ in range(2):  # the first run compiles kernels
        started = time.perf_counter()
        events = list(asker.answer(QUESTION))
        measure.synchronise(model.device)
        seconds.append(time.perf_counter() - started)
    answer = events[-1]
    assert isinstance(answer, Answer)
    rounds = [event for event in events if isinstance(event, Round)]
    prompt = model.protocol.question(QUESTION)

    def first() -> None:
        conversation = asker.open()
        int(conversation.logits(conversation.feed(prompt)).argmax())
        conversation.close()

    return {
        "ranking": rule,
        "rounds_fed": mode,
        "rounds": len(rounds),
        "documents_a_layer": sorted({len(layer.documents) for r in rounds for layer in r.layers}),
        "seconds": seconds,
        "route_ms": answer.route_ms,
        "prompt_to_first_token_ms": measure.milliseconds(first, model.device, 5),
        **_second_round(asker, model),
        "tokens": answer.tokens,
        "tokens_a_second": answer.tokens_per_second,
    }


def _second_round(asker: Interleave, model: Msa4bModel) -> dict[str, float]:
    """Milliseconds of feeding a further round's documents (random weights name none by themselves), with what its kind
    feeds again; always the second round: what comes before it is made anew, untimed. The first time has its own."""
    prompt = model.protocol.question(QUESTION)
    source = model.protocol.tokenizer.encode_text(FURTHER)
    appended = Prompt(source, [True] * len(source))
    taken = []
    for _ in range(SECOND_ROUNDS):
        conversation = asker.open()
        fed = prompt + appended
        if asker.rounds == "extend":
            conversation.feed(prompt)
            conversation.keep_queries(prompt, model.protocol.question_again(QUESTION).routing)
            fed = appended
        measure.synchronise(model.device)
        started = time.perf_counter()
        int(conversation.logits(conversation.feed(fed)).argmax())
        taken.append(1000 * (time.perf_counter() - started))
        conversation.close()
    return {"second_round_first_ms": taken[0], "second_round_ms": statistics.median(taken[1:])}


def _equal(one: Msa4bMemory, other: Msa4bMemory) -> bool:
    layers = one.config.memory.routed_layers
    return all(
        (bf16_bits(one.layer(layer).k) == bf16_bits(other.layer(layer).k)).all()
        and torch.equal(one.layer(layer).route, other.layer(layer).route)
        for layer in (layers[0], layers[-1])
    )


def _timed(work: Callable[[], Any], device: torch.device) -> tuple[float, Any]:
    started = time.perf_counter()
    found = work()
    measure.synchronise(device)
    return time.perf_counter() - started, found


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("sources", type=Path)
    parser.add_argument("--tokens", type=int, default=1_000_000)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--shape", default="4b", choices=SHAPES)
    parser.add_argument("--tokenizer", type=Path)
    o = parser.parse_args(arguments)
    report = run(o.folder, o.sources, tokens=o.tokens, device=o.device, shape=o.shape, tokenizer=o.tokenizer)
    print(json.dumps(report))


if __name__ == "__main__":
    main(sys.argv[1:])
