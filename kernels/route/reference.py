"""Routing as the specification words it: every head, every token, every chunk, in float64."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor


def head_scores(queries_THD: Tensor, keys_CGD: Tensor, *, normalise: bool) -> Tensor:
    """Scores of every token and chunk [T, C]: the mean over heads of the head's cosine, or dot times D^-0.5."""
    queries, keys = queries_THD.double(), keys_CGD.double()
    heads, head_dim = queries.shape[1:]
    if normalise:
        queries = queries / queries.norm(dim=-1, keepdim=True)
        keys = keys / keys.norm(dim=-1, keepdim=True)
    else:
        queries = queries * head_dim**-0.5
    group_of_head = torch.arange(heads) // (heads // keys.shape[1])
    return torch.einsum("thd,chd->htc", queries, keys[:, group_of_head]).mean(0)


def chunk_scores(q_TW: Tensor, keys_CW: Tensor) -> Tensor:
    """[C]: the best token of each chunk."""
    return (q_TW.double() @ keys_CW.double().T).amax(0)


def document_scores(chunk_scores_C: Tensor, chunk_offsets: Sequence[int]) -> Tensor:
    """[N]: the best chunk of each document, -inf for a document of none."""
    best = [
        chunk_scores_C[start:end].amax() if end > start else chunk_scores_C.new_tensor(-torch.inf)
        for start, end in pairwise(chunk_offsets)
    ]
    return torch.stack(best)


def top(scores_N: Tensor, k: int) -> list[int]:
    """The k best, best first, equal scores by rising index."""
    return sorted(range(len(scores_N)), key=lambda i: (-float(scores_N[i]), i))[:k]
