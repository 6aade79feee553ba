"""A bank of which each process holds a share. Every method is called by all processes alike, and answers alike in all.

It stands where an ordinary bank stands: top documents are merged exactly, the rows of the chosen ones come from whoever
holds them, and the chunk scores of all shares are the memory's.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from codemem.kernels.route.cpu import maximum_per_document
from codemem.model.bank import Bank
from codemem.model.memory import LayerRoute
from codemem.model.msa4b.bank import Msa4bBank
from codemem.model.msa4b.tokens import NumberedDocument
from codemem.model.parallel.group import Group
from codemem.model.parallel.share import Share, gather_chunks, gather_rows, merge_top


class LocalBank(Protocol):
    """What a share is asked: its documents are counted from 0."""

    def route(self, layer: int, query_TW: Tensor, k: int) -> LayerRoute: ...

    def fetch(self, layer: int, documents: Tensor) -> tuple[Tensor, Tensor]: ...

    def chunk_scores(self, layer: int, query_TW: Tensor) -> Tensor: ...


class Shared:
    """The operations of a sharded bank over this process's share."""

    def __init__(self, group: Group, share: Share, local: LocalBank) -> None:
        self.group, self.share, self.local = group, share, local

    def route(self, layer: int, query_TW: Tensor, k: int) -> LayerRoute:
        if self.share.documents.start == self.share.documents.stop:  # more processes than documents
            nothing = query_TW.new_zeros(0, dtype=torch.float32)
            own = LayerRoute(nothing.long(), nothing)
        else:
            own = self.local.route(layer, query_TW, k)
        first = self.share.first_document
        return LayerRoute(*merge_top(self.group, own.documents, own.scores, k, first=first))

    def fetch(self, layer: int, documents: Tensor) -> tuple[Tensor, Tensor]:
        listed = sorted(documents.tolist())
        mine = self.share.of_rank(listed, self.group.rank)
        local = documents.new_tensor([document - self.share.first_document for document in mine])
        # Side by side: one exchange instead of two.
        both = torch.stack(self.local.fetch(layer, local), 1)
        k, v = gather_rows(self.group, self.share, both, listed).unbind(1)
        return k, v

    def chunk_scores(self, layer: int, query_TW: Tensor) -> Tensor:
        return gather_chunks(self.group, self.share, self.local.chunk_scores(layer, query_TW))


class SharedBank(Bank):
    """`Bank` over all processes."""

    def __init__(self, local: Bank, group: Group, share: Share, chunk_ends: npt.NDArray[np.uint32]) -> None:
        self._shared = Shared(group, share, local)
        self.layers, self.device, self.dtype, self.placement = local.layers, local.device, local.dtype, local.placement
        self.offsets, self.chunk_ends = share.chunk_offsets, chunk_ends
        self.chunk_offsets = torch.from_numpy(share.chunk_offsets).to(local.device)

    def chunk_scores(self, layer: int, query_TW: Tensor) -> Tensor:
        return self._shared.chunk_scores(layer, query_TW)

    def route(self, layer: int, query_TW: Tensor, k: int) -> LayerRoute:
        return self._shared.route(layer, query_TW, k)

    def fetch(self, layer: int, documents: Tensor) -> tuple[Tensor, Tensor]:
        return self._shared.fetch(layer, documents)

    def holds(self, layer: int) -> bool:
        return layer in self.layers


class SharedMsa4bBank(Msa4bBank):
    """`Msa4bBank` over all processes."""

    @classmethod
    def over(
        cls, local: Msa4bBank, group: Group, share: Share, documents: Sequence[NumberedDocument]
    ) -> "SharedMsa4bBank":
        """`documents`: of the whole memory, in its order."""
        bank = cls(local.config, local.fingerprint, device=local.device, dtype=local.dtype)
        numbers = [document.number for document in documents]
        bank.restore_documents(documents, next_number=max(numbers, default=-1) + 1)
        bank._shared, bank._local, bank.placement = Shared(group, share, local), local, local.placement
        return bank

    _shared: Shared
    _local: Msa4bBank

    @property
    def attendable(self) -> bool:
        return self._local.attendable

    @property
    def takes_rows(self) -> bool:
        """Rows come from other processes."""
        return False

    @property
    def nbytes(self) -> int:
        """Of this process's share."""
        return self._local.nbytes

    def chunk_scores(self, layer: int, query_TW: Tensor) -> Tensor:
        return self._shared.chunk_scores(layer, query_TW)

    def document_scores(self, layer: int, query_TW: Tensor) -> Tensor:
        return maximum_per_document(self.chunk_scores(layer, query_TW)[None], self.chunk_offsets)[0]

    def route(self, layer: int, query_TW: Tensor, k: int) -> LayerRoute:
        return self._shared.route(layer, query_TW, k)

    def fetch(self, layer: int, documents: Tensor) -> tuple[Tensor, Tensor]:
        return self._shared.fetch(layer, documents)
