"""Chunks that end where lines end: an ablation of the product's chunks of 64 tokens (docs/training.md, "Choices").

The product cuts a document's memory every `chunk_tokens` tokens, counted from its first, so that an entry's shape
follows from its length alone. Here a chunk ends behind the last token within reach that ends a line, and is never
longer: as many lines as fit.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from codemem.model.tokenizer import Tokenizer
from codemem.training.batching import length_buckets
from codemem.training.contexts import DocumentBatch
from codemem.training.corpus import Ids
from codemem.training.network import Network, pad


def line_ends(tokenizer: Tokenizer, documents: Sequence[Ids]) -> npt.NDArray[np.bool_]:
    """Which tokens of the vocabulary end a line, by token id (those that the documents hold)."""
    held = np.unique(np.concatenate([np.asarray(d, np.int64) for d in documents]))
    ends = np.zeros(int(held.max()) + 1, np.bool_)
    ends[held] = [tokenizer.token_bytes(int(token)).endswith(b"\n") for token in held]
    return ends


def line_chunks(ids: Ids, ends: npt.NDArray[np.bool_], most: int) -> npt.NDArray[np.int64]:
    """The chunk of each token, from 0 and ascending: whole lines, as many as `most` tokens hold; a line that is longer
    is cut there."""
    stops = np.flatnonzero(ends[np.asarray(ids, np.int64)]) + 1
    chunks = np.empty(len(ids), np.int64)
    start = number = 0
    while start < len(ids):
        within = stops[(stops > start) & (stops <= start + most)]
        end = len(ids) if start + most >= len(ids) else int(within[-1]) if len(within) else start + most
        chunks[start:end] = number
        start, number = end, number + 1
    return chunks


class AlignedBatch(DocumentBatch):
    """Encodes [B, n] documents with the chunk of each token given, [B, n]; padding is in the last one, which is
    dropped."""

    def __init__(self, network: Network, mask_Bn: Tensor, chunk_Bn: Tensor, chunks: int) -> None:
        super().__init__(mask_Bn, network.routers, network.recipe.memory)
        self._chunk, self._chunks = chunk_Bn, chunks

    def pool(self, x_BnGD: Tensor) -> Tensor:
        """Means over the given chunks, [B, chunks, G, D]."""
        b, n = self.mask.shape
        index = self._chunk.view(b, n, 1, 1).expand_as(x_BnGD)
        total = x_BnGD.new_zeros(b, self._chunks + 1, *x_BnGD.shape[2:], dtype=torch.float32)
        total.scatter_add_(1, index, x_BnGD.float())
        count = total.new_zeros(b, self._chunks + 1).scatter_add_(1, self._chunk, self.mask.float())
        return (total / count.clamp_min(1)[..., None, None])[:, : self._chunks]


@torch.no_grad()
def encode_aligned(
    network: Network, documents: Sequence[Ids], ends: npt.NDArray[np.bool_]
) -> dict[int, tuple[Tensor, Tensor]]:
    """As `codemem.training.evaluate.encode_pool`, with chunks of whole lines."""
    memory = network.recipe.memory
    every = [line_chunks(document, ends, memory.chunk_tokens) for document in documents]
    widest = max(int(chunks[-1]) + 1 for chunks in every)
    shape = len(documents), widest
    counts = torch.tensor([int(chunks[-1]) + 1 for chunks in every])
    exists = (torch.arange(widest) < counts[:, None]).to(network.device)
    found: dict[int, Tensor] = {}
    lengths = [len(d) for d in documents]
    for bucket in length_buckets(lengths, tokens=network.recipe.bucket_tokens, multiple=memory.chunk_tokens):
        ids, mask = pad([documents[i] for i in bucket], memory.chunk_tokens, network.device)
        chunk = torch.full(ids.shape, widest, dtype=torch.long)
        for row, i in enumerate(bucket):
            chunk[row, : lengths[i]] = torch.from_numpy(every[i])
        context = AlignedBatch(network, mask, chunk.to(network.device), widest)
        where = torch.arange(ids.shape[1], device=network.device)
        network.run(ids, where.expand_as(ids), context, last=memory.routed_layers[-1])
        rows = torch.as_tensor(bucket, device=network.device)
        for layer in memory.routed_layers:
            route = context.pooled[layer].route
            if layer not in found:
                found[layer] = route.new_zeros(*shape, route.shape[-1])
            found[layer][rows] = route
    return {layer: (keys, exists) for layer, keys in found.items()}


def share_of_chunks(documents: Sequence[Ids], ends: npt.NDArray[np.bool_], most: int) -> float:
    """How many chunks of whole lines there are for one of `most` tokens: what alignment costs in memory."""
    aligned = sum(int(line_chunks(document, ends, most)[-1]) + 1 for document in documents)
    return aligned / sum(-(-len(document) // most) for document in documents)
