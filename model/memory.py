"""Memory Sparse Attention: how documents become entries, and how text attends to them (arXiv:2603.23516, section 3).

Shapes: T tokens, H query heads, G key heads, D head_dim, C chunks, M attended memory rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from codemem.kernels.attend import attend
from codemem.kernels.pool import pool_chunks
from codemem.kernels.route import fold_query
from codemem.model.config import DecoderConfig, MemoryConfig
from codemem.model.packed import attend_within
from codemem.model.routers import Routers

ROWS_TOGETHER = 256
"""Rows of a long text that attend together on a processor: what lies behind the last of them is not even multiplied."""


@dataclass(frozen=True, slots=True)
class PooledLayer:
    """One routed layer's memory of a pack of documents: means over each chunk.

    `k` (after RoPE), `v` and `route` (before normalisation) are [C, G, D] in document order.
    """

    k: Tensor
    v: Tensor
    route: Tensor


class EncodingContext:
    """Documents side by side, each seeing only itself; routed layers keep what the memory needs."""

    def __init__(
        self, lengths: Sequence[int], routers: Routers, memory: MemoryConfig, layers: Sequence[int] | None = None
    ) -> None:
        """`layers`: the routed layers to keep, all by default."""
        self.lengths = list(lengths)
        self.routers = routers
        self.memory = memory
        self.layers = frozenset(memory.routed_layers if layers is None else layers)
        self.pooled: dict[int, PooledLayer] = {}

    def attend(self, layer: int, hidden_TE: Tensor, q_THD: Tensor, k_TGD: Tensor, v_TGD: Tensor) -> Tensor:
        if layer in self.layers:
            keys = self.routers.at(layer).key(hidden_TE)
            pooled = (pool_chunks(x, self.lengths, self.memory.chunk_tokens) for x in (k_TGD, v_TGD, keys))
            self.pooled[layer] = PooledLayer(*pooled)
        if not len(q_THD):  # the last layer of an encoding is only shown its inputs
            return q_THD
        return attend_within(q_THD, k_TGD, v_TGD, self.lengths, causal=not self.memory.bidirectional)


class QuestionContext:
    """A question by itself: keeps the folded routing queries [T, G*D] of the tokens that route, a routed layer."""

    def __init__(self, config: DecoderConfig, memory: MemoryConfig, routers: Routers, routing_T: Tensor) -> None:
        self.config, self.memory, self.routers, self.routing = config, memory, routers, routing_T
        self.queries: dict[int, Tensor] = {}

    def attend(self, layer: int, hidden_TE: Tensor, q_THD: Tensor, k_TGD: Tensor, v_TGD: Tensor) -> Tensor:
        if layer in self.memory.routed_layers:
            queries = self.routers.at(layer).query(hidden_TE[self.routing])
            self.queries[layer] = fold_query(queries, self.config.kv_heads, normalise=self.memory.cosine)
        if not len(q_THD):
            return q_THD
        return attend_within(q_THD, k_TGD, v_TGD, [len(q_THD)])


@dataclass(frozen=True, slots=True)
class LayerRoute:
    """What one routed layer chose in one pass."""

    documents: Tensor
    """Bank indices by falling score, [k]."""
    scores: Tensor
    """[k] float32."""


class LayerMemory(Protocol):
    """What text attention needs from a bank."""

    def route(self, layer: int, query_TW: Tensor, k: int) -> LayerRoute:
        """Top k documents for folded queries [T, G*D]."""
        ...

    def fetch(self, layer: int, documents: Tensor) -> tuple[Tensor, Tensor]:
        """Pooled keys and values of these documents in ascending index order, [M, G, D] each."""
        ...


class LayerCache:
    """Keys and values of one layer in one buffer, [memory rows | text rows], grown by doubling."""

    def __init__(self, config: DecoderConfig, capacity: int, device: torch.device, dtype: torch.dtype) -> None:
        # Zeros, because a masked row is still multiplied (by 0) where a fixed number of rows is read.
        self.k, self.v = torch.zeros((2, capacity, config.kv_heads, config.head_dim), device=device, dtype=dtype)
        self.memory_rows = 0
        self.text_rows = 0

    def _reallocate(self, memory_rows: int, capacity: int) -> None:
        for name in ("k", "v"):
            old = getattr(self, name)
            new = old.new_zeros((capacity, *old.shape[1:]))
            kept = min(memory_rows, self.memory_rows)
            new[:kept] = old[:kept]
            text = slice(self.memory_rows, self.memory_rows + self.text_rows)
            new[memory_rows : memory_rows + self.text_rows] = old[text]
            setattr(self, name, new)
        self.memory_rows = memory_rows

    def set_memory(self, k_MGD: Tensor, v_MGD: Tensor) -> None:
        """Replaces the memory rows; the text rows stay, and move within the buffer while it has room for both."""
        rows = len(k_MGD)
        if rows + self.text_rows > len(self.k):
            self._reallocate(rows, len(self.k) - self.memory_rows + rows)
        elif rows != self.memory_rows:
            text = slice(self.memory_rows, self.memory_rows + self.text_rows)
            for buffer in (self.k, self.v):
                buffer[rows : rows + self.text_rows] = buffer[text].clone()  # old and new place overlap
            self.memory_rows = rows
        self.k[: self.memory_rows] = k_MGD
        self.v[: self.memory_rows] = v_MGD

    def append(self, k_TGD: Tensor, v_TGD: Tensor) -> tuple[Tensor, Tensor]:
        """Adds text rows; returns every row so far, memory first."""
        start = self.memory_rows + self.text_rows
        end = start + len(k_TGD)
        self.reserve(end)
        self.k[start:end] = k_TGD
        self.v[start:end] = v_TGD
        self.text_rows += len(k_TGD)
        return self.k[:end], self.v[:end]

    def reserve(self, rows: int) -> None:
        """Makes room for so many rows, memory included."""
        if rows > len(self.k):
            self._reallocate(self.memory_rows, max(2 * len(self.k), rows))

    def truncate(self, text_rows: int) -> None:
        """Forgets the text rows after the first `text_rows`."""
        self.text_rows = text_rows


def attend_cached(q_THD: Tensor, k_SGD: Tensor, v_SGD: Tensor, *, causal: bool = True) -> Tensor:
    """Attention of the last T rows of S to everything before them (mask aligned bottom-right), [T, H, D].

    `causal=False` lets the T rows see each other in both directions, as the public engine does with an appended
    question.
    """
    if q_THD.device.type == "cuda":
        # One kernel for every length; torch's would choose by shape, and some plan anew for each (model/device.py).
        return attend(q_THD, k_SGD[:0], v_SGD[:0], k_SGD, v_SGD, causal=causal)
    t, s = len(q_THD), len(k_SGD)
    if not causal or t == 1:
        return _attend_masked(q_THD, k_SGD, v_SGD, None)
    if t <= ROWS_TOGETHER:
        return _attend_masked(q_THD, k_SGD, v_SGD, _causal(t, s, q_THD.device))
    out = torch.empty_like(q_THD)
    for start in range(0, t, ROWS_TOGETHER):
        end = min(t, start + ROWS_TOGETHER)
        seen = s - t + end
        mask = _causal(end - start, seen, q_THD.device)
        out[start:end] = _attend_masked(q_THD[start:end], k_SGD[:seen], v_SGD[:seen], mask)
    return out


def _causal(t: int, s: int, device: torch.device) -> Tensor:
    """[t, s]: the last t of s rows see what stands before them, and themselves."""
    return torch.ones(t, s, dtype=torch.bool, device=device).tril_(s - t)


def _attend_masked(q_THD: Tensor, k_SGD: Tensor, v_SGD: Tensor, mask_TS: Tensor | None) -> Tensor:
    q, k, v = (x.transpose(0, 1)[None] for x in (q_THD, k_SGD, v_SGD))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask_TS, enable_gqa=True)[0].transpose(0, 1)


class TextContext:
    """Text that grows: a cache a layer, memory in front of it in routed layers, routing while `routing` is set."""

    def __init__(
        self,
        config: DecoderConfig,
        memory: MemoryConfig,
        routers: Routers,
        bank: LayerMemory | None,
        *,
        capacity: int,
        device: torch.device,
        dtype: torch.dtype,
        attended: Sequence[int] | None = None,
    ) -> None:
        """`attended`: the routed layers that the bank holds, all by default."""
        self.config, self.memory, self.routers, self.bank = config, memory, routers, bank
        self.attended = frozenset(memory.routed_layers if attended is None else attended)
        self.layers = [LayerCache(config, capacity, device, dtype) for _ in range(config.layers)]
        self.routing: Tensor | None = None
        """The tokens of the next pass that route, boolean [T] or by index; None leaves the memory as it is. On a GPU a
        boolean makes the processor wait in every layer."""
        self.causal = True
        self.kept: dict[int, Tensor] = {}
        """By routed layer, folded queries of earlier passes that take part in every choice."""
        self.queries: dict[int, Tensor] = {}
        """By routed layer, the folded queries of the last choice."""
        self.routes: dict[int, LayerRoute] = {}

    def start_over(self, bank: LayerMemory | None) -> None:
        """As it was made, over the same buffers."""
        self.bank, self.routing, self.causal = bank, None, True
        self.kept, self.queries, self.routes = {}, {}, {}
        for cache in self.layers:
            cache.memory_rows = cache.text_rows = 0

    def attend(self, layer: int, hidden_TE: Tensor, q_THD: Tensor, k_TGD: Tensor, v_TGD: Tensor) -> Tensor:
        cache = self.layers[layer]
        if self.routing is not None and self.bank is not None and layer in self.attended:
            queries = self.routers.at(layer).query(hidden_TE[self.routing])
            folded = fold_query(queries, self.config.kv_heads, normalise=self.memory.cosine)
            if layer in self.kept:
                folded = torch.cat((self.kept[layer], folded))
            self.queries[layer] = folded
            chosen = self.bank.route(layer, folded, self.memory.top_k)
            self.routes[layer] = chosen
            if self.memory.attends:
                cache.set_memory(*self.bank.fetch(layer, chosen.documents))
        keys, values = cache.append(k_TGD, v_TGD)
        if not len(q_THD):
            return q_THD
        return attend_cached(q_THD, keys, values, causal=self.causal)
