"""Routers alone, on a frozen backbone: the warm-up that a processor can run.

Pooling is a mean and a router is linear, so the mean of a chunk's routing keys is the router applied to the mean of the
layer's normalised inputs. Those means (and a question's token inputs) are computed once; training on them costs next to
nothing, and every document read is a negative of every question.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from codemem.kernels.pool import pool_chunks
from codemem.kernels.route import fold_query
from codemem.model.config import MemoryConfig
from codemem.model.decoder import Decoder
from codemem.model.losses import chunk_scores_to_documents, info_nce
from codemem.model.packed import attend_within
from codemem.model.prompts import question_position
from codemem.model.routers import Routers


class InputContext:
    """Keeps the normalised inputs of the routed layers."""

    def __init__(self, lengths: Sequence[int], layers: Sequence[int]) -> None:
        self.lengths, self.layers = list(lengths), frozenset(layers)
        self.inputs: dict[int, Tensor] = {}

    def attend(self, layer: int, hidden_TE: Tensor, q_THD: Tensor, k_TGD: Tensor, v_TGD: Tensor) -> Tensor:
        if layer in self.layers:
            self.inputs[layer] = hidden_TE
        return attend_within(q_THD, k_TGD, v_TGD, self.lengths) if len(q_THD) else q_THD


@dataclass(slots=True)
class Features:
    """By layer, `rows[layer]` [R, E] in float16 and which sequence each row belongs to, `owner` [R]."""

    rows: dict[int, Tensor]
    owner: Tensor


@torch.inference_mode()
def document_features(
    decoder: Decoder, documents: Sequence[Sequence[int]], memory: MemoryConfig, *, pack_tokens: int = 2048
) -> Features:
    """One row a chunk: the mean of the layer's inputs over it."""
    layers = memory.routed_layers
    rows: dict[int, list[Tensor]] = {layer: [] for layer in layers}
    owner = []
    for first, pack in _packs(documents, pack_tokens):
        lengths = [len(document) for document in pack]
        positions = torch.cat([torch.arange(n) for n in lengths])
        context = InputContext(lengths, layers)
        decoder(torch.tensor([t for d in pack for t in d]), positions, context, observe_only=layers[-1])
        for layer in layers:
            rows[layer].append(pool_chunks(context.inputs[layer].float(), lengths, memory.chunk_tokens).half())
        owner += [first + i for i, n in enumerate(lengths) for _ in range(-(-n // memory.chunk_tokens))]
    return Features({layer: torch.cat(parts) for layer, parts in rows.items()}, torch.tensor(owner))


@torch.inference_mode()
def question_features(
    decoder: Decoder,
    questions: Sequence[Sequence[int]],
    template: Sequence[int],
    memory: MemoryConfig,
    *,
    pack_tokens: int = 2048,
) -> Features:
    """One row a token that routes. `questions` hold those tokens, without the template."""
    layers, start = memory.routed_layers, question_position(memory)
    rows: dict[int, list[Tensor]] = {layer: [] for layer in layers}
    owner = []
    for first, pack in _packs(questions, pack_tokens):
        whole = [[*template, *question] for question in pack]
        lengths = [len(ids) for ids in whole]
        spot = [torch.cat((torch.arange(len(template)), start + torch.arange(len(q)))) for q in pack]
        context = InputContext(lengths, layers)
        decoder(torch.tensor([t for ids in whole for t in ids]), torch.cat(spot), context, observe_only=layers[-1])
        routes = torch.cat([torch.arange(n) >= len(template) for n in lengths])
        for layer in layers:
            rows[layer].append(context.inputs[layer][routes].half())
        owner += [first + i for i, question in enumerate(pack) for _ in question]
    return Features({layer: torch.cat(parts) for layer, parts in rows.items()}, torch.tensor(owner))


def _packs(sequences: Sequence[Sequence[int]], tokens: int) -> list[tuple[int, list[Sequence[int]]]]:
    """Runs of sequences of about `tokens` tokens, each with the index of its first."""
    packs: list[tuple[int, list[Sequence[int]]]] = []
    total = tokens
    for index, sequence in enumerate(sequences):
        if total + len(sequence) > tokens:
            packs.append((index, []))
            total = 0
        packs[-1][1].append(sequence)
        total += len(sequence)
    return packs


def padded(features: Features, layer: int, which: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of the sequences `which` (ascending) as [n, most, E] float32 and the mask [n, most]."""
    counts = torch.bincount(features.owner, minlength=int(features.owner.max()) + 1)
    starts = counts.cumsum(0) - counts
    width = int(counts[which].max())
    spot = starts[which][:, None] + torch.arange(width)
    mask = torch.arange(width) < counts[which][:, None]
    return features.rows[layer][spot.clamp_max(len(features.owner) - 1)].float(), mask


@dataclass(slots=True)
class Warmup:
    """Trains routers on cached inputs with the contrastive loss of every layer and of their sum."""

    routers: Routers
    memory: MemoryConfig
    documents: Features
    questions: Features
    gold: Tensor
    """[questions] the document that answers each."""
    groups: int
    temperature: float = 0.05
    noise: float = 0.1
    """Share of inputs dropped, against learning few examples by heart."""

    def scores(self, which: Tensor, *, training: bool) -> dict[int, Tensor]:
        """[len(which), documents] by layer."""
        found = {}
        every = torch.arange(int(self.documents.owner.max()) + 1)
        for layer in self.memory.routed_layers:
            router = self.routers.at(layer)
            keys, key_mask = padded(self.documents, layer, every)
            inputs, mask = padded(self.questions, layer, which)
            if training:
                keys, inputs = F.dropout(keys, self.noise), F.dropout(inputs, self.noise)
            key = F.normalize(router.key(keys.flatten(0, 1)), dim=-1).flatten(1).view(*key_mask.shape, -1)
            query = fold_query(router.query(inputs.flatten(0, 1)), self.groups, normalise=True)
            found[layer] = chunk_scores_to_documents(query.view(*mask.shape, -1), mask, key, key_mask)
        return found

    def loss(self, which: Tensor) -> Tensor:
        scores = self.scores(which, training=True)
        some = next(iter(scores.values()))
        positive = F.one_hot(self.gold[which], some.shape[1]).bool()
        none = torch.zeros_like(positive)
        summed = torch.stack(list(scores.values())).sum(0)
        alone = torch.stack([info_nce(s, positive, none, self.temperature) for s in scores.values()]).mean()
        return 0.5 * alone + 0.5 * info_nce(summed, positive, none, self.temperature)

    @torch.no_grad()
    def ranks(self, which: Tensor) -> Tensor:
        """Rank of each question's document by the sum over layers."""
        summed = torch.stack(list(self.scores(which, training=False).values())).sum(0)
        own = summed.gather(1, self.gold[which][:, None])
        return 1 + (summed > own).sum(1)
