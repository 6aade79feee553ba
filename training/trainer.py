"""One training step, and the run around it.

A step encodes the documents of a routing batch and of a few conversations, scores every question against every document
at every routed layer (contrastive loss), and lets the conversations attend to their documents' pooled keys and values
while the model learns to name, read and answer (language-model loss).
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from codemem.model.adapter import LowRank, add_adapters, save_adapter
from codemem.model.decoder import Decoder, Layer
from codemem.model.losses import chunk_scores_to_documents, info_nce
from codemem.model.prompts import Prompts, question_position
from codemem.model.routers import Routers
from codemem.model.tokenizer import Tokenizer
from codemem.training.batching import Corpus, Ids, RoutingBatch, RoutingBatches, length_buckets
from codemem.training.contexts import DocumentBatch, PaddedMemory, TextBatch, TextMemory
from codemem.training.conversations import Conversation, Conversations, positions
from codemem.training.recipe import Recipe


@dataclass(slots=True)
class EncodedDocuments:
    """Documents of a step: per routed layer `route` [N, C, W], `k` and `v` [N, C, G, D], padded to one C."""

    layers: dict[int, PaddedMemory]
    chunks: Tensor
    """Boolean [N, C]: chunks that exist."""


class Checkpointed(nn.Module):
    """A layer whose activations are recomputed in the backward pass."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.layer = layer
        self.index = layer.index

    def forward(self, x: Tensor, rope: tuple[Tensor, Tensor], context: object) -> Tensor:
        out: Tensor = checkpoint(self.layer, x, rope, context, use_reentrant=False, preserve_rng_state=False)
        return out


@dataclass(slots=True)
class StepReport:
    step: int
    seconds: float
    losses: dict[str, float] = field(default_factory=dict)
    tokens: int = 0


def pad(sequences: Sequence[Ids | list[int]], multiple: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Right-padded ids [B, n] and mask [B, n], n a multiple of `multiple`."""
    width = -(-max(len(s) for s in sequences) // multiple) * multiple
    ids = torch.zeros(len(sequences), width, dtype=torch.long)
    mask = torch.zeros(len(sequences), width, dtype=torch.bool)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = torch.from_numpy(np.asarray(sequence, np.int64))
        mask[row, : len(sequence)] = True
    return ids.to(device, non_blocking=True), mask.to(device, non_blocking=True)


class Trainer:
    """Holds model, adapters, routers and optimiser of a run."""

    def __init__(
        self, decoder: Decoder, tokenizer: Tokenizer, recipe: Recipe, *, device: torch.device, base_sha256: str
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.device, self.base_sha256 = recipe, device, base_sha256
        self.prompts = Prompts(tokenizer)
        self.decoder = decoder.to(device).requires_grad_(False)
        self.adapters: dict[str, LowRank] = add_adapters(self.decoder, recipe.rank)
        self.routers = Routers(decoder.config, recipe.memory.routed_layers)
        self._start_routers()
        self.decoder.to(device)
        self.routers.to(device)
        low_rank = [p for a in self.adapters.values() for p in (a.a, a.b)]
        self.groups: tuple[dict[str, Any], ...] = (
            {"params": low_rank, "peak": recipe.adapter_rate},
            {"params": list(self.routers.parameters()), "peak": recipe.router_rate},
        )
        self.optimiser = torch.optim.AdamW(
            self.groups, lr=0.0, betas=(0.9, 0.98), weight_decay=0.01, fused=device.type == "cuda"
        )
        self.step = 0
        self.spent = 0.0
        # Only now: the adapters' names must not carry the wrapper's.
        self.bare_layers = list(self.decoder.layers)
        self.checkpointed = nn.ModuleList(Checkpointed(layer) for layer in self.bare_layers)  # type: ignore[arg-type]

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

    # Forward passes -----------------------------------------------------------------------------------------------

    def _run(self, ids: Tensor, positions_Bn: Tensor, context: object, *, checkpointed: bool) -> Tensor:
        layers = self.checkpointed if checkpointed and torch.is_grad_enabled() else self.bare_layers
        x = self.decoder.embed_tokens(ids.flatten())
        rope = self.decoder.rope.tables(positions_Bn.flatten(), x.dtype)
        for layer in layers:
            x = layer(x, rope, context)
        normed: Tensor = self.decoder.norm(x)
        return normed

    def encode_documents(self, documents: Sequence[Ids]) -> EncodedDocuments:
        """Every routed layer's memory of the documents, in the order given."""
        chunk = self.recipe.memory.chunk_tokens
        buckets = length_buckets([len(d) for d in documents], tokens=self.recipe.bucket_tokens, multiple=chunk)
        widest = max(-(-len(d) // chunk) for d in documents)
        parts: dict[int, list[PaddedMemory]] = {layer: [] for layer in self.recipe.memory.routed_layers}
        masks, order = [], []
        for bucket in buckets:
            ids, mask = pad([documents[i] for i in bucket], chunk, self.device)
            where = torch.arange(ids.shape[1], device=self.device).expand_as(ids)
            context = DocumentBatch(mask, self.routers, self.recipe.memory)
            self._run(ids, where, context, checkpointed=True)
            room = widest - ids.shape[1] // chunk
            for layer, pooled in context.pooled.items():
                grown = (F.pad(x, (0,) * (2 * (x.dim() - 2)) + (0, room)) for x in (pooled.k, pooled.v, pooled.route))
                parts[layer].append(PaddedMemory(*grown))
            exists = mask.view(len(bucket), -1, chunk).any(-1)
            masks.append(F.pad(exists, (0, room)))
            order += bucket
        back = torch.empty(len(order), dtype=torch.long, device=self.device)
        back[torch.as_tensor(order, device=self.device)] = torch.arange(len(order), device=self.device)
        layers = {
            layer: PaddedMemory(*(torch.cat([getattr(p, name) for p in pieces])[back] for name in ("k", "v", "route")))
            for layer, pieces in parts.items()
        }
        return EncodedDocuments(layers, torch.cat(masks)[back])

    def encode_questions(self, questions: Sequence[Ids]) -> tuple[dict[int, Tensor], Tensor]:
        """Folded routing queries [Q, n, W] by layer, and which tokens route [Q, n]."""
        template = self.prompts.question("").template
        end = self.prompts.turn_end
        sequences = [[*template, *map(int, q), end] for q in questions]
        ids, mask = pad(sequences, 16, self.device)
        start = question_position(self.recipe.memory) - len(template)
        where = torch.arange(ids.shape[1], device=self.device)
        where = torch.where(where < len(template), where, where + start).expand_as(ids)
        routes = mask.clone()
        routes[:, : len(template)] = False
        context = TextBatch(mask, routes, self.routers, self.recipe.memory, {})
        self._run(ids, where, context, checkpointed=True)
        return context.queries, routes

    # Losses -------------------------------------------------------------------------------------------------------

    def document_scores(
        self, queries: dict[int, Tensor], routes: Tensor, documents: EncodedDocuments
    ) -> dict[int, Tensor]:
        """[Q, N] by layer."""
        return {
            layer: chunk_scores_to_documents(queries[layer], routes, documents.layers[layer].route, documents.chunks)
            for layer in self.recipe.memory.routed_layers
        }

    def routing_losses(self, scores: dict[int, Tensor], positive: Tensor, ignore: Tensor) -> dict[str, Tensor]:
        """Each layer alone, the lower layers' sum as `find` ranks, and the sum of all."""
        temperature = self.recipe.temperature
        memory = self.recipe.memory
        alone = [info_nce(s, positive, ignore, temperature) for s in scores.values()]
        lower = torch.stack([scores[layer] for layer in memory.ranking_layers]).sum(0)
        whole = torch.stack(list(scores.values())).sum(0)
        return {
            "layers": torch.stack(alone).mean(),
            "find": info_nce(lower, positive, ignore, temperature),
            "all": info_nce(whole, positive, ignore, temperature),
        }

    def answer_loss(
        self, conversations: Sequence[Conversation], documents: EncodedDocuments, at: list[list[int]]
    ) -> Tensor:
        """Cross-entropy of what the model must write. `at[i]` are rows of `documents` in conversation i's memory."""
        ids, mask = pad([c.ids for c in conversations], 64, self.device)
        template = conversations[0].routing[0]
        where = torch.zeros_like(ids)
        learn = torch.zeros_like(mask)
        for row, conversation in enumerate(conversations):
            n = len(conversation.ids)
            spots = positions(n, template, self.recipe.memory)
            where[row, :n] = torch.as_tensor(spots, device=self.device)
            learn[row, :n] = torch.as_tensor(conversation.learn, device=self.device)
        slots = max(len(rows) for rows in at)
        rows = torch.as_tensor([[*r, *[0] * (slots - len(r))] for r in at], device=self.device)
        filled = torch.as_tensor([[True] * len(r) + [False] * (slots - len(r)) for r in at], device=self.device)
        stored = {}
        # Every other step attends to the lower layers alone, as the product does with a memory made for `find`.
        attended = self.recipe.memory.ranking_layers if self.step % 2 else self.recipe.memory.routed_layers
        for layer in attended:
            pooled = documents.layers[layer]
            k, v = (x[rows].flatten(1, 2) for x in (pooled.k, pooled.v))
            exists = (documents.chunks[rows] & filled[..., None]).flatten(1)
            stored[layer] = TextMemory(k, v, exists)
        context = TextBatch(mask, mask, self.routers, self.recipe.memory, stored)
        hidden = self._run(ids, where, context, checkpointed=True).view(*ids.shape, -1)
        targets = learn[:, 1:]
        logits = self.decoder.logits(hidden[:, :-1][targets]).float()
        return F.cross_entropy(logits, ids[:, 1:][targets])

    # The run ------------------------------------------------------------------------------------------------------

    def rate(self, progress: float) -> float:
        """Share of the peak learning rate at `progress` in [0, 1]."""
        warmup, final = self.recipe.warmup, self.recipe.final_rate
        if progress < warmup:
            return progress / warmup
        turn = min(1.0, (progress - warmup) / (1 - warmup))
        return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * turn))

    def train_step(
        self, corpus: Corpus, batch: RoutingBatch, conversations: Sequence[Conversation], progress: float
    ) -> StepReport:
        """One optimiser step."""
        began = time.perf_counter()
        index = {document: i for i, document in enumerate(batch.documents)}
        for conversation in conversations:
            for document in conversation.documents:
                index.setdefault(document, len(index))
        documents = self.encode_documents([corpus.documents[d] for d in index])
        queries, routes = self.encode_questions([corpus.queries[q] for q in batch.queries])
        scores = self.document_scores(queries, routes, documents)
        # Documents that only a conversation brought in are extra negatives, unless their text is a positive's.
        extra = len(index) - len(batch.documents)
        texts = {corpus.texts[d] for d in batch.documents}
        unsure = [corpus.texts[d] in texts for d in list(index)[len(batch.documents) :]]
        positive = F.pad(torch.as_tensor(batch.positive), (0, extra)).to(self.device)
        ignore = F.pad(torch.as_tensor(batch.ignore), (0, extra)).to(self.device)
        ignore[:, len(batch.documents) :] = torch.as_tensor(unsure, dtype=torch.bool, device=self.device)
        losses = self.routing_losses(scores, positive, ignore)
        total = 0.5 * losses["layers"] + 0.25 * losses["find"] + 0.25 * losses["all"]
        if conversations:
            at = [[index[d] for d in c.documents] for c in conversations]
            losses["answer"] = self.answer_loss(conversations, documents, at)
            total = total + self.recipe.answer_weight * losses["answer"]
        total.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_([p for g in self.groups for p in g["params"]], self.recipe.clip)
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * self.rate(progress)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.step += 1
        seconds = time.perf_counter() - began
        self.spent += seconds
        report = {name: value.detach().item() for name, value in losses.items()}
        tokens = sum(len(corpus.documents[d]) for d in index) + sum(len(c.ids) for c in conversations)
        return StepReport(self.step, self.spent, {**report, "norm": float(norm)}, tokens)

    def run(self, corpus: Corpus, *, log: Callable[[StepReport], None], seconds: float | None = None) -> None:
        """Trains until the recipe's steps or seconds are spent, or until `seconds` of this call have passed."""
        recipe = self.recipe
        routing = RoutingBatches(
            corpus, size=recipe.questions, group=recipe.group, hard=recipe.hard, seed=recipe.seed + self.step
        )
        talks = Conversations(
            corpus,
            self.prompts,
            tokens=recipe.answer_tokens,
            memory_documents=recipe.memory_documents,
            seed=recipe.seed + self.step + 1,
        )
        began = time.perf_counter()
        for progress in self._progress():
            if seconds is not None and time.perf_counter() - began > seconds:
                return
            count = recipe.answers if corpus.answers else 0
            log(self.train_step(corpus, routing.next(), [talks.next() for _ in range(count)], progress))

    def _progress(self) -> Iterator[float]:
        while True:
            by_steps = self.step / self.recipe.steps
            by_time = self.spent / self.recipe.seconds if self.recipe.seconds else 0.0
            progress = by_time if self.recipe.seconds else by_steps
            if progress >= 1.0:
                return
            yield progress

    # Files --------------------------------------------------------------------------------------------------------

    def save_checkpoint(self, path: Path) -> None:
        """Adapters, routers, optimiser and counters; `load_checkpoint` goes on from it."""
        state = {
            "adapters": {n: {"a": a.a.detach(), "b": a.b.detach()} for n, a in self.adapters.items()},
            "routers": self.routers.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "counters": {"step": self.step, "spent": self.spent},
        }
        temporary = path.with_suffix(".part")
        torch.save(state, temporary)
        temporary.replace(path)

    def load_checkpoint(self, path: Path) -> None:
        state = torch.load(path, map_location=self.device, weights_only=True)
        for name, adapter in self.adapters.items():
            adapter.a.data.copy_(state["adapters"][name]["a"])
            adapter.b.data.copy_(state["adapters"][name]["b"])
        self.routers.load_state_dict(state["routers"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.spent = state["counters"]["step"], state["counters"]["spent"]

    def export(self, path: Path) -> None:
        """The 8-bit file that ships."""
        save_adapter(path, self.adapters, self.routers, self.recipe.memory, self.base_sha256)
