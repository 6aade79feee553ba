"""From a question to the first token, and of a further round's, over a memory of MSA-4B's shape: passes launched one by
one in buffers of their own, the same in buffers that stay, and passes of fixed shapes that a GPU replays.

Weights and entries are random and made where they run. Times are wall-clock medians, the first written token chosen.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from codemem.benchmarks import measure
from codemem.benchmarks.random_checkpoint import write_texts
from codemem.benchmarks.shapes import SHAPES, Shape, place, random_model
from codemem.benchmarks.timeline import operations, timeline
from codemem.kernels.serving import refusals
from codemem.model.msa4b import Conversation, Msa4bConfig, Msa4bMemory, Msa4bModel, Slot
from codemem.model.msa4b.bank import Msa4bBank
from codemem.model.msa4b.clock import RoutingClock
from codemem.model.msa4b.memory import LayerEntries
from codemem.model.msa4b.tokens import NumberedDocument, Prompt, Protocol
from codemem.model.store import LoadedEntries
from codemem.model.tiers import Budget
from codemem.model.tokenizer import Tokenizer

CHUNKS_A_DOCUMENT = (4, 64)
"""From, up to: as runs of 60 lines have them, a token a byte."""
MUCH_THE_SAME = 0.7
"""Share of the lowest routed layer's documents that all ways choose: those above it differ for its reasons too."""
WRITTEN = 16
"""Tokens between two rounds."""


@dataclass(frozen=True, slots=True)
class Options:
    device: str = "auto"
    shape: str = "4b"
    tokens: int = 1_000_000
    """Of the memory."""
    prompts: Sequence[int] = (64, 256, 830)
    appended: Sequence[int] = (64, 256, 830)
    """A second round's new text, behind the longest prompt."""
    repeats: int = 9
    seconds: float = 75
    """Rows that have not begun by then are left out."""
    ways: Sequence[str] = ("own buffers", "kept buffers", "buckets")
    """Those left out are switched off; the others are compared with the first."""
    banks: bool = True
    """Also ask entries of a store, rows on the device and pinned in host memory."""


class Way:
    """How conversations are held."""

    def __init__(self, name: str, model: Msa4bModel, slot: Slot | None) -> None:
        self.name, self.model, self.slot = name, model, slot
        self._template = Conversation(model, None).template()

    def open(self, memory: Msa4bMemory) -> Conversation:
        return Conversation(self.model, RoutingClock(memory), template=self._template, slot=self.slot)


def ways(model: Msa4bModel) -> list[Way]:
    """In the order of measuring. On a processor what would be recorded is launched."""
    return [
        Way("own buffers", model, None),
        Way("kept buffers", model, Slot(model, buckets=False)),
        Way("buckets", model, Slot(model, buckets=True)),
    ]


def run(options: Options, *, progress: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    deadline = time.monotonic() + options.seconds
    device, dtype = place(options.device)
    model = _model(SHAPES[options.shape], device, dtype)
    memory = _memory(model, options.tokens)
    listed = [way for way in ways(model) if way.name in options.ways]
    if len(listed) < len(options.ways) or not listed:
        raise ValueError(f"ways are {', '.join(way.name for way in ways(model))}, not {', '.join(options.ways)}")
    report: dict[str, Any] = {
        "bench": "first_token",
        "shape": options.shape,
        "machine": measure.machine(device),
        "memory": {"documents": len(memory), "chunks": memory.chunks, "bytes": memory.nbytes},
    }
    left_out: list[str] = []

    def section(name: str, work: Callable[[], Any]) -> None:
        if time.monotonic() > deadline:
            left_out.append(name)
            return
        progress(name)
        report[name] = work()

    section("first_tokens", lambda: [_first(listed, memory, n, options) for n in options.prompts])
    middle = options.prompts[len(options.prompts) // 2]
    profiled = (listed[0], listed[-1])
    section("timelines", lambda: {w.name: timeline(_asking(w, memory, middle), device) for w in profiled})
    section("second_rounds", lambda: [_second(listed, memory, options, n) for n in options.appended])
    section("written", lambda: [_written(way, memory, options) for way in listed])
    section("operations", lambda: operations(_asking(listed[0], memory, middle)))
    if options.banks:
        section("banks", lambda: [_of_bank(listed, memory, middle, options, tier) for tier in ("device", "host")])
    slot = listed[-1].slot
    report["recording"] = _recording(slot) if slot else {}
    report |= {"left_out": left_out, "refused_kernels": refusals()} | measure.peaks(device)
    first = report.get("first_tokens", [])
    # A bank whose rows are out of reach of a recording is asked as without: right, and not what is measured here.
    reached = all(row["takes_rows"] for row in report.get("banks", []))
    return report | {"ok": bool(first) and all(row["agrees"] for row in first) and reached}


def prompt(tokens: int, seed: int) -> Prompt:
    """Random bytes, all of which route but the last four, as a question's turn ends."""
    ids = np.random.default_rng(seed).integers(0, 256, tokens).tolist()
    return Prompt(ids, [True] * max(1, tokens - 4) + [False] * min(4, tokens - 1))


def _asking(way: Way, memory: Msa4bMemory, tokens: int) -> Callable[[], Tensor]:
    """A question from the opening of its conversation to its first token; what comes before this is chosen from."""
    fed = prompt(tokens, tokens)

    def work() -> Tensor:
        conversation = way.open(memory)
        logits = conversation.logits(conversation.feed(fed))
        int(logits.argmax())
        conversation.close()
        return logits

    return work


def _first(listed: Sequence[Way], memory: Msa4bMemory, tokens: int, options: Options) -> dict[str, Any]:
    row: dict[str, Any] = {"prompt_tokens": tokens}
    logits = []
    for way in listed:
        name = way.name.replace(" ", "_")
        work = _asking(way, memory, tokens)
        times = [_milliseconds(work, memory.device) for _ in range(3 + options.repeats)]
        row[f"{name}_first_ms"], row[f"{name}_second_ms"] = times[:2]  # compiles; records
        row[f"{name}_ms"] = statistics.median(times[3:])
        row[f"{name}_find_ms"] = statistics.median(
            [_milliseconds(_finding(way, memory, tokens), memory.device) for _ in range(3 + options.repeats)][3:]
        )
        logits.append(work().float().cpu())
        conversation = way.open(memory)
        conversation.feed(prompt(tokens, tokens))
        bank = conversation.context.bank
        row[f"{name}_route_ms"] = bank.milliseconds if isinstance(bank, RoutingClock) else None
        row[f"{name}_documents"] = _chosen(conversation)
        conversation.close()
    return row | _agreement(row, listed, logits)


def _finding(way: Way, memory: Msa4bMemory, tokens: int) -> Callable[[], None]:
    """The queries of every layer, as `find` needs them."""
    layers = way.model.config.memory.routed_layers
    fed = prompt(tokens, tokens)

    def work() -> None:
        conversation = way.open(memory)
        conversation.feed(fed, layers=layers[-1] + 1)
        float(conversation.context.queries[layers[-1]][-1, 0])
        conversation.close()

    return work


def _chosen(conversation: Conversation) -> list[set[int]]:
    return [set(route.documents.tolist()) for _, route in sorted(conversation.routes.items())]


def _agreement(row: dict[str, Any], listed: Sequence[Way], logits: Sequence[Tensor]) -> dict[str, Any]:
    """How far the ways agree with the first one. With random weights a rounding moves documents at the edge, so what is
    asked for is that they choose much the same."""
    chosen = [row.pop(f"{way.name.replace(' ', '_')}_documents") for way in listed]
    lowest, every = [], []
    for other in chosen[1:]:
        overlaps = [len(a & b) / max(1, len(a)) for a, b in zip(chosen[0], other, strict=True)]
        lowest.append(overlaps[0])
        every.append(statistics.fmean(overlaps))
    errors = [float((x - logits[0]).norm() / logits[0].norm()) for x in logits[1:]]
    return {
        "logits_relative_error": errors,
        "same_documents": every,
        "same_documents_lowest_layer": lowest,
        "agrees": min(lowest, default=1.0) > MUCH_THE_SAME and all(bool(torch.isfinite(x).all()) for x in logits),
    }


def _second(listed: Sequence[Way], memory: Msa4bMemory, options: Options, tokens: int) -> dict[str, Any]:
    """A further round's first token: of its new text behind a question, and of both fed again."""
    before = max(options.prompts)
    question, new = prompt(before, 1), prompt(tokens, 2)
    row: dict[str, Any] = {"appended_tokens": tokens, "behind": before + WRITTEN}
    for way in listed:
        for name, extends in (("new text", True), ("all again", False)):
            times = []
            for _ in range(4 + options.repeats // 3):
                conversation = way.open(memory)
                fed = new if extends else question + Prompt.silent([7] * WRITTEN) + new
                if extends:
                    conversation.feed(question)
                    conversation.keep_queries(question, question.routing)
                    for _ in range(WRITTEN):
                        conversation.follow(7)

                def work(conversation: Conversation = conversation, fed: Prompt = fed) -> None:
                    int(conversation.logits(conversation.feed(fed)).argmax())

                times.append(_milliseconds(work, memory.device))
                conversation.close()
            row[f"{way.name}, {name}"] = statistics.median(times[3:])
    return row


def _written(way: Way, memory: Msa4bMemory, options: Options) -> dict[str, Any]:
    """The first written tokens of a conversation: buffers of its own have to be recorded anew."""
    first, second = [], []
    for _ in range(4):
        conversation = way.open(memory)
        conversation.feed(prompt(options.prompts[0], 3))

        def work(conversation: Conversation = conversation) -> None:
            int(conversation.follow(7).argmax())

        first.append(_milliseconds(work, memory.device))
        second.append(_milliseconds(work, memory.device))
        conversation.close()
    return {"way": way.name, "first_ms": statistics.median(first[1:]), "second_ms": statistics.median(second[1:])}


def _of_bank(listed: Sequence[Way], memory: Msa4bMemory, tokens: int, options: Options, tier: str) -> dict[str, Any]:
    """The same memory as a store's entries, as the commands ask it."""
    budget = Budget() if tier == "device" else Budget(device_bytes=_key_bytes(memory))
    bank = Msa4bBank.from_entries(listed[0].model, _entries(memory), range(len(memory)), budget)
    row: dict[str, Any] = {"tier": tier, "prompt_tokens": tokens, "takes_rows": bank.takes_rows}
    row["placed"] = bank.placement.words()
    for way in listed:
        work = _asking(way, bank, tokens)
        times = [_milliseconds(work, memory.device) for _ in range(3 + options.repeats)]
        row[f"{way.name.replace(' ', '_')}_ms"] = statistics.median(times[3:])
    return row


def _recording(slot: Slot) -> dict[str, Any]:
    passes = slot.passes
    if passes is None:
        return {}
    return {
        "replayed": passes.replayed,
        "refused": passes.refused,
        "graph_bytes": passes.graph_bytes,
        "bytes_besides_caches": passes.nbytes,
        "slot_bytes": slot.nbytes,
    }


def _milliseconds(work: Callable[[], object], device: torch.device) -> float:
    measure.synchronise(device)
    started = time.perf_counter()
    work()
    measure.synchronise(device)
    return 1000 * (time.perf_counter() - started)


def _model(shape: Shape, device: torch.device, dtype: torch.dtype) -> Msa4bModel:
    decoder, routers = random_model(shape, device, dtype)
    with tempfile.TemporaryDirectory() as folder:
        write_texts(Path(folder), shape)
        tokenizer = Tokenizer.from_folder(Path(folder))
    config = Msa4bConfig(shape.decoder, shape.memory, "INFONCE")
    protocol = Protocol(tokenizer, shape.memory.chunk_tokens)
    return Msa4bModel(config, decoder, routers, protocol, device, dtype, "random", "random")


def _memory(model: Msa4bModel, tokens: int) -> Msa4bMemory:
    shape, memory = model.config.decoder, Msa4bMemory.of(model)
    generator = torch.Generator(model.device).manual_seed(0)
    counts: list[int] = []
    lengths = np.random.default_rng(0)
    while sum(counts) * model.config.memory.chunk_tokens < tokens or len(counts) < model.config.memory.top_k + 1:
        counts.append(int(lengths.integers(*CHUNKS_A_DOCUMENT)))
    nothing = np.zeros(0, np.uint32)
    memory.restore_documents(
        [NumberedDocument(i, nothing, np.zeros(count, np.uint32)) for i, count in enumerate(counts)], len(counts)
    )
    size = (sum(counts), shape.kv_heads, shape.head_dim)
    for layer in model.config.memory.routed_layers:
        keys, k, v = (torch.randn(size, device=model.device, dtype=model.dtype, generator=generator) for _ in range(3))
        norms = keys.float().norm(dim=-1)
        route = (keys.float() / norms[..., None]).flatten(1).to(model.dtype)
        memory.restore_layer(layer, LayerEntries(route, norms, k, v))
    return memory


def _entries(memory: Msa4bMemory) -> LoadedEntries:
    """As a store would load them."""
    tensors = {}
    for layer in memory.config.memory.routed_layers:
        entries = memory.layer(layer)
        for part, x in (("route", entries.route), ("k", entries.k), ("v", entries.v)):
            bits = x.flatten(1).to(torch.bfloat16).contiguous().view(torch.uint16)
            tensors[f"{part}.{layer}"] = bits.cpu().numpy()
    chunk_ends = np.concatenate([document.chunk_ends for document in memory.documents])
    keys = tuple(str(i).encode() for i in range(len(memory)))
    tokens = np.ones(len(memory), np.uint32)
    return LoadedEntries(keys, memory.host_offsets, tokens, chunk_ends, tensors, (), (), mapped=False)


def _key_bytes(memory: Msa4bMemory) -> int:
    """Of all routing keys, and nothing else."""
    return sum(memory.layer(layer).route.nbytes for layer in memory.config.memory.routed_layers)


def as_text(result: dict[str, Any]) -> str:
    head = f"first tokens, {result['shape']} shape, {result['machine']}"
    tables = [
        measure.table(result[name]) for name in ("first_tokens", "second_rounds", "written", "banks") if name in result
    ]
    return "\n\n".join((head, *tables))
