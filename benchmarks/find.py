"""A question over a memory of a given size: to its ranking (`find`), and to the first token of an answer (`ask`).

Routing keys are random, int8 as our banks keep them, on the device. Keys and values lie in the tier asked for: a few
thousand rows taken again and again, or with `rows="whole"` as many as the memory has, every layer its own.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from codemem.benchmarks import measure
from codemem.benchmarks.shapes import SHAPES, Shape, place, random_model
from codemem.kernels.route import RoutingKeys, route, score_chunks
from codemem.kernels.route.cpu import maximum_per_document
from codemem.kernels.serving import refusals
from codemem.model.decoder import Decoder
from codemem.model.memory import LayerRoute, QuestionContext, TextContext
from codemem.model.parallel import Group, Share
from codemem.model.parallel.memory import Shared
from codemem.model.pinned import PinnedBlocks
from codemem.model.routers import Routers
from codemem.model.tiers import Tier, TieredRows, fetch_pair

CHUNKS_A_DOCUMENT = 16
REPEATED_ROWS = 4096


@dataclass(frozen=True, slots=True)
class Options:
    device: str = "auto"
    shape: str = "4b"
    tokens: Sequence[int] = (1_000_000,)
    """Memory sizes."""
    query_tokens: int = 64
    tier: Tier = "host"
    """Where keys and values lie."""
    answer: bool = True
    """Also time the prompt pass to the first token."""
    rows: Literal["repeated", "whole"] = "repeated"
    """A few thousand keys and values taken again and again, or all that such a memory has (int8)."""


class RandomMemory:
    """A bank's operations over random keys (`codemem.model.memory.LayerMemory`): of one process, its share."""

    def __init__(self, shape: Shape, share: Share, options: Options, device: torch.device, dtype: torch.dtype) -> None:
        generator = torch.Generator(device).manual_seed(share.rank)
        groups, self.offsets = shape.decoder.kv_heads, share.offsets().to(device)
        self._keys = {
            layer: _random_keys(share.chunks, shape.width, groups, generator) for layer in shape.memory.routed_layers
        }
        measure.synchronise(device)
        whole = options.rows == "whole"
        self._distinct = share.chunks if whole else REPEATED_ROWS
        some = torch.randint(-127, 128, (REPEATED_ROWS, groups, shape.decoder.head_dim), dtype=torch.int8)
        values = some[torch.arange(self._distinct) % REPEATED_ROWS]
        scales = torch.full((self._distinct, groups), 0.01, dtype=torch.float16)
        before, started = measure.resident_bytes(), time.perf_counter()
        layers = shape.memory.routed_layers if whole else shape.memory.routed_layers[:1]
        on_host = options.tier == "host" and device.type == "cuda"
        blocks = PinnedBlocks([values.nbytes + scales.nbytes] * (2 * len(layers))) if on_host else None
        self._rows = {
            (layer, part): TieredRows(values, scales, options.tier, device=device, dtype=dtype, blocks=blocks)
            for layer in layers
            for part in "kv"
        }
        measure.synchronise(device)
        self.place_seconds, after = time.perf_counter() - started, measure.resident_bytes()
        self.host_bytes_taken = None if before is None or after is None else before - after

    @property
    def key_bytes(self) -> int:
        return sum(keys.nbytes for keys in self._keys.values())

    @property
    def row_bytes(self) -> int:
        return sum(x.nbytes for rows in self._rows.values() for x in (rows.values, rows.scales) if x is not None)

    @property
    def rows_pinned(self) -> bool:
        return all(rows.values.is_pinned() for rows in self._rows.values())

    def route(self, layer: int, query_TW: Tensor, k: int) -> LayerRoute:
        return LayerRoute(*route(query_TW, self._keys[layer], self.offsets, k))

    def fetch(self, layer: int, documents: Tensor) -> tuple[Tensor, Tensor]:
        starts = [(CHUNKS_A_DOCUMENT * d) % self._distinct for d in sorted(documents.tolist())]
        spans = [(start, start + CHUNKS_A_DOCUMENT) for start in starts]
        k, v = (self._rows.get((layer, part)) or next(iter(self._rows.values())) for part in "kv")
        return fetch_pair(k, v, spans)

    def chunk_scores(self, layer: int, query_TW: Tensor) -> Tensor:
        return score_chunks(query_TW, self._keys[layer])


Memory = RandomMemory | Shared
"""Of one process, or of several."""


def run(
    options: Options, group: Group | None = None, *, progress: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """One process, or with `group` every process of it with its share of the documents and the whole model."""
    device, dtype = place(options.device)
    device = device if group is None else group.device
    shape = SHAPES[options.shape]
    decoder, routers = random_model(shape, device, dtype)
    rows = []
    for tokens in options.tokens:
        progress(f"a memory of {tokens:,} tokens")
        started = time.perf_counter()
        share = _share(shape, tokens, group)
        local = RandomMemory(shape, share, options, device, dtype)
        memory = local if group is None else Shared(group, share, local)
        if group is not None:  # whoever pins rows longest is waited for here, and not in a collective of a question
            group.gather(torch.zeros(1, device=device), patience_s=600.0)
        row: dict[str, Any] = {
            "memory_tokens": tokens,
            "key_bytes": local.key_bytes,
            "rows_tier": options.tier,
            "rows": options.rows,
            "row_bytes": local.row_bytes,
            "rows_pinned": local.rows_pinned,
            "place_rows_s": local.place_seconds,
            "host_bytes_taken": local.host_bytes_taken,
            "query_tokens": options.query_tokens,
            "made_s": time.perf_counter() - started,
            "find_ms": _find_ms(shape, decoder, routers, memory, options.query_tokens),
        }
        if options.answer:
            row |= _first_token(shape, decoder, routers, memory, options.query_tokens)
        rows.append(row)
        del memory, local
    return {
        "bench": "find",
        "shape": options.shape,
        "machine": measure.machine(device),
        "processes": group.size if group else 1,
        "rows": rows,
        "refused_kernels": refusals(),
        **measure.peaks(device),
    }


def _share(shape: Shape, tokens: int, group: Group | None) -> Share:
    """This process's documents of a memory of full ones."""
    documents = max(1, tokens // (shape.memory.chunk_tokens * CHUNKS_A_DOCUMENT))
    every = np.arange(0, (documents + 1) * CHUNKS_A_DOCUMENT, CHUNKS_A_DOCUMENT)
    return Share.of(every, group.rank if group else 0, group.size if group else 1)


def _document_scores(memory: Memory, layer: int, query_TW: Tensor) -> Tensor:
    """[documents]"""
    scores = memory.chunk_scores(layer, query_TW)
    if scores.device.type == "cuda":
        return scores.view(-1, CHUNKS_A_DOCUMENT).amax(1)
    offsets = torch.arange(0, len(scores) + 1, CHUNKS_A_DOCUMENT)
    return maximum_per_document(scores[None], offsets)[0]


def _prompt(shape: Shape, tokens: int, device: torch.device) -> tuple[Tensor, Tensor]:
    ids = torch.from_numpy(np.random.default_rng(0).integers(0, shape.decoder.vocab_size, tokens)).to(device)
    return ids, torch.arange(3 + shape.memory.top_k, 3 + shape.memory.top_k + tokens, device=device)


def _find_ms(shape: Shape, decoder: Decoder, routers: Routers, memory: Memory, tokens: int) -> float:
    """The question by itself to the last ranking layer, then every document's score summed over these layers."""
    device = decoder.embed_tokens.weight.device
    ids, positions = _prompt(shape, tokens, device)
    layers, every = shape.memory.ranking_layers, torch.arange(len(ids), device=device)

    @torch.inference_mode()
    def work() -> None:
        context = QuestionContext(shape.decoder, shape.memory, routers, every)
        decoder(ids, positions, context, observe_only=layers[-1])
        total = sum(_document_scores(memory, layer, context.queries[layer]) for layer in layers)
        assert isinstance(total, Tensor)
        total.topk(min(10, len(total))).indices.tolist()

    return measure.milliseconds(work, device, 5)


def _first_token(shape: Shape, decoder: Decoder, routers: Routers, memory: Memory, tokens: int) -> dict[str, float]:
    """The prompt pass with routing, fetching and attending in every routed layer; of it, routing and fetching alone."""
    weight = decoder.embed_tokens.weight
    ids, positions = _prompt(shape, tokens, weight.device)
    routing = torch.arange(len(ids), device=weight.device)  # by index, as conversations give it
    kept: dict[int, Tensor] = {}

    @torch.inference_mode()
    def work() -> None:
        context = TextContext(
            shape.decoder, shape.memory, routers, memory, capacity=1024, device=weight.device, dtype=weight.dtype
        )
        context.routing = routing
        hidden = decoder(ids, positions, context)
        int(decoder.logits(hidden[-1:])[0].argmax())
        kept.update(context.queries)

    first = measure.milliseconds(work, weight.device, 5)
    chosen = {layer: memory.route(layer, q, shape.memory.top_k).documents for layer, q in kept.items()}
    top = shape.memory.top_k
    routed = measure.milliseconds(lambda: [memory.route(i, q, top) for i, q in kept.items()], weight.device, 5)
    fetched = measure.milliseconds(lambda: [memory.fetch(i, d) for i, d in chosen.items()], weight.device, 5)
    return {"first_token_ms": first, "route_all_layers_ms": routed, "fetch_all_layers_ms": fetched}


def _random_keys(chunks: int, width: int, groups: int, generator: torch.Generator) -> RoutingKeys:
    values = torch.randint(-127, 128, (chunks, width), dtype=torch.int8, device=generator.device, generator=generator)
    scales = torch.rand(chunks, groups, device=generator.device, generator=generator).add_(0.5).half() / 100
    return RoutingKeys(values, scales)


def as_text(result: dict[str, Any]) -> str:
    head = f"a question, {result['shape']} shape, {result['processes']} process(es), {result['machine']}"
    return f"{head}\n\n{measure.table(result['rows'])}"
