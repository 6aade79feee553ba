"""A bank: the entries of one or more manifests, placed for search and attention."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from codemem.kernels.route import RoutingKeys, route, score_chunks, score_documents_summed
from codemem.model.encode import layers_of
from codemem.model.entry import EntryLayout
from codemem.model.memory import LayerRoute
from codemem.model.store import LoadedEntries
from codemem.model.tiers import Budget, Limits, TieredRows, fetch_pair, place

_ROWS = ("k", "v")


class Bank:
    """Documents in the order of their entries. Implements `codemem.model.memory.LayerMemory`.

    Shapes: N documents, C chunks, G key heads, D head_dim, W = G * D.
    """

    def __init__(
        self,
        entries: LoadedEntries,
        layout: EntryLayout,
        *,
        device: torch.device,
        dtype: torch.dtype,
        budget: Budget | None = None,
    ) -> None:
        """Raises `OutOfMemory` if the routing keys do not fit the budget's share of the device."""
        self.layers = layers_of(layout)
        self.device, self.dtype = device, dtype
        self.chunk_offsets = torch.from_numpy(np.asarray(entries.offsets, np.int64)).to(device)
        self.chunk_ends = entries.chunk_ends
        self.offsets = np.asarray(entries.offsets, np.int64)
        self._has_empty = bool((np.diff(self.offsets) == 0).any())
        self._keys: dict[int, RoutingKeys] = {}
        self._rows: dict[str, TieredRows] = {}
        self._place(entries, budget or Budget())

    def _place(self, entries: LoadedEntries, budget: Budget) -> None:
        # Ranking needs the routing keys alone, and entries may then be loaded without the rest.
        parts = [f"{part}.{layer}" for layer in self.layers for part in _ROWS if f"{part}.{layer}" in entries.tensors]
        keys = {"int8": sum(_nbytes(entries.tensors, f"route.{layer}") for layer in self.layers)}
        rows = {part: _nbytes(entries.tensors, part) for part in parts}
        self.placement = place(keys, rows, Limits.of(budget, self.device))
        for layer in self.layers:
            values, scales = _pair(entries.tensors, f"route.{layer}")
            self._keys[layer] = RoutingKeys(values.to(self.device), scales.to(self.device))
        blocks = self.placement.blocks()
        for part in parts:
            values, scales = _pair(entries.tensors, part)
            self._rows[part] = TieredRows(
                values.view(*scales.shape, values.shape[1] // scales.shape[1]),
                scales,
                self.placement.tiers[part],
                device=self.device,
                dtype=self.dtype,
                spill=budget.spill,
                mapped=entries.mapped,
                blocks=blocks,
            )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def chunks(self) -> int:
        return int(self.offsets[-1])

    def chunk_scores(self, layer: int, query_TW: Tensor) -> Tensor:
        """[C] float32."""
        return score_chunks(query_TW, self._keys[layer])

    def rank(self, queries: Mapping[int, Tensor]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
        """Of each document [N] the sum over the bank's layers of its best chunk's score, and the chunk that is best in
        all of them together; -inf and 0 for a document of none. `queries`: folded [T, W] a layer."""
        counts = np.diff(self.offsets)
        full = np.flatnonzero(counts)
        starts = self.offsets[:-1][full]
        scores = np.full(len(self), -np.inf, np.float32)
        best = np.zeros(len(self), np.int32)
        if not len(full):
            return scores, best
        summed = np.zeros(self.chunks, np.float32)
        scores[full] = 0.0
        for layer in self.layers:
            chunk_scores = self.chunk_scores(layer, queries[layer]).cpu().numpy()
            scores[full] += np.maximum.reduceat(chunk_scores, starts)
            summed += chunk_scores
        tops = np.repeat(np.maximum.reduceat(summed, starts), counts[full])
        # Written from the back, so that of equal chunks the first stays.
        rows = np.flatnonzero(summed == tops)[::-1]
        owners = np.repeat(full, counts[full])[rows]
        best[owners] = rows - self.offsets[owners]
        return scores, best

    def score_batch(self, queries: Sequence[Mapping[int, Tensor]]) -> Tensor:
        """[B, N] float32 on the device: the scores of `rank` for several questions, each key read once."""
        offsets = [0, *np.cumsum([len(query[self.layers[0]]) for query in queries]).tolist()]
        together = [torch.cat([query[layer] for query in queries]) for layer in self.layers]
        keys = [self._keys[layer] for layer in self.layers]
        return score_documents_summed(together, keys, self.chunk_offsets, query_offsets=offsets)

    def route(self, layer: int, query_TW: Tensor, k: int) -> LayerRoute:
        """The k best documents of one layer; documents without an entry never come first and are left out."""
        documents, scores = route(query_TW, self._keys[layer], self.chunk_offsets, k)
        if self._has_empty:  # choosing rows makes the processor wait for a GPU
            real = torch.isfinite(scores)
            documents, scores = documents[real], scores[real]
        return LayerRoute(documents, scores)

    def fetch(self, layer: int, documents: Tensor) -> tuple[Tensor, Tensor]:
        """Pooled keys and values [M, G, D], documents ascending."""
        order = sorted(documents.tolist())
        spans = [(int(self.offsets[d]), int(self.offsets[d + 1])) for d in order]
        return fetch_pair(self._rows[f"k.{layer}"], self._rows[f"v.{layer}"], spans)

    def holds(self, layer: int) -> bool:
        return layer in self._keys


def _pair(tensors: Mapping[str, npt.NDArray[np.generic]], name: str) -> tuple[Tensor, Tensor]:
    part, _, layer = name.partition(".")
    return torch.from_numpy(tensors[name]), torch.from_numpy(tensors[f"{part}_scale.{layer}"])


def _nbytes(tensors: Mapping[str, npt.NDArray[np.generic]], name: str) -> int:
    part, _, layer = name.partition(".")
    return tensors[name].nbytes + tensors[f"{part}_scale.{layer}"].nbytes
