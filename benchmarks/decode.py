"""Decoding a token at a time, beside the time that reading weights and cache once takes at the measured bandwidth."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from codemem.benchmarks import measure
from codemem.benchmarks.breakdown import by_kernel
from codemem.benchmarks.shapes import SHAPES, Shape, place, random_model
from codemem.kernels.serving import refusals
from codemem.model.decoder import Decoder
from codemem.model.memory import TextContext
from codemem.model.routers import Routers
from codemem.model.static import StaticDecode


@dataclass(frozen=True, slots=True)
class Options:
    device: str = "auto"
    shape: str = "4b"
    text_tokens: Sequence[int] = (1024, 8192)
    memory_rows: int = 512
    """Rows of memory in each routed layer: 16 documents of 32 chunks."""
    steps: int = 24


def run(options: Options, *, progress: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    device, dtype = place(options.device)
    shape = SHAPES[options.shape]
    bandwidth = measure.copy_bandwidth(device)
    decoder, routers = random_model(shape, device, dtype)
    rows = []
    for text in options.text_tokens:
        for static in (True, False):
            progress(f"{text} tokens of text, {'in place' if static else 'pass by pass'}")
            row = _row(options, shape, (decoder, routers), text, static=static, bandwidth=bandwidth)
            rows.append(row)
    progress("kernel by kernel")
    text = options.text_tokens[0]
    kernels = by_kernel(_Steps(options, shape, (decoder, routers), text, static=True).one, device, runs=3)
    return {
        "bench": "decode",
        "shape": options.shape,
        "machine": measure.machine(device),
        "dtype": str(dtype).removeprefix("torch."),
        "copy_bytes_a_second": bandwidth,
        "rows": rows,
        "kernels_a_token": kernels,
        "refused_kernels": refusals(),
        **measure.peaks(device),
    }


def _row(
    options: Options,
    shape: Shape,
    modules: tuple[Decoder, Routers],
    text: int,
    *,
    static: bool,
    bandwidth: float,
) -> dict[str, Any]:
    steps = _Steps(options, shape, modules, text, static=static)
    weight, context = steps.weight, steps.context
    took = measure.milliseconds(steps.one, weight.device, options.steps if static else options.steps // 3 + 1, warm=3)
    c = shape.decoder
    weights = (c.layers * shape.layer_weights() + c.vocab_size * c.hidden_size) * weight.dtype.itemsize
    cached = sum(cache.memory_rows + cache.text_rows for cache in context.layers)
    cache_bytes = 2 * cached * shape.width * weight.dtype.itemsize
    # The copy counted bytes read and written; reading alone runs at the same rate of bytes moved.
    limit = (weights + cache_bytes) / bandwidth * 1e3
    return {
        "text_tokens": text,
        "memory_rows": options.memory_rows,
        **steps.how(),
        "ms_a_token": took,
        "tokens_a_second": 1e3 / took,
        "read_once_ms": limit,
        "share_of_limit": limit / took,
    }


class _Steps:
    """Tokens one after another behind a text, each chosen before the next as a writer's are."""

    def __init__(
        self, options: Options, shape: Shape, modules: tuple[Decoder, Routers], text: int, *, static: bool
    ) -> None:
        self.decoder, routers = modules
        self.weight = self.decoder.embed_tokens.weight
        self.context = _filled(options, shape, routers, text, self.weight)
        self.stepper = StaticDecode(self.decoder, self.context) if static else None
        self.position = text

    @torch.inference_mode()
    def one(self) -> None:
        if self.stepper is not None:
            logits = self.stepper.step(11, self.position)
        else:
            ids, places = (torch.tensor([x], device=self.weight.device) for x in (11, self.position))
            logits = self.decoder.logits(self.decoder(ids, places, self.context))[0]
        int(logits.argmax())  # whoever writes needs the token before the next
        self.position += 1

    def how(self) -> dict[str, Any]:
        """The kind of step, whose products, and what each kind took where both were timed (without the host's part)."""
        if self.stepper is None:
            return {"how": "pass by pass"}
        if not self.stepper.graph:
            return {"how": "in place"}
        timed = {f"{way}_graph_ms": took for way, took in self.stepper.ways.items()}
        return {"how": "graph", "products": self.stepper.way} | timed


def _filled(options: Options, shape: Shape, routers: Routers, text: int, like: Tensor) -> TextContext:
    """Caches with random rows, where and as `like` is."""
    device, dtype = like.device, like.dtype
    capacity = text + options.memory_rows + 4 * options.steps + 256
    context = TextContext(shape.decoder, shape.memory, routers, None, capacity=capacity, device=device, dtype=dtype)
    size = (shape.decoder.kv_heads, shape.decoder.head_dim)
    for layer, cache in enumerate(context.layers):
        if layer in shape.memory.routed_layers:
            cache.set_memory(*torch.randn(2, options.memory_rows, *size, device=device, dtype=dtype))
        cache.append(*torch.randn(2, text, *size, device=device, dtype=dtype))
    return context


def as_text(result: dict[str, Any]) -> str:
    head = f"decoding, {result['shape']} shape in {result['dtype']}, {result['machine']}"
    tables = [measure.table(result[name]) for name in ("rows", "kernels_a_token") if result[name]]
    return "\n\n".join((f"{head}\ncopy {result['copy_bytes_a_second'] / 1e9:.0f} GB/s", *tables))
