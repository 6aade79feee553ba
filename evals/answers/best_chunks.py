"""Attention to each document's best chunk alone: what the other chunks' pooled keys and values add."""

from typing import Self

import numpy as np
import torch
from torch import Tensor

from codemem.model.bank import Bank
from codemem.model.memory import LayerRoute


class BestChunks(Bank):
    """A bank that gives of the documents that a layer chose the chunk alone that its question matched best."""

    _queries: dict[int, Tensor]

    @classmethod
    def of(cls, bank: Bank) -> Self:
        """Over the same tensors."""
        found = cls.__new__(cls)
        found.__dict__.update(bank.__dict__)
        found._queries = {}
        return found

    def route(self, layer: int, query_TW: Tensor, k: int) -> LayerRoute:
        """As the bank's own; what was asked is kept for `fetch`, which follows."""
        self._queries[layer] = query_TW
        return super().route(layer, query_TW, k)

    def fetch(self, layer: int, documents: Tensor) -> tuple[Tensor, Tensor]:
        """Pooled keys and values [documents, G, D], documents ascending."""
        keys, values = super().fetch(layer, documents)
        scores = self.chunk_scores(layer, self._queries[layer]).cpu().numpy()
        best, at = [], 0
        for document in sorted(documents.tolist()):
            start, end = int(self.offsets[document]), int(self.offsets[document + 1])
            best.append(at + int(np.argmax(scores[start:end])))
            at += end - start
        rows = torch.tensor(best, device=keys.device)
        return keys[rows], values[rows]
