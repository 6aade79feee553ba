"""Decoding a token at a time over buffers that stay where they are, so that a GPU can replay one recorded graph.

Works on the caches of a `TextContext` in place: steps and ordinary passes may alternate. Where a cache ends is data on
the device, not a shape; rows behind it are masked. A graph serves until a cache crosses a block or moves.

Shapes: L layers, H query heads, G key heads, D head_dim, S rows read, V vocabulary.
"""

import torch
from torch import Tensor

from codemem.model.decoder import Decoder
from codemem.model.memory import LayerCache, TextContext

BLOCK = 256
"""Rows are read up to the next multiple: so many masked ones at most, and one graph serves so many tokens."""


class StaticContext:
    """Attention of one token over the caches; keeps nothing of its own."""

    def __init__(self, context: TextContext, ends_L: Tensor, rows: tuple[int, ...]) -> None:
        """`ends_L` int64: by layer the row where this token's key and value belong. `rows`: how many are read."""
        self._caches, self._ends, self._rows = context.layers, ends_L, rows
        self._places = torch.arange(max(rows), device=ends_L.device)

    def attend(self, layer: int, hidden_TE: Tensor, q_THD: Tensor, k_TGD: Tensor, v_TGD: Tensor) -> Tensor:
        cache, rows = self._caches[layer], self._rows[layer]
        end = self._ends[layer : layer + 1]
        cache.k.index_copy_(0, end, k_TGD)
        cache.v.index_copy_(0, end, v_TGD)
        heads, head_dim = q_THD.shape[1:]
        groups = k_TGD.shape[1]
        q = q_THD.view(groups, heads // groups, head_dim)
        # One product a group serves all its heads: keys and values are read once.
        logits = (q @ cache.k[:rows].permute(1, 2, 0)).float() * head_dim**-0.5
        logits = logits.masked_fill(self._places[:rows] > end, -torch.inf)
        out = logits.softmax(-1).to(q.dtype) @ cache.v[:rows].transpose(0, 1)
        attended: Tensor = out.reshape(1, heads, head_dim)
        return attended


class StaticDecode:
    """Feeds tokens one by one behind what a `TextContext` holds."""

    def __init__(self, decoder: Decoder, context: TextContext, *, graph: bool | None = None) -> None:
        """`graph`: record CUDA graphs; by default where there is a GPU."""
        self.decoder, self.context = decoder, context
        device = context.layers[0].k.device
        self.graph = device.type == "cuda" if graph is None else graph
        self._ids = torch.zeros(1, dtype=torch.int64, device=device)
        self._position = torch.zeros(1, dtype=torch.int64, device=device)
        self._ends = torch.zeros(len(context.layers), dtype=torch.int64, device=device)
        self._recorded: tuple[tuple[int, ...], torch.cuda.CUDAGraph, Tensor] | None = None

    @torch.inference_mode()
    def step(self, token: int, position: int) -> Tensor:
        """[V] float32: what follows this token. Valid until the next step where graphs are used."""
        caches = self.context.layers
        rows = tuple(_room(cache) for cache in caches)
        ends = [cache.memory_rows + cache.text_rows for cache in caches]
        self._ids.fill_(token)
        self._position.fill_(position)
        self._ends.copy_(torch.tensor(ends))
        logits = self._replay(rows) if self.graph else self._run(rows)
        for cache in caches:
            cache.text_rows += 1
        # Not within a recording: what other processes agree on comes over the network.
        return (logits if self.decoder.agree is None else self.decoder.agree(logits))[0]

    def _run(self, rows: tuple[int, ...]) -> Tensor:
        hidden = self.decoder(self._ids, self._position, StaticContext(self.context, self._ends, rows))
        logits: Tensor = self.decoder.lm_head(hidden).float()
        return logits

    def _replay(self, rows: tuple[int, ...]) -> Tensor:
        buffers = (x.data_ptr() for cache in self.context.layers for x in (cache.k, cache.v))
        key = (*rows, *buffers)
        if self._recorded is None or self._recorded[0] != key:
            self._recorded = None  # its memory serves the next one
            try:
                self._recorded = (key, *self._record(rows))
            except RuntimeError:  # something here cannot be recorded: slower, and just as right
                self.graph = False
                return self._run(rows)
        self._recorded[1].replay()
        return self._recorded[2]

    def _record(self, rows: tuple[int, ...]) -> tuple[torch.cuda.CUDAGraph, Tensor]:
        warm = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        warm.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(warm):  # libraries choose and allocate at first use, which a recording must not hold
            self._run(rows)
        torch.cuda.current_stream().wait_stream(warm)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            logits = self._run(rows)
        return graph, logits


def _room(cache: LayerCache) -> int:
    """Makes room for one more row; how many rows are read with it."""
    needed = cache.memory_rows + cache.text_rows + 1
    cache.reserve(needed)
    return min(len(cache.k), -(-needed // BLOCK) * BLOCK)
