"""Pooling as the specification words it: one document, one chunk at a time, in float64."""

from collections.abc import Sequence

import torch
from torch import Tensor


def pool_chunks(x: Tensor, lengths: Sequence[int], chunk_tokens: int) -> Tensor:
    """Means [C, ...] of the chunks of packed documents [L, ...]; the last chunk of a document may be short."""
    means = []
    start = 0
    for length in lengths:
        document = x[start : start + length].double()
        means += [document[i : i + chunk_tokens].mean(0) for i in range(0, length, chunk_tokens)]
        start += length
    return torch.stack(means) if means else x.new_zeros((0, *x.shape[1:]), dtype=torch.float64)


def normalise_groups(pooled_CGD: Tensor) -> Tensor:
    """Each group's D numbers divided by their length; zeros stay zeros."""
    length = pooled_CGD.norm(dim=-1, keepdim=True)
    return torch.where(length > 0, pooled_CGD / length, pooled_CGD)
