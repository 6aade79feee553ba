"""What only the real weights can tell: which ranking rule and which kind of further round answer better, and how fast.

Facts are planted in a small memory and asked for under every rule. Random weights run through it all the same, and
decide nothing.
"""

import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from codemem.model.events import Answer, Round
from codemem.model.load import decoder_layout, router_layout
from codemem.model.msa4b.checkpoint import Msa4bModel
from codemem.model.msa4b.config import Ranking
from codemem.model.msa4b.facts import Fact, plant
from codemem.model.msa4b.interleave import Interleave, Limits, RoundMode
from codemem.model.msa4b.memory import LayerEntries, Msa4bMemory
from codemem.model.msa4b.ranking import with_ranking
from codemem.model.msa4b.slot import Slot
from codemem.model.msa4b.storage import load_memory, save_memory

RULES: tuple[Ranking, ...] = ("cosine", "scaled")
_LIMITS = Limits(rounds=2, retrieval_tokens=96, source_tokens=2048, answer_tokens=48)
OPENING_TOKENS = 24


@dataclass(frozen=True, slots=True)
class Trial:
    """How the facts were answered under one rule and kind of round. Shares are of the facts asked."""

    ranking: Ranking
    rounds: RoundMode
    answered: float
    """The value stands in the answer."""
    named: float
    """The model itself named the fact's document."""
    read: float
    """It was read, whoever named it."""
    first: float
    """It ranks first by the sum over the routed layers."""
    mean_reciprocal_rank: float
    layers_routed: float
    """Share of routed layers whose top k holds it in the first round."""
    route_ms: float
    """Medians over the facts, as the next two."""
    first_token_ms: float
    tokens_per_second: float

    @property
    def order(self) -> tuple[float, ...]:
        """What decides between rules, the most important first."""
        return self.answered, self.named, self.mean_reciprocal_rank, self.layers_routed


def check(
    model: Msa4bModel,
    *,
    facts: int = 12,
    documents: int = 64,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Runs everything; the report as plain data, for `as_text`. `better` is the rule that won, None if none did.

    `documents` facts are planted and the first `facts` of them asked for. Raises `ValueError` for sizes that make no
    sense.
    """
    if not 1 <= facts <= documents:
        raise ValueError(f"{facts} facts cannot be asked for in {documents} documents")
    planted = plant(documents, seed=seed)
    progress(f"encoding {documents} documents")
    memory, encoding = _encode(model, planted)
    reloads = _reloads(memory, model)
    trials = []
    for rule in RULES:
        progress(f"asking {facts} questions, ranked by {rule}")
        trials.append(_trial(with_ranking(model, rule), memory, planted[:facts], "extend"))
    better = _better(trials)
    progress("asking again with rounds that repeat the transcript")
    replayed: Ranking = better or ("cosine" if model.config.memory.cosine else "scaled")
    trials.append(_trial(with_ranking(model, replayed), memory, planted[:facts], "replay"))
    return {
        "better": better,
        "in_force": "cosine" if model.config.memory.cosine else "scaled",
        "trials": [asdict(trial) for trial in trials],
        "facts": facts,
        "documents": documents,
        "encoding": encoding,
        "reloads": reloads,
        "opening": _opening(with_ranking(model, replayed), memory, planted[0]),
        "checkpoint": about(model),
        "machine": _machine(model.device),
    }


def about(model: Msa4bModel) -> dict[str, Any]:
    """What the files say where the protocol's description left it open."""
    config, protocol = model.config, model.protocol
    layout = decoder_layout(config.decoder) | router_layout(config.decoder, config.memory.routed_layers)
    return {
        "fingerprint": model.checkpoint,
        "weights": model.weights,
        "aux_loss_method": config.aux_loss_method,
        "layers": config.decoder.layers,
        "routed_layers": list(config.memory.routed_layers),
        "top_k": config.memory.top_k,
        "chunk_tokens": config.memory.chunk_tokens,
        "tied": config.decoder.tied,
        "parameters": sum(torch.Size(part.shape).numel() for parts in layout.values() for part in parts),
        "dtype": str(model.dtype).removeprefix("torch."),
        "end_of_retrieve_is_a_token": protocol.retrieval_end is not None,
        "stop_tokens": sorted(protocol.stop),
    }


def _encode(model: Msa4bModel, planted: Sequence[Fact]) -> tuple[Msa4bMemory, dict[str, Any]]:
    memory = Msa4bMemory.of(model)
    started = time.perf_counter()
    memory.add(model, [(fact.header, fact.text) for fact in planted])
    if model.device.type == "cuda":
        torch.cuda.synchronize()
    seconds = time.perf_counter() - started
    tokens = sum(len(document.ids) for document in memory.documents)
    return memory, {
        "tokens": tokens,
        "chunks": memory.chunks,
        "bytes": memory.nbytes,
        "seconds": round(seconds, 3),
        "tokens_per_second": round(tokens / seconds, 1),
    }


def _reloads(memory: Msa4bMemory, model: Msa4bModel) -> bool:
    """Whether a saved memory comes back bit for bit."""
    with tempfile.TemporaryDirectory() as folder:
        save_memory(memory, Path(folder) / "memory")
        again = load_memory(model, Path(folder) / "memory")
    pairs = ((memory.layer(layer), again.layer(layer)) for layer in model.config.memory.routed_layers)
    return all(_equal(one, other) for one, other in pairs)


def _equal(one: LayerEntries, other: LayerEntries) -> bool:
    return all(torch.equal(tensor, other.tensors()[name]) for name, tensor in one.tensors().items())


def _trial(model: Msa4bModel, memory: Msa4bMemory, asked: Sequence[Fact], rounds: RoundMode) -> Trial:
    # As the engine asks, so that the times are those of `ask`.
    slot = Slot(model) if model.device.type == "cuda" else None
    asker = Interleave(model, _under(model, memory), limits=_LIMITS, rounds=rounds, slot=slot)
    rows = [_ask(asker, number, fact) for number, fact in enumerate(asked)]
    means = {name: statistics.fmean(row[name] for row in rows) for name in _MEANS}
    medians = {name: round(statistics.median(row[name] for row in rows), 2) for name in _MEDIANS}
    return Trial(
        ranking="cosine" if model.config.memory.cosine else "scaled",
        rounds=rounds,
        **{name: round(value, 4) for name, value in means.items()},
        **medians,
    )


_MEANS = ("answered", "named", "read", "first", "mean_reciprocal_rank", "layers_routed")
_MEDIANS = ("route_ms", "first_token_ms", "tokens_per_second")


def _ask(asker: Interleave, gold: int, fact: Fact) -> dict[str, float]:
    scores = asker.rank(fact.question).scores
    rank = 1 + int(np.sum(scores > scores[gold]))
    events = list(asker.answer(fact.question))
    rounds = [event for event in events if isinstance(event, Round)]
    answer = events[-1]
    assert isinstance(answer, Answer), "a conversation ends with an answer"
    chosen = rounds[0].layers if rounds else []
    return {
        "answered": float(fact.value in answer.text),
        "named": float(any(r.by_model and gold in r.named for r in rounds)),
        "read": float(any(read.document == gold for read in answer.read)),
        "first": float(rank == 1),
        "mean_reciprocal_rank": 1 / rank,
        "layers_routed": statistics.fmean(float(gold in layer.documents) for layer in chosen) if chosen else 0.0,
        "route_ms": answer.route_ms,
        "first_token_ms": answer.first_token_ms,
        "tokens_per_second": answer.tokens_per_second,
    }


def _under(model: Msa4bModel, memory: Msa4bMemory) -> Msa4bMemory:
    """The memory as this model ranks it."""
    cosine = model.config.memory.cosine
    if cosine == memory.config.memory.cosine:
        return memory
    other = Msa4bMemory.of(model)
    other.restore_documents(memory.documents, memory.next_number)
    for layer in model.config.memory.routed_layers:
        other.restore_layer(layer, memory.layer(layer).reranked(cosine=cosine))
    return other


def _better(trials: Sequence[Trial]) -> Ranking | None:
    """None where the rules answer alike, or where nothing was answered or named: chance would decide."""
    one, other = trials
    if one.order == other.order or max(one.answered, other.answered, one.named, other.named) == 0:
        return None
    return max(trials, key=lambda trial: trial.order).ranking


def _opening(model: Msa4bModel, memory: Msa4bMemory, fact: Fact) -> str:
    """The first words that the model writes: how its output begins was only reported, never seen here."""
    conversation = Interleave(model, _under(model, memory)).open()
    hidden = conversation.feed(model.protocol.question(fact.question))
    ids: list[int] = []
    while len(ids) < OPENING_TOKENS:
        ids.append(int(conversation.logits(hidden).argmax()))
        if ids[-1] in model.protocol.stop:
            break
        hidden = conversation.feed_silent(ids[-1:])
    return b"".join(model.protocol.tokenizer.token_bytes(i) for i in ids).decode("utf-8", "replace")


def _machine(device: torch.device) -> dict[str, Any]:
    gpu = device.type == "cuda"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {
        "device": torch.cuda.get_device_name(device) if gpu else platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "peak_host_bytes": peak,
        "peak_device_bytes": torch.cuda.max_memory_allocated(device) if gpu else None,
    }


def as_text(report: dict[str, Any]) -> str:
    """The report as Markdown, to paste."""
    checkpoint, machine, encoding = report["checkpoint"], report["machine"], report["encoding"]
    decided = f"**{report['better']}** answers better and is used from now on"
    lines = [
        f"## MSA-4B check: {report['facts']} facts among {report['documents']} documents",
        "",
        decided if report["better"] else f"undecided: the rule in force stays **{report['in_force']}**",
        "",
        "| ranking | rounds | answered | named | read | first | MRR | layers | route ms | first token ms | tokens/s |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        *(_row(trial) for trial in report["trials"]),
        "",
        f"The model begins: `{report['opening']!r}`",
        f"Saved and reloaded bit for bit: {report['reloads']}",
        f"Encoding: {encoding['tokens_per_second']} tokens/s ({encoding['tokens']} tokens, {encoding['bytes']} bytes)",
        *(f"{name}: {value}" for name, value in checkpoint.items()),
        *(f"{name}: {value}" for name, value in machine.items() if value is not None),
    ]
    return "\n".join(lines)


def _row(trial: dict[str, Any]) -> str:
    shares = ("answered", "named", "read", "first", "mean_reciprocal_rank", "layers_routed")
    times = ("route_ms", "first_token_ms", "tokens_per_second")
    cells = [trial["ranking"], trial["rounds"], *(f"{trial[n]:.2f}" for n in shares), *(f"{trial[n]:g}" for n in times)]
    return f"| {' | '.join(cells)} |"
