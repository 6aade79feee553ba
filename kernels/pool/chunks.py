"""Where the chunks of packed documents lie."""

from collections.abc import Sequence

import torch
from torch import Tensor


def chunk_table(lengths: Tensor | Sequence[int], chunk_tokens: int) -> tuple[Tensor, Tensor, Tensor]:
    """First row [C] and token count [C] of every chunk, and chunk_offsets [N + 1] of the documents; int64.

    Chunks are counted from each document's first token, never cross documents, and the last may be short.
    """
    lengths = torch.as_tensor(lengths, dtype=torch.int64)
    if chunk_tokens < 1:
        raise ValueError(f"a chunk has at least one token, not {chunk_tokens}")
    if lengths.dim() != 1 or bool((lengths < 0).any()):
        raise ValueError("lengths are the token counts of the documents, none negative")
    starts = lengths.cumsum(0) - lengths
    counts = (lengths + chunk_tokens - 1) // chunk_tokens
    offsets = torch.cat((counts.new_zeros(1), counts.cumsum(0)))
    document = torch.repeat_interleave(counts)
    within = (torch.arange(len(document)) - offsets[document]) * chunk_tokens
    return starts[document] + within, (lengths[document] - within).clamp_max(chunk_tokens), offsets
