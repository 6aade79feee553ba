"""Which part of a memory a process holds, and how the parts' answers become one.

Documents are cut into runs of neighbours with as equal numbers of chunks as whole documents allow: a share is a slice
of every table, and what all shares hold, one after another, is the memory in its order.

Shapes: N documents, C chunks, R processes, k documents chosen, B questions.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from codemem.kernels.route.topk import pack, top_packed, unpack
from codemem.model.parallel.group import Group

_NOTHING = torch.iinfo(torch.int64).min
"""Below every packed score."""
MOST_MERGED = 128
"""What the kernel merges; more is left to torch."""


@dataclass(frozen=True, slots=True)
class Share:
    """The documents of one process."""

    rank: int
    cuts: npt.NDArray[np.int64]
    """[R + 1] first document of each process."""
    chunk_offsets: npt.NDArray[np.int64]
    """[N + 1] of the whole memory."""

    @classmethod
    def of(cls, chunk_offsets: npt.NDArray[np.int64], rank: int, size: int) -> Self:
        """Cuts after the document that brings a process nearest to its part of the chunks."""
        offsets = np.asarray(chunk_offsets, np.int64)
        targets = offsets[-1] * np.arange(1, size) / size
        after = np.searchsorted(offsets, targets)
        before = np.maximum(after - 1, 0)
        nearer = np.where(
            targets - offsets[before] < offsets[np.minimum(after, len(offsets) - 1)] - targets, before, after
        )
        cuts = np.concatenate(([0], np.maximum.accumulate(nearer), [len(offsets) - 1])).astype(np.int64)
        return cls(rank, cuts, offsets)

    @property
    def size(self) -> int:
        return len(self.cuts) - 1

    @property
    def first_document(self) -> int:
        return int(self.cuts[self.rank])

    @property
    def documents(self) -> slice:
        return slice(int(self.cuts[self.rank]), int(self.cuts[self.rank + 1]))

    @property
    def rows(self) -> slice:
        """Of the whole memory's chunks."""
        return slice(*(int(self.chunk_offsets[cut]) for cut in self.cuts[self.rank : self.rank + 2]))

    @property
    def chunks(self) -> int:
        return self.chunks_of(self.rank)

    def offsets(self) -> Tensor:
        """[own documents + 1] int64, from 0."""
        own = self.chunk_offsets[self.cuts[self.rank] : self.cuts[self.rank + 1] + 1]
        return torch.from_numpy(own - own[0])

    def chunks_of(self, rank: int) -> int:
        first, last = (int(self.chunk_offsets[cut]) for cut in self.cuts[rank : rank + 2])
        return last - first

    def owner(self, document: int) -> int:
        """The process that holds a document."""
        return int(np.searchsorted(self.cuts, document, side="right")) - 1

    def of_rank(self, documents: list[int], rank: int) -> list[int]:
        """Those of the documents (global, any order) that a process holds."""
        return [d for d in documents if self.cuts[rank] <= d < self.cuts[rank + 1]]

    def rows_in(self, documents: list[int]) -> int:
        return sum(int(self.chunk_offsets[d + 1]) - int(self.chunk_offsets[d]) for d in documents)


def merge_top(
    group: Group, documents: Tensor, scores: Tensor, k: int, *, first: int = 0, total: int | None = None
) -> tuple[Tensor, Tensor]:
    """The k best of all processes from each one's best: global indices int64 and scores float32, [.., k or fewer].

    `documents` are counted from `first`. Exact: equal scores go to the lower index, as in one process. A process may
    have fewer than k; the result has as many as there are in all, up to k. If the caller knows that `total`, the merge
    stays in a GPU's stream: nothing waits for it.
    """
    packed = _pack(scores, documents, first)
    room = k - packed.shape[-1]
    if room > 0:
        packed = torch.cat((packed, packed.new_full((*packed.shape[:-1], room), _NOTHING)), -1)
    every = group.gather(packed, waits=total is None).movedim(0, -2).flatten(-2)
    if total is None:
        best = top_packed(every, k)
        real = int((best > _NOTHING).sum(-1).min()) if best.numel() else 0
        return unpack(best[..., :real])
    return _unpacked_top(every, min(k, total))


def _pack(scores: Tensor, documents: Tensor, first: int) -> Tensor:
    """In one kernel where there is a GPU: torch's operators for it would cost more than the exchange."""
    if scores.device.type == "cuda":
        from codemem.kernels.route import triton

        return triton.pack_documents(scores, documents, first)
    return pack(scores, documents + first)


def _unpacked_top(packed: Tensor, k: int) -> tuple[Tensor, Tensor]:
    if packed.device.type == "cuda" and k <= MOST_MERGED:
        from codemem.kernels.route import triton

        documents, scores = triton.merge_packed(packed.view(-1, packed.shape[-1]), k)
        return documents.view(*packed.shape[:-1], k), scores.view(*packed.shape[:-1], k)
    return unpack(top_packed(packed, k))


def gather_rows(group: Group, share: Share, own: Tensor, documents: list[int]) -> Tensor:
    """[M, ...]: rows of the documents listed (ascending), of which `own` holds this process's, in order."""
    counts = [share.rows_in(share.of_rank(documents, rank)) for rank in range(group.size)]
    padded = own.new_zeros((max(counts, default=0), *own.shape[1:]))
    padded[: len(own)] = own
    blocks = group.gather(_exchangeable(padded)).view(dtype=own.dtype)
    return torch.cat([block[:count] for block, count in zip(blocks, counts, strict=True)])


def gather_chunks(group: Group, share: Share, own_C: Tensor) -> Tensor:
    """[C]: every process's chunk scores, in the memory's order."""
    counts = [share.chunks_of(rank) for rank in range(group.size)]
    padded = own_C.new_zeros(max(counts))
    padded[: len(own_C)] = own_C
    return torch.cat([row[:count] for row, count in zip(group.gather(padded), counts, strict=True)])


def _exchangeable(x: Tensor) -> Tensor:
    """As bytes where the backend may not know the type; the last dimension then is that many times as long."""
    return x if x.dtype in (torch.float32, torch.int64, torch.uint8) else x.contiguous().view(torch.uint8)
