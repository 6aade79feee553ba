"""A question over a memory of a given size: to its ranking (`find`), and to the first token of an answer (`ask`).

Routing keys are random, int8 as our banks keep them, on the device. Keys and values, which are only fetched, are a few
thousand rows taken again and again, in the tier asked for: a fetch costs the same.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from codemem.benchmarks import measure
from codemem.benchmarks.shapes import SHAPES, Shape, place, random_model
from codemem.kernels.route import RoutingKeys, route, score_chunks
from codemem.kernels.route.cpu import maximum_per_document
from codemem.model.decoder import Decoder
from codemem.model.memory import LayerRoute, QuestionContext, TextContext
from codemem.model.routers import Routers
from codemem.model.tiers import Tier, TieredRows

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


class RandomMemory:
    """A bank's operations over random keys (`codemem.model.memory.LayerMemory`)."""

    def __init__(self, shape: Shape, tokens: int, tier: Tier, device: torch.device, dtype: torch.dtype) -> None:
        documents = max(1, tokens // (shape.memory.chunk_tokens * CHUNKS_A_DOCUMENT))
        self.offsets = torch.arange(0, (documents + 1) * CHUNKS_A_DOCUMENT, CHUNKS_A_DOCUMENT, device=device)
        generator = torch.Generator(device).manual_seed(0)
        chunks, groups = documents * CHUNKS_A_DOCUMENT, shape.decoder.kv_heads
        self._keys = {
            layer: _random_keys(chunks, shape.width, groups, generator) for layer in shape.memory.routed_layers
        }
        values = torch.randint(-127, 128, (REPEATED_ROWS, groups, shape.decoder.head_dim), dtype=torch.int8)
        scales = torch.full((REPEATED_ROWS, groups), 0.01, dtype=torch.float16)
        self._rows = TieredRows(values, scales, tier, device=device, dtype=dtype)

    @property
    def key_bytes(self) -> int:
        return sum(keys.nbytes for keys in self._keys.values())

    def route(self, layer: int, query_TW: Tensor, k: int) -> LayerRoute:
        return LayerRoute(*route(query_TW, self._keys[layer], self.offsets, k))

    def fetch(self, layer: int, documents: Tensor) -> tuple[Tensor, Tensor]:
        starts = [(CHUNKS_A_DOCUMENT * d) % REPEATED_ROWS for d in sorted(documents.tolist())]
        spans = [(start, start + CHUNKS_A_DOCUMENT) for start in starts]
        return self._rows.fetch(spans), self._rows.fetch(spans)

    def document_scores(self, layer: int, query_TW: Tensor) -> Tensor:
        scores = score_chunks(query_TW, self._keys[layer])[None]
        if scores.device.type == "cuda":
            return scores.view(-1, CHUNKS_A_DOCUMENT).amax(1)
        return maximum_per_document(scores, self.offsets)[0]


def run(options: Options, *, progress: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    device, dtype = place(options.device)
    shape = SHAPES[options.shape]
    decoder, routers = random_model(shape, device, dtype)
    rows = []
    for tokens in options.tokens:
        progress(f"a memory of {tokens:,} tokens")
        started = time.perf_counter()
        memory = RandomMemory(shape, tokens, options.tier, device, dtype)
        measure.synchronise(device)
        made = time.perf_counter() - started
        row: dict[str, Any] = {
            "memory_tokens": tokens,
            "key_bytes": memory.key_bytes,
            "rows_tier": options.tier,
            "query_tokens": options.query_tokens,
            "made_s": made,
            "find_ms": _find_ms(shape, decoder, routers, memory, options.query_tokens),
        }
        if options.answer:
            row |= _first_token(shape, decoder, routers, memory, options.query_tokens)
        rows.append(row)
        del memory
    return {
        "bench": "find",
        "shape": options.shape,
        "machine": measure.machine(device),
        "rows": rows,
        **measure.peaks(device),
    }


def _prompt(shape: Shape, tokens: int, device: torch.device) -> tuple[Tensor, Tensor]:
    ids = torch.from_numpy(np.random.default_rng(0).integers(0, shape.decoder.vocab_size, tokens)).to(device)
    return ids, torch.arange(3 + shape.memory.top_k, 3 + shape.memory.top_k + tokens, device=device)


def _find_ms(shape: Shape, decoder: Decoder, routers: Routers, memory: RandomMemory, tokens: int) -> float:
    """The question by itself to the last ranking layer, then every document's score summed over these layers."""
    device = decoder.embed_tokens.weight.device
    ids, positions = _prompt(shape, tokens, device)
    layers = shape.memory.ranking_layers

    @torch.inference_mode()
    def work() -> None:
        context = QuestionContext(shape.decoder, shape.memory, routers, torch.ones_like(ids, dtype=torch.bool))
        decoder(ids, positions, context, observe_only=layers[-1])
        total = sum(memory.document_scores(layer, context.queries[layer]) for layer in layers)
        assert isinstance(total, Tensor)
        total.topk(min(10, len(total))).indices.tolist()

    return measure.milliseconds(work, device, 5)


def _first_token(
    shape: Shape, decoder: Decoder, routers: Routers, memory: RandomMemory, tokens: int
) -> dict[str, float]:
    """The prompt pass with routing, fetching and attending in every routed layer; of it, routing and fetching alone."""
    weight = decoder.embed_tokens.weight
    ids, positions = _prompt(shape, tokens, weight.device)
    routing = torch.ones_like(ids, dtype=torch.bool)
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
    return f"a question, {result['shape']} shape, {result['machine']}\n\n{measure.table(result['rows'])}"
