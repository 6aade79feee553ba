"""Routing in tiles on the CPU (and on any device that torch knows).

Shapes: T tokens of all questions, B questions, C chunks, N documents, W width.

Keys are widened to float32 a tile at a time, into a buffer that stays in the cache, and multiplied there. Widening
costs less than reading wider keys from memory would, and needs no integer instructions: oneDNN's int8 product
saturates its 16-bit intermediates on processors without VNNI and is then silently wrong (docs/decisions/0008).
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from codemem.kernels.route.keys import RoutingKeys
from codemem.kernels.route.topk import top_documents

TILE_NUMBERS = 1 << 20
"""float32 numbers in a tile of keys (4 MiB), and at most in a tile of scores."""


FEW_TOKENS = 24
"""Up to here [T, rows] is the faster shape of a product, beyond it [rows, T] (measured: docs/decisions/0008)."""


def _tile_rows(width: int, tokens: int) -> int:
    return max(1, TILE_NUMBERS // max(width, tokens, 1))


def score_chunks(q_TW: Tensor, keys: RoutingKeys, query_offsets: Sequence[int]) -> Tensor:
    """[B, C] float32: of each question, the best token of each chunk; -inf for a question of no tokens."""
    q = q_TW.float()
    chunks, width = keys.values.shape
    out = torch.full((len(query_offsets) - 1, chunks), -torch.inf, device=q.device)
    if not len(q) or not chunks:
        return out
    rows = min(chunks, _tile_rows(width, len(q)))
    wide = torch.empty(rows, width, device=q.device)
    products = torch.empty(rows * len(q), device=q.device)
    tokens_first = len(q) <= FEW_TOKENS
    # One scale a key is positive and common to all tokens: applied to the maximum instead of the products.
    one_scale = keys.scales is not None and keys.scales.shape[1] == 1
    for start in range(0, chunks, rows):
        tile = keys[start : start + rows]
        count = len(tile)
        widened = _widen(tile, wide[:count], one_scale)
        product = products[: count * len(q)]
        if tokens_first:
            product = torch.mm(q, widened.T, out=product.view(len(q), count)).T
        else:
            product = torch.mm(widened, q.T, out=product.view(count, len(q)))
        for question, (first, last) in enumerate(pairwise(query_offsets)):
            if last > first:
                torch.amax(product[:, first:last], 1, out=out[question, start : start + count])
    return out.mul_(keys.scales[:, 0]) if one_scale and keys.scales is not None else out


def _widen(tile: RoutingKeys, buffer: Tensor, skip_scale: bool) -> Tensor:
    if tile.format == "fp32":
        return tile.values
    buffer.copy_(tile.values)
    if tile.scales is not None and not skip_scale:
        buffer.view(len(buffer), -1, tile.group).mul_(tile.scales.float()[..., None])
    return buffer


def maximum_per_document(scores_BC: Tensor, chunk_offsets: Tensor) -> Tensor:
    """[B, N]: the best chunk of each document, -inf for a document of none."""
    if scores_BC.dtype != torch.float32:
        raise TypeError(f"scores are float32, not {scores_BC.dtype}")
    rows = [torch.segment_reduce(scores, "max", offsets=chunk_offsets) for scores in scores_BC]
    return torch.stack(rows)


def top_of_chunks(scores_BC: Tensor, chunk_offsets: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Indices int64 and scores float32 [B, min(k, N)] of the best documents, best first."""
    return top_documents(maximum_per_document(scores_BC, chunk_offsets), k)


def rows_of_documents(documents: Tensor, chunk_offsets: Tensor) -> tuple[Tensor, Tensor]:
    """Chunk indices of the documents listed [K], one document after another, and their offsets [K + 1]."""
    starts = chunk_offsets[documents]
    counts = chunk_offsets[documents + 1] - starts
    offsets = torch.zeros(len(documents) + 1, dtype=torch.int64, device=documents.device)
    torch.cumsum(counts, 0, out=offsets[1:])
    rows = torch.arange(int(offsets[-1]), device=documents.device)
    return rows + torch.repeat_interleave(starts - offsets[:-1], counts), offsets


def score_listed(
    q_TW: Tensor,
    keys: RoutingKeys,
    query_offsets: Sequence[int],
    chunk_offsets: Tensor,
    documents_BK: Tensor,
) -> Tensor:
    """[B, K] float32: of each question, the scores of the documents listed for it, from these keys."""
    out = torch.empty(documents_BK.shape, dtype=torch.float32, device=q_TW.device)
    for question, (first, last) in enumerate(pairwise(query_offsets)):
        rows, offsets = rows_of_documents(documents_BK[question], chunk_offsets)
        scores = score_chunks(q_TW[first:last], keys[rows], (0, last - first))
        out[question] = maximum_per_document(scores, offsets)[0]
    return out
