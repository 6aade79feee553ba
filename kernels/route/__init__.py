"""Routing: query tokens against routing keys, to the top documents (README.md has the maths).

Shapes: T query tokens, W = groups x head_dim numbers a key, C chunks, N documents, B questions.

Several questions go in one call: their tokens lie one after another in q [T, W] and `query_offsets` [B + 1] says where
each begins; results then carry a leading B. Without it all tokens are one question and results have no leading
dimension. Inference only; `fold_query` alone is differentiable.
"""

from collections.abc import Sequence
from types import ModuleType

import torch
from torch import Tensor

from codemem.kernels.route import cpu
from codemem.kernels.route.fold import fold_query
from codemem.kernels.route.keys import KeyFormat, RoutingKeys, dequantise, quantise_keys
from codemem.kernels.route.topk import pack, top_documents, top_packed, unpack

__all__ = [
    "KeyFormat",
    "RoutingKeys",
    "dequantise",
    "fold_query",
    "quantise_keys",
    "route",
    "score_chunks",
    "score_documents",
    "score_documents_summed",
    "top_documents",
]

CANDIDATES = 4
"""Documents kept for the second pass, as a multiple of k: the wanted 16 of a narrow format lie within its top 64."""


@torch.no_grad()
def score_chunks(q_TW: Tensor, keys: RoutingKeys, *, query_offsets: Sequence[int] | None = None) -> Tensor:
    """[C] or [B, C] float32: each chunk's score with the question's best token."""
    _check_queries(q_TW, keys)
    scores: Tensor = _paths(q_TW.device).score_chunks(q_TW, keys, _offsets(q_TW, query_offsets))
    return scores[0] if query_offsets is None else scores


@torch.no_grad()
def score_documents(
    q_TW: Tensor, keys: RoutingKeys, chunk_offsets: Tensor, *, query_offsets: Sequence[int] | None = None
) -> Tensor:
    """[N] or [B, N] float32: each document's best chunk.

    `chunk_offsets` is int64 [N + 1]: document n owns chunks chunk_offsets[n] : chunk_offsets[n + 1].
    A document without chunks scores -inf.
    """
    _check_queries(q_TW, keys)
    _check_chunk_offsets(chunk_offsets, keys)
    paths = _paths(q_TW.device)
    scores = paths.score_chunks(q_TW, keys, _offsets(q_TW, query_offsets))
    best: Tensor = paths.maximum_per_document(scores, chunk_offsets)
    return best[0] if query_offsets is None else best


@torch.no_grad()
def score_documents_summed(
    queries: Sequence[Tensor],
    keys: Sequence[RoutingKeys],
    chunk_offsets: Tensor,
    *,
    weights: Sequence[float] | None = None,
    query_offsets: Sequence[int] | None = None,
) -> Tensor:
    """[N] or [B, N] float32: the (weighted) sum over layers of each layer's document score.

    `queries[l]` [T, W] and `keys[l]` belong to layer l; all layers share the documents' chunks. A document without
    chunks scores -inf.
    """
    weights = [1.0] * len(keys) if weights is None else weights
    if not len(queries) == len(keys) == len(weights) or not keys:
        raise ValueError(f"{len(queries)} layers of queries, {len(keys)} of keys and {len(weights)} weights")
    total: Tensor | None = None
    for q_TW, layer_keys, weight in zip(queries, keys, weights, strict=True):
        scores = score_documents(q_TW, layer_keys, chunk_offsets, query_offsets=query_offsets)
        total = scores.mul_(weight) if total is None else total.add_(scores, alpha=weight)
    assert total is not None
    # An infinite score keeps no sign through a negative weight, and 0 times it is no number.
    return total.masked_fill_(chunk_offsets.diff() == 0, -torch.inf)


@torch.no_grad()
def route(
    q_TW: Tensor,
    keys: RoutingKeys,
    chunk_offsets: Tensor,
    k: int,
    *,
    query_offsets: Sequence[int] | None = None,
    rescore: RoutingKeys | None = None,
    candidates: int | None = None,
) -> tuple[Tensor, Tensor]:
    """The k best documents: indices int64 and scores float32, [min(k, N)] or [B, min(k, N)], best first.

    Equal scores go to the lower index. `rescore` holds the same keys at a higher precision: the best `candidates`
    documents (default 4 k) of the first pass are then scored again from it, and their new scores decide.
    """
    _check_queries(q_TW, keys)
    _check_chunk_offsets(chunk_offsets, keys)
    offsets = _offsets(q_TW, query_offsets)
    if k < 1:
        raise ValueError(f"at least one document is chosen, not {k}")
    if rescore is not None and rescore.values.shape != keys.values.shape:
        raise ValueError(f"rescore holds keys of {tuple(rescore.values.shape)}, not {tuple(keys.values.shape)}")
    kept = k if rescore is None else max(k, CANDIDATES * k if candidates is None else candidates)
    kept = min(kept, len(chunk_offsets) - 1)
    paths = _paths(q_TW.device)
    documents, scores = paths.top_of_chunks(paths.score_chunks(q_TW, keys, offsets), chunk_offsets, kept)
    if rescore is not None:
        scores = paths.score_listed(q_TW, rescore, offsets, chunk_offsets, documents)
        documents, scores = unpack(top_packed(pack(scores, documents), k))
    return (documents[0], scores[0]) if query_offsets is None else (documents, scores)


def _paths(device: torch.device) -> ModuleType:
    """The implementation for a device: Triton's kernels on a GPU that has them, tiles of torch elsewhere."""
    if device.type == "cuda":
        from codemem.kernels.route import triton

        return triton
    return cpu


def _offsets(q_TW: Tensor, query_offsets: Sequence[int] | None) -> list[int]:
    if query_offsets is None:
        return [0, len(q_TW)]
    offsets = [int(x) for x in query_offsets]
    if len(offsets) < 2 or offsets[0] != 0 or offsets[-1] != len(q_TW) or offsets != sorted(offsets):
        raise ValueError(f"query_offsets must rise from 0 to {len(q_TW)}, not {offsets}")
    return offsets


def _check_queries(q_TW: Tensor, keys: RoutingKeys) -> None:
    if q_TW.dim() != 2 or q_TW.shape[1] != keys.width:
        raise ValueError(f"folded queries are [tokens, {keys.width}], not {tuple(q_TW.shape)}")
    if q_TW.device != keys.values.device:
        raise ValueError(f"queries are on {q_TW.device}, routing keys on {keys.values.device}")


def _check_chunk_offsets(chunk_offsets: Tensor, keys: RoutingKeys) -> None:
    if chunk_offsets.dim() != 1 or len(chunk_offsets) < 2 or chunk_offsets.dtype != torch.int64:
        raise ValueError(f"chunk_offsets are int64 [documents + 1], not {tuple(chunk_offsets.shape)}")
    # Reading the last offset would wait for a GPU; there the caller's table is trusted.
    if chunk_offsets.device.type == "cpu" and int(chunk_offsets[-1]) != len(keys):
        raise ValueError(f"chunk_offsets end at {int(chunk_offsets[-1])}, but there are {len(keys)} chunks")
