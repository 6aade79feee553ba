"""How every document of a memory answers a question: the same scores that routing takes its top documents from."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from codemem.model.msa4b.memory import Msa4bMemory


@dataclass(frozen=True, slots=True)
class Evidence:
    """Sums over routed layers."""

    documents: Tensor
    """[N] float32: of each document's best chunk a layer."""
    best_chunk: Tensor
    """[N] int64: the chunk, counted within its document, whose sum over the layers is highest; the first of equals."""


def weigh(memory: Msa4bMemory, queries: Mapping[int, Tensor]) -> Evidence:
    """Scores the whole memory with folded queries by layer."""
    offsets = memory.chunk_offsets
    owner = torch.repeat_interleave(offsets.diff())
    documents = torch.zeros(len(memory), device=memory.device)
    chunks = torch.zeros(len(owner), device=memory.device)
    for layer, folded in queries.items():
        scores = memory.chunk_scores(layer, folded)
        documents += _largest(scores, owner, len(memory))
        chunks += scores
    is_best = chunks == _largest(chunks, owner, len(memory))[owner]
    places = torch.arange(len(owner), device=memory.device)
    first = torch.full((len(memory),), len(owner), device=memory.device)
    first = first.scatter_reduce(0, owner[is_best], places[is_best], "amin")
    return Evidence(documents, torch.where(offsets.diff() > 0, first - offsets[:-1], 0))


def _largest(values_C: Tensor, owner_C: Tensor, documents: int) -> Tensor:
    """[N] the largest value of each document, -inf for one without chunks."""
    lowest = torch.full((documents,), -torch.inf, device=values_C.device)
    return lowest.scatter_reduce(0, owner_C, values_C, "amax")
