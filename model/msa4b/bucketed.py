"""A prompt pass of fixed shapes: tokens padded to a bucket, what they route to padded to the most that it can be.

Everything that a pass depends on is data on the device: where the text ends, which tokens route, which documents are
chosen, how many rows these have. So one recorded pass serves every prompt of its bucket. Padding repeats a token that
is there and is never seen: its keys go to a row that nothing reads, and a token that routes twice changes no maximum.

Shapes: T tokens of the bucket, K kept queries, L layers, R routed layers, k documents, M rows of k documents at most, X
rows of text that may move, G key heads, D head_dim, W = G * D.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from codemem.kernels.attend.prompt import attend_prompt
from codemem.kernels.route import fold_query
from codemem.model.memory import LayerCache
from codemem.model.msa4b.checkpoint import Msa4bModel
from codemem.model.msa4b.memory import Msa4bMemory
from codemem.model.msa4b.recording import Route

BUCKETS = (64, 128, 256, 512, 1024)
"""Beyond the last, arithmetic takes longer than launching, and padding costs more than it saves."""
MOST_MEMORY_ROWS = 4096
"""A memory whose k longest documents have more rows is asked pass by pass: 16 documents of 16,384 tokens have 4,096."""


def bucket_of(count: int) -> int | None:
    """The smallest bucket that holds so many; None beyond the last."""
    return next((size for size in BUCKETS if count <= size), None)


@dataclass(frozen=True, slots=True)
class Form:
    """What a pass's launches depend on, besides where the buffers lie."""

    tokens: int
    """T, a bucket."""
    routes: bool
    kept: int = 0
    """K, a bucket; 0 if no earlier query takes part."""
    moved: int = 0
    """X, a power of two: rows of text make room for what is chosen. 0 if nothing routes."""
    layers: int | None = None
    """Stop after the routing of the last of so many layers."""


class Fields:
    """What goes into a pass of one form and what comes out of it, always at the same place."""

    def __init__(self, form: Form, model: Msa4bModel, chosen: int) -> None:
        """`chosen`: documents that a layer chooses."""
        config, device = model.config.decoder, model.device
        routed = len(model.config.memory.routed_layers) if form.routes else 0
        width = config.kv_heads * config.head_dim
        sizes = [form.tokens, form.tokens, form.tokens if form.routes else 0, form.kept, 2, config.layers]
        self._inputs = torch.zeros(sum(sizes), dtype=torch.int64, device=device)
        self._sizes = sizes
        self.ids, self.positions, self.routing, self.kept, self.counts, self.memory = torch.split(self._inputs, sizes)
        """`counts`: tokens that are there, rows of text before them. `memory` [L]: rows of memory before this pass."""
        self.kept_queries = torch.zeros(routed, form.kept, width, device=device)
        self.queries = torch.zeros(routed, form.tokens if form.routes else 0, width, device=device)
        """Of the tokens that route, repeated ones behind."""
        self.documents = torch.zeros(routed, chosen, dtype=torch.int64, device=device)
        self.scores = torch.zeros(routed, chosen, device=device)
        self.memory_rows = torch.zeros(routed, dtype=torch.int64, device=device)
        self.hidden: Tensor | None = None
        """[T, E] of the last pass."""

    def fill(
        self,
        ids: Sequence[int],
        *,
        first_position: int,
        routing: Sequence[int],
        kept: Sequence[Tensor],
        memory_rows: Sequence[int],
        text_rows: int,
    ) -> None:
        """One copy to the device, and one of the kept queries, [K', W] of each routed layer."""
        positions = range(first_position, first_position + len(ids))
        parts = (ids, positions, routing, range(len(kept[0]) if kept else 0), (len(ids), text_rows), memory_rows)
        padded = [
            value
            for part, size in zip(parts, self._sizes, strict=True)
            if size
            for value in (*part, *[part[0]] * (size - len(part)))
        ]
        self._inputs.copy_(torch.tensor(padded), non_blocking=True)  # from pageable memory: it may be reused at once
        if kept:
            self.kept_queries[:, : len(kept[0])] = torch.stack(list(kept))

    @property
    def nbytes(self) -> int:
        return sum(x.nbytes for x in vars(self).values() if isinstance(x, Tensor) and x is not self.hidden)


class Ground:
    """What follows from where the caches and the memory lie. Recordings hold for one ground."""

    def __init__(
        self, caches: Sequence[LayerCache], memory: Msa4bMemory | None, top_k: int, device: torch.device
    ) -> None:
        self.chosen = min(top_k, len(memory)) if memory else 0
        """Documents that a layer chooses."""
        self.memory_rows = memory.most_rows(self.chosen) if memory and self.chosen else 0
        """M"""
        rows = [len(cache.k) for cache in caches]
        self.unread = torch.tensor(rows, device=device) - 1
        """[L]: each cache's last row, where padding goes."""
        offsets = memory.chunk_offsets if memory else torch.zeros(1, dtype=torch.int64, device=device)
        self.bounds = torch.cat((offsets, offsets[-1:]))
        """[N + 2]: the documents' chunks, and an N-th document without any, which stands for one that is not there."""
        # Rows of text move in powers of two, fewer than twice as many as a cache has.
        self.places = torch.arange(max(2 * max(rows), self.memory_rows, BUCKETS[-1]), device=device)
        """0, 1, 2 and so on, as far as anything is counted."""


class BucketedContext:
    """Attention of one pass; keeps nothing of its own. Launches alone: the processor is never needed."""

    def __init__(
        self,
        form: Form,
        fields: Fields,
        ground: Ground,
        *,
        model: Msa4bModel,
        caches: Sequence[LayerCache],
        memory: Msa4bMemory | None,
        route: Route[tuple[Tensor, Tensor]],
    ) -> None:
        """`route` runs what is routing."""
        self._form, self._fields, self._ground, self._model = form, fields, ground, model
        self._caches, self._memory, self._route = caches, memory, route
        self._order = {layer: i for i, layer in enumerate(model.config.memory.routed_layers)} if form.routes else {}
        self._tokens, self._text = fields.counts[:1], fields.counts[1:]
        places = ground.places[: form.tokens]
        self._real = places < self._tokens
        firsts = fields.memory + self._text
        self._spans = torch.stack((firsts, firsts + self._tokens), 1)
        self._rows = torch.where(self._real, firsts[:, None] + places, ground.unread[:, None])

    def attend(self, layer: int, hidden_TE: Tensor, q_THD: Tensor, k_TGD: Tensor, v_TGD: Tensor) -> Tensor:
        cache = self._caches[layer]
        routed = layer in self._order
        if routed:
            documents, scores = self._choose(layer, hidden_TE)
        if not len(q_THD):
            return q_THD
        if routed:
            span = self._replace_memory(layer, documents, scores, k_TGD, v_TGD)
        else:
            span = self._spans[layer]
            for buffer, new in ((cache.k, k_TGD), (cache.v, v_TGD)):
                buffer.index_copy_(0, self._rows[layer], new)
        return attend_prompt(q_THD, cache.k, cache.v, span)

    def _choose(self, layer: int, hidden_TE: Tensor) -> tuple[Tensor, Tensor]:
        """Documents and scores [k]."""
        model, fields, memory, place = self._model, self._fields, self._memory, self._order[layer]
        assert memory is not None
        queries = model.routers.at(layer).query(hidden_TE.index_select(0, fields.routing))
        folded = fold_query(queries, model.config.decoder.kv_heads, normalise=model.config.memory.cosine)
        fields.queries[place].copy_(folded)
        if self._form.kept:
            folded = torch.cat((fields.kept_queries[place].index_select(0, fields.kept), folded))
        chosen = self._route(lambda: memory.choose(layer, folded, model.config.memory.top_k))
        fields.documents[place].copy_(chosen[0])
        fields.scores[place].copy_(chosen[1])
        return chosen

    def _replace_memory(self, layer: int, documents: Tensor, scores: Tensor, k_TGD: Tensor, v_TGD: Tensor) -> Tensor:
        """The chosen documents' rows, the text so far behind them, then the new rows. Returns the span of these."""
        ground, fields, form = self._ground, self._fields, self._form
        assert self._memory is not None
        cache, unread = self._caches[layer], ground.unread[layer : layer + 1]
        chunks, there, count = self._chunks(documents, scores)
        fields.memory_rows[self._order[layer]].copy_(count[0])
        first = count + self._text
        among, behind = ground.places[: form.moved], ground.places[: form.tokens]
        targets = torch.cat((
            torch.where(there, ground.places[: ground.memory_rows], unread),
            torch.where(among < self._text, count + among, unread),
            torch.where(self._real, first + behind, unread),
        ))  # fmt: skip
        sources = torch.minimum(fields.memory[layer : layer + 1] + among, unread)
        pooled = self._memory.take(layer, chunks)
        for buffer, rows, new in ((cache.k, pooled[0], k_TGD), (cache.v, pooled[1], v_TGD)):
            text = buffer.index_select(0, sources)
            buffer.index_copy_(0, targets, torch.cat((rows.to(buffer.dtype), text, new)))
        return torch.cat((first, first + self._tokens))

    def _chunks(self, documents: Tensor, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Chunks of the documents in ascending order, [M]; which of the M there are; how many, [1]."""
        ground = self._ground
        nobody = len(ground.bounds) - 2
        # Filled, not chosen by `where`: that would bring its number from the processor, which waits.
        listed = documents.masked_fill((scores > -torch.inf).logical_not_(), nobody).sort().values
        starts = ground.bounds.index_select(0, listed)
        counts = ground.bounds.index_select(0, listed + 1) - starts
        ends = counts.cumsum(0)
        places = ground.places[: ground.memory_rows]
        owners = torch.searchsorted(ends, places, right=True).clamp_(max=len(listed) - 1)
        there = places < ends[-1:]
        chunks = ((starts + counts - ends).index_select(0, owners) + places).masked_fill_(there.logical_not(), 0)
        return chunks, there, ends[-1:]
