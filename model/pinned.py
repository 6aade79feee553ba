"""Pinned host memory for rows: several tensors in a block, because torch hands it out in powers of two.

A tensor of 1.6 GB pinned by itself takes 2.1 (benchmarks/results/2026-11-28-msa-4b-h100.md: 80 GB for 58 GB of rows).
Pieces of equal size share blocks of the size that costs the fewest bytes a piece.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor

ALIGNMENT = 256
"""Of every tensor in its block, in bytes."""


def piece_bytes(size: int) -> int:
    """What `size` bytes in two tensors take of a block, each at a multiple of `ALIGNMENT`."""
    return _aligned(size) + ALIGNMENT if size else 0


def block_for(piece: int, count: int, most: int | None = None) -> tuple[int, int]:
    """Bytes of the next block, a power of two, and how many of `count` pieces lie in it; of equally dear ones the
    smallest. `most`: no larger ones, except that one piece always has room."""
    smallest = size = 1 << (piece - 1).bit_length()
    best, held = size, 1
    while held < count and size < piece * count:
        size *= 2
        if most is not None and size > max(most, smallest):
            break
        fit = min(count, size // piece)
        if size * held < best * fit:
            best, held = size, fit
    return best, held


def blocks(piece: int, count: int) -> Iterator[int]:
    """Bytes of all blocks of so many pieces."""
    while count:
        size, held = block_for(piece, count)
        yield size
        count -= held


def taken(sizes: Iterable[int]) -> int:
    """Host memory that rows of these sizes take together, in bytes."""
    return sum(sum(blocks(piece, count)) for piece, count in _counted(sizes).items())


class PinnedBlocks:
    """Hands out pieces of pinned blocks. A block is torch's own pinned tensor and is gone with the last view of it."""

    def __init__(self, sizes: Iterable[int], *, allocate: Callable[[int], Tensor] | None = None) -> None:
        """`sizes`: bytes of all that is to be held, so that blocks are made for them together."""
        self._left = _counted(sizes)
        self._open: dict[int, tuple[Tensor, int]] = {}
        """Piece to a block with room, and where that begins."""
        self._most: int | None = None
        self._allocate = allocate or _pinned_bytes

    def hold(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Copies of at most two tensors, side by side. Where the system locks no more pages they stay as they are:
        read more slowly, and the same."""
        size = sum(x.nbytes for x in tensors)
        piece = self._take(piece_bytes(size)) if size else None
        if piece is None:
            return list(tensors)
        placed, start = [], 0
        for x in tensors:
            target = piece[start : start + x.nbytes].view(x.dtype).view(x.shape)
            placed.append(target.copy_(x))
            start += _aligned(x.nbytes)
        return placed

    def _take(self, piece: int) -> Tensor | None:
        """uint8 [piece]"""
        found = self._open.pop(piece, None) or self._new_block(piece)
        if found is None:
            return None
        block, start = found
        self._left[piece] -= 1
        end = start + piece
        if self._left[piece] > 0 and end + piece <= len(block):
            self._open[piece] = block, end
        return block[start:end]

    def _new_block(self, piece: int) -> tuple[Tensor, int] | None:
        while self._most is None or self._most >= piece:
            size, held = block_for(piece, max(1, self._left[piece]), self._most)
            try:
                return self._allocate(size), 0
            except RuntimeError:
                # A smaller one may still be had, and less that stays unpinned.
                self._most = size // 2 if held > 1 else 0
        return None


def give_back_unused(device: torch.device) -> None:
    """Returns to the system what torch keeps of pinned blocks that nobody holds: of a bank that is gone.

    Kept, they would serve the next bank only if its blocks had the same sizes, and would count as taken.
    """
    empty = getattr(torch.accelerator, "empty_host_cache", None) or getattr(torch._C, "_host_emptyCache", None)
    if empty is not None:
        # Kernels read such rows where they lie, and torch's bookkeeping knows of copies alone.
        torch.cuda.synchronize(device)
        empty()


def _counted(sizes: Iterable[int]) -> Counter[int]:
    return Counter(piece_bytes(size) for size in sizes if size)


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _pinned_bytes(size: int) -> Tensor:
    return torch.empty(size, dtype=torch.uint8, pin_memory=True)
