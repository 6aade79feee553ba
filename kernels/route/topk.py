"""Top documents with ties decided: equal scores go to the lower index, on every device.

Score and index are packed into one int64 that orders by falling score, then rising index. All packed numbers differ,
so any top-k algorithm, in any number of stages, gives the same answer.
"""

import torch
from torch import Tensor

_INDEX_MASK = 0xFFFFFFFF


def pack(scores: Tensor, indices: Tensor | None = None) -> Tensor:
    """float32 scores [..., N], and indices below 2^32 (their positions by default), to ordered int64 [..., N].

    NaN ranks as -inf: a damaged key never wins.
    """
    # Adding 0 turns -0 into +0, which are equal as scores and must tie.
    bits = (scores.float() + 0.0).masked_fill_(scores.isnan(), -torch.inf).contiguous().view(torch.int32)
    ordered = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).long()
    if indices is None:
        indices = torch.arange(scores.shape[-1], device=scores.device)
    return (ordered << 32) | (_INDEX_MASK - indices)


def unpack(packed: Tensor) -> tuple[Tensor, Tensor]:
    """Indices int64 and scores float32 of packed numbers."""
    ordered = (packed >> 32).int()
    scores = torch.where(ordered < 0, ordered ^ 0x7FFFFFFF, ordered).view(torch.float32)
    return _INDEX_MASK - (packed & _INDEX_MASK), scores


def top_packed(packed: Tensor, k: int) -> Tensor:
    """The min(k, N) largest packed numbers along the last dimension, falling."""
    return packed.topk(min(k, packed.shape[-1]), dim=-1, sorted=True).values


def top_documents(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Indices int64 and scores float32, each [..., min(k, N)], of the k best of [..., N], best first."""
    if k < 1:
        raise ValueError(f"at least one document is chosen, not {k}")
    return unpack(top_packed(pack(scores), k))
