"""Decoding a token at a time over buffers that stay where they are, so that a GPU can replay one recorded graph.

Works on the caches of a `TextContext` in place: steps and ordinary passes may alternate. Where a cache ends is data on
the device, not a shape; rows behind it are not seen. A graph serves until a cache moves (or, where no kernel attends,
crosses a block).

On a GPU a step can be computed in two ways: with products whose kernels do what stands around them, or with the
library's products. Which is faster differs by GPU and library, so both are recorded and timed once.

Shapes: L layers, H query heads, G key heads, D head_dim, S rows read, V vocabulary.
"""

import statistics
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from codemem.kernels.attend.step import attend_step, runs_kernel
from codemem.model.config import DecoderConfig
from codemem.model.decoder import Decoder, Layer
from codemem.model.memory import LayerCache, TextContext
from codemem.model.single import can_run_single, run_single

BLOCK = 256
"""Rows are read up to the next multiple: so many masked ones at most, and one graph serves so many tokens."""

Way = Literal["gemv", "matmul"]
"""Whose products: our kernels', or the library's."""
_TRIALS = 7


class StaticContext:
    """Attention of one token over the caches; keeps nothing of its own."""

    def __init__(self, context: TextContext, ends_L: Tensor, rows: tuple[int, ...]) -> None:
        """`ends_L` int64: by layer the row where this token's key and value belong. `rows`: how many are read."""
        self._caches, self._ends, self._rows = context.layers, ends_L, rows

    def attend(self, layer: int, hidden_TE: Tensor, q_THD: Tensor, k_TGD: Tensor, v_TGD: Tensor) -> Tensor:
        cache, end = self._caches[layer], self._ends[layer : layer + 1]
        return attend_step(q_THD, k_TGD, v_TGD, cache.k, cache.v, end, rows=self._rows[layer])


@dataclass(frozen=True, slots=True)
class _Recording:
    """A graph, and for what: rows read and where the buffers lie."""

    key: tuple[int, ...]
    way: Way
    graph: torch.cuda.CUDAGraph
    logits: Tensor


_fastest: dict[tuple[DecoderConfig, type, torch.dtype, torch.device], Way] = {}
"""What was found fastest; other decoders of the same shape and kind of matrix need not be timed again."""


class StaticDecode:
    """Feeds tokens one by one behind what a `TextContext` holds."""

    def __init__(self, decoder: Decoder, context: TextContext, *, graph: bool | None = None) -> None:
        """`graph`: record CUDA graphs; by default where there is a GPU."""
        self.decoder, self.context = decoder, context
        device = context.layers[0].k.device
        self.graph = device.type == "cuda" if graph is None else graph
        self.ways: dict[str, float] = {}
        """Milliseconds a step of each way, where they were timed here."""
        # Token, position, ends: one tensor, because every copy to the device is one more wait before a step.
        self._inputs = torch.zeros(2 + len(context.layers), dtype=torch.int64, device=device)
        self._recorded: _Recording | None = None

    @property
    def way(self) -> Way | None:
        """How steps are computed, once one has been recorded."""
        return None if self._recorded is None else self._recorded.way

    @torch.inference_mode()
    def step(self, token: int, position: int) -> Tensor:
        """[V] float32: what follows this token. Valid until the next step where graphs are used."""
        caches = self.context.layers
        rows = self._make_room()
        ends = [cache.memory_rows + cache.text_rows for cache in caches]
        self._inputs.copy_(
            torch.tensor([token, position, *ends]), non_blocking=True
        )  # from pageable memory: it may be reused at once
        logits = self._replay(rows) if self.graph else self._run("matmul", rows)
        for cache in caches:
            cache.text_rows += 1
        # Not within a recording: what other processes agree on comes over the network.
        return (logits if self.decoder.agree is None else self.decoder.agree(logits))[0]

    def _make_room(self) -> tuple[int, ...]:
        """Room for one more row in every cache; how many rows are read with it."""
        rows = tuple(_room(cache) for cache in self.context.layers)
        return rows if self._bounded else tuple(len(cache.k) for cache in self.context.layers)

    @cached_property
    def _bounded(self) -> bool:
        """Whether torch attends, which reads as many rows as it is told."""
        config, cache = self.decoder.config, self.context.layers[0].k
        return not runs_kernel(cache.new_zeros((1, config.heads, config.head_dim)), cache)

    def _run(self, way: Way, rows: tuple[int, ...]) -> Tensor:
        token, position, ends = self._inputs[:1], self._inputs[1:2], self._inputs[2:]
        context = StaticContext(self.context, ends, rows)
        if way == "gemv":
            return run_single(self.decoder, token, position, context)
        logits: Tensor = self.decoder.lm_head(self.decoder(token, position, context)).float()
        return logits

    def _replay(self, rows: tuple[int, ...]) -> Tensor:
        buffers = (x.data_ptr() for cache in self.context.layers for x in (cache.k, cache.v))
        key = (*rows, *buffers)
        if self._recorded is None or self._recorded.key != key:
            self._recorded = None  # its memory serves the next one
            self._recorded = self._choose(key, rows)
            if self._recorded is None:  # something here cannot be recorded: slower, and just as right
                self.graph = False
                return self._run("matmul", rows)
        self._recorded.graph.replay()
        return self._recorded.logits

    def _choose(self, key: tuple[int, ...], rows: tuple[int, ...]) -> _Recording | None:
        """The fastest way that can be recorded; a step may be repeated, since it writes the same row again."""
        decoder = self.decoder
        shape = (decoder.config, _kind(decoder), decoder.norm.weight.dtype, decoder.norm.weight.device)
        if shape in _fastest:
            return self._try(_fastest[shape], key, rows)
        best: _Recording | None = None
        for way in self._possible():
            found = self._try(way, key, rows)
            if found is None:
                continue
            self.ways[way] = _milliseconds(found.graph)
            if best is None or self.ways[way] < self.ways[best.way]:
                best = found
        if best is not None:
            _fastest[shape] = best.way
        return best

    def _possible(self) -> list[Way]:
        return ["gemv", "matmul"] if can_run_single(self.decoder) else ["matmul"]

    def _try(self, way: Way, key: tuple[int, ...], rows: tuple[int, ...]) -> _Recording | None:
        try:
            return _Recording(key, way, *self._record(way, rows))
        except RuntimeError:
            return None

    def _record(self, way: Way, rows: tuple[int, ...]) -> tuple[torch.cuda.CUDAGraph, Tensor]:
        warm = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        warm.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(warm):  # libraries choose and allocate at first use, which a recording must not hold
            self._run(way, rows)
        torch.cuda.current_stream().wait_stream(warm)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            logits = self._run(way, rows)
        return graph, logits


def _kind(decoder: Decoder) -> type:
    """Of the matrices between the tables: whichever it is, it is the same in all layers."""
    layer = decoder.layers[0]
    assert isinstance(layer, Layer)
    return type(layer.mlp.down_proj)


def _milliseconds(graph: torch.cuda.CUDAGraph) -> float:
    """Median of a few replays."""
    times = []
    for _ in range(_TRIALS):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        begin.record()
        graph.replay()
        end.record()
        end.synchronize()
        times.append(float(begin.elapsed_time(end)))
    return statistics.median(times)


def _room(cache: LayerCache) -> int:
    """Makes room for one more row; how many rows are read with it."""
    needed = cache.memory_rows + cache.text_rows + 1
    cache.reserve(needed)
    return min(len(cache.k), -(-needed // BLOCK) * BLOCK)
