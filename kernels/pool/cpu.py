"""Pooling with torch on any device, differentiable.

Shapes: L rows of all documents, C chunks, P tokens a chunk.
"""

import torch
from torch import Tensor

TILE_NUMBERS = 1 << 22
"""float32 numbers gathered at a time (16 MiB)."""


def pool_chunks(x: Tensor, first_C: Tensor, count_C: Tensor, chunk_tokens: int) -> Tensor:
    """Means [C, ...] float32 of `count_C` rows of x [L, ...] from `first_C` on.

    Rows are added as a balanced tree over the places of a chunk, element by element: the order, and so every bit of
    the result, depends on nothing but the chunk's own rows.
    """
    chunks = len(first_C)
    # A power of two of places: the tree then halves evenly. Places beyond the chunk add exact zeros.
    places = 1 << (chunk_tokens - 1).bit_length()
    per_tile = max(1, TILE_NUMBERS // max(1, places * x[:1].numel()))
    place = torch.arange(places, device=x.device)
    parts = [x.new_zeros((0, *x.shape[1:]), dtype=torch.float32)]
    for start in range(0, chunks, per_tile):
        first, count = first_C[start : start + per_tile], count_C[start : start + per_tile]
        inside = place < count[:, None]
        rows = torch.where(inside, first[:, None] + place, first[:, None])
        tile = x.index_select(0, rows.flatten()).float().view(*rows.shape, *x.shape[1:])
        if not bool(inside.all()):
            tile = torch.where(inside.view(*inside.shape, *[1] * (x.dim() - 1)), tile, 0.0)
        while tile.shape[1] > 1:
            half = tile.shape[1] // 2
            tile = tile[:, :half] + tile[:, half:]
        parts.append(tile[:, 0] / count.view(-1, *[1] * (x.dim() - 1)))
    return torch.cat(parts)
