"""The network in training: frozen backbone, adapters, routers, and its differentiable passes over padded batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from codemem.model.adapter import LowRank, add_adapters
from codemem.model.decoder import AttentionContext, Decoder, Layer
from codemem.model.prompts import Prompts, question_position
from codemem.model.routers import Routers
from codemem.training.batching import length_buckets
from codemem.training.contexts import DocumentBatch, PaddedMemory, TextBatch, TextMemory
from codemem.training.corpus import Ids
from codemem.training.recipe import Recipe

recomputed = partial(checkpoint, use_reentrant=False, preserve_rng_state=False)
"""Runs a function without keeping its activations. Nothing here draws random numbers, so no generator is saved."""


@dataclass(slots=True)
class EncodedDocuments:
    """Documents of a step: per routed layer `route` [N, C, W], `k` and `v` [N, C, G, D], padded to one C."""

    layers: dict[int, PaddedMemory]
    chunks: Tensor
    """Boolean [N, C]: chunks that exist."""


class TrainedLayer:
    """A layer as the recipe wants it run: compiled or not, its activations kept or computed again."""

    def __init__(self, layer: Layer, recipe: Recipe) -> None:
        self._layer = layer
        self._recompute = recipe.recompute
        compiled = partial(torch.compile, dynamic=True) if recipe.compile else lambda f: f
        self._before = compiled(layer.before_attention)
        self._after = compiled(layer.after_attention)
        self._feed_forward = compiled(layer.feed_forward)

    def __call__(self, x: Tensor, rope: tuple[Tensor, Tensor], context: AttentionContext) -> Tensor:
        if self._recompute == "layer" and torch.is_grad_enabled():
            out: Tensor = recomputed(self._forward, x, rope, context)
            return out
        return self._forward(x, rope, context)

    def observe(self, x: Tensor, rope: tuple[Tensor, Tensor], context: AttentionContext) -> None:
        """Shows the context the layer's inputs; its output is not needed."""
        self._layer.observe(x, rope, context)

    def _forward(self, x: Tensor, rope: tuple[Tensor, Tensor], context: AttentionContext) -> Tensor:
        attended = context.attend(self._layer.index, *self._before(x, rope))
        x = self._after(x, attended)
        if self._recompute == "mlp" and torch.is_grad_enabled():
            out: Tensor = recomputed(self._feed_forward, x)
        else:
            out = self._feed_forward(x)
        return out


def pad(sequences: Sequence[Ids | list[int]], multiple: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Right-padded ids [B, n] and mask [B, n], n a multiple of `multiple`."""
    width = -(-max(len(s) for s in sequences) // multiple) * multiple
    ids = torch.zeros(len(sequences), width, dtype=torch.long)
    mask = torch.zeros(len(sequences), width, dtype=torch.bool)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = torch.from_numpy(np.asarray(sequence, np.int64))
        mask[row, : len(sequence)] = True
    return ids.to(device, non_blocking=True), mask.to(device, non_blocking=True)


class Network:
    """Decoder with adapters on every projection and routers at the routed layers. Only those two are trained."""

    def __init__(self, decoder: Decoder, prompts: Prompts, recipe: Recipe, *, device: torch.device) -> None:
        self.recipe, self.device, self.prompts = recipe, device, prompts
        self.decoder = decoder.to(device).requires_grad_(False)
        self.adapters: dict[str, LowRank] = add_adapters(self.decoder, recipe.rank)
        self.routers = Routers(decoder.config, recipe.memory.routed_layers)
        self._start_routers()
        self.decoder.to(device)
        self.routers.to(device)
        self.layers = [TrainedLayer(layer, recipe) for layer in self.decoder.layers]  # type: ignore[arg-type]
        self._fix()

    def _fix(self) -> None:
        """What the recipe has stay as it is has no gradient; the optimiser leaves it alone."""
        if self.recipe.fixed_below:
            self.routers.requires_grad_(False)
        for name, adapter in self.adapters.items():
            if int(name.split(".")[1]) < self.recipe.fixed_below:  # "layers.N. ..."
                adapter.a.requires_grad_(False)
                adapter.b.requires_grad_(False)

    def _start_routers(self) -> None:
        """Router projections start as the layer's own query and key projections: already a meaningful similarity."""
        config = self.decoder.config
        split = config.heads * config.head_dim
        for layer in self.recipe.memory.routed_layers:
            base = self.decoder.get_submodule(f"layers.{layer}.self_attn.qkv_proj.base")
            assert isinstance(base.weight, Tensor)
            weight = base.weight.detach().float()
            router = self.routers.at(layer)
            router.q_proj.weight.data.copy_(weight[:split])
            router.k_proj.weight.data.copy_(weight[split : split + config.kv_heads * config.head_dim])

    def adapter_parameters(self) -> list[nn.Parameter]:
        """A and B of every projection."""
        return [p for adapter in self.adapters.values() for p in (adapter.a, adapter.b)]

    def router_parameters(self) -> list[nn.Parameter]:
        """Query and key projections of every routed layer."""
        return list(self.routers.parameters())

    def run(
        self, ids: Tensor, positions_Bn: Tensor, context: AttentionContext, *, last: int | None, fixed: int = 0
    ) -> Tensor:
        """Final hidden states; with `last`, the states before that layer, which the context has seen. The lowest
        `fixed` layers do not learn from them."""
        x: Tensor = self.decoder.embed_tokens(ids.flatten())
        rope = self.decoder.rope.tables(positions_Bn.flatten(), x.dtype)
        for index, layer in enumerate(self.layers):
            if index == last:
                layer.observe(x, rope, context)
                return x
            with torch.set_grad_enabled(torch.is_grad_enabled() and index >= fixed):
                x = layer(x, rope, context)
        normed: Tensor = self.decoder.norm(x)
        return normed

    def encode_documents(self, documents: Sequence[Ids], layers: Sequence[int] | None = None) -> EncodedDocuments:
        """Memory of the documents, in the order given, at `layers` (by default every routed one)."""
        wanted = tuple(layers or self.recipe.memory.routed_layers)
        chunk = self.recipe.memory.chunk_tokens
        buckets = length_buckets([len(d) for d in documents], tokens=self.recipe.bucket_tokens, multiple=chunk)
        widest = max(-(-len(d) // chunk) for d in documents)
        parts: dict[int, list[PaddedMemory]] = {layer: [] for layer in wanted}
        masks, order = [], []
        for bucket in buckets:
            ids, mask = pad([documents[i] for i in bucket], chunk, self.device)
            where = torch.arange(ids.shape[1], device=self.device).expand_as(ids)
            context = DocumentBatch(mask, self.routers, self.recipe.memory)
            self.run(ids, where, context, last=wanted[-1])
            room = widest - ids.shape[1] // chunk
            for layer in wanted:
                pooled = context.pooled[layer]
                grown = (F.pad(x, (0,) * (2 * (x.dim() - 2)) + (0, room)) for x in (pooled.k, pooled.v, pooled.route))
                parts[layer].append(PaddedMemory(*grown))
            exists = mask.view(len(bucket), -1, chunk).any(-1)
            masks.append(F.pad(exists, (0, room)))
            order += bucket
        back = torch.empty(len(order), dtype=torch.long, device=self.device)
        back[torch.as_tensor(order, device=self.device)] = torch.arange(len(order), device=self.device)
        joined = {
            layer: PaddedMemory(*(torch.cat([getattr(p, name) for p in pieces])[back] for name in ("k", "v", "route")))
            for layer, pieces in parts.items()
        }
        return EncodedDocuments(joined, torch.cat(masks)[back])

    def encode_questions(
        self, questions: Sequence[Ids], layers: Sequence[int] | None = None, *, silent: Sequence[int] | None = None
    ) -> tuple[dict[int, Tensor], Tensor]:
        """Folded routing queries [Q, n, W] by layer, and which tokens route [Q, n]: all but the template and, of each
        question, its first `silent`."""
        wanted = tuple(layers or self.recipe.memory.routed_layers)
        template = self.prompts.question("").template
        end = self.prompts.turn_end
        sequences = [[*template, *map(int, q), end] for q in questions]
        ids, mask = pad(sequences, 16, self.device)
        start = question_position(self.recipe.memory) - len(template)
        where = torch.arange(ids.shape[1], device=self.device)
        where = torch.where(where < len(template), where, where + start).expand_as(ids)
        routes = mask.clone()
        routes[:, : len(template)] = False
        for row, count in enumerate(silent or ()):
            routes[row, : len(template) + count] = False
        context = TextBatch(mask, routes, self.routers, self.recipe.memory, {})
        self.run(ids, where, context, last=wanted[-1])
        return {layer: context.queries[layer] for layer in wanted}, routes

    def read(
        self,
        ids: Tensor,
        mask: Tensor,
        positions_Bn: Tensor,
        stored: dict[int, TextMemory],
        branch_Bn: Tensor | None = None,
    ) -> Tensor:
        """Final hidden states [B, n, E] of texts that attend to `stored`; `branch_Bn` as in TextBatch. Layers below the
        recipe's `reading_from` do not learn from them."""
        context = TextBatch(mask, mask, self.routers, self.recipe.memory, stored, branch_Bn=branch_Bn)
        hidden = self.run(ids, positions_Bn, context, last=None, fixed=self.recipe.reading_from)
        return hidden.view(*ids.shape, -1)
