"""A bank: the entries of one or more manifests, placed for search and attention."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from codemem.kernels.route import RoutingKeys, route, score_chunks
from codemem.model.encode import layers_of
from codemem.model.entry import EntryLayout
from codemem.model.memory import LayerRoute
from codemem.model.store import LoadedEntries


@dataclass(frozen=True, slots=True)
class StoredRows:
    """int8 rows [C, G, D] with a float16 scale a group [C, G]."""

    values: Tensor
    scales: Tensor

    def rows(self, chunks: Tensor, dtype: torch.dtype) -> Tensor:
        values: Tensor = self.values[chunks].to(dtype) * self.scales[chunks].to(dtype)[..., None]
        return values


class Bank:
    """Documents in the order of their entries. Implements `codemem.model.memory.LayerMemory`.

    Shapes: N documents, C chunks, G key heads, D head_dim, W = G * D.
    """

    def __init__(
        self, entries: LoadedEntries, layout: EntryLayout, *, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.layers = layers_of(layout)
        self.device, self.dtype = device, dtype
        self.chunk_offsets = torch.from_numpy(np.asarray(entries.offsets, np.int64)).to(device)
        self.chunk_ends = entries.chunk_ends
        self.offsets = np.asarray(entries.offsets, np.int64)
        self._keys: dict[int, RoutingKeys] = {}
        self._k: dict[int, StoredRows] = {}
        self._v: dict[int, StoredRows] = {}
        for layer in self.layers:
            # Ranking needs the routing keys alone, and entries may then be loaded without the rest.
            loaded = [name for name in ("route", "k", "v") if f"{name}.{layer}" in entries.tensors]
            tensors = {name: torch.from_numpy(entries.tensors[f"{name}.{layer}"]) for name in loaded}
            scales = {name: torch.from_numpy(entries.tensors[f"{name}_scale.{layer}"]) for name in loaded}
            self._keys[layer] = RoutingKeys(tensors["route"].to(device), scales["route"].to(device))
            for name, place in (("k", self._k), ("v", self._v)):
                if name in loaded:
                    groups = scales[name].shape[1]
                    place[layer] = StoredRows(tensors[name].view(len(scales[name]), groups, -1), scales[name])

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def chunks(self) -> int:
        return int(self.offsets[-1])

    def chunk_scores(self, layer: int, query_TW: Tensor) -> Tensor:
        """[C] float32."""
        return score_chunks(query_TW, self._keys[layer])

    def route(self, layer: int, query_TW: Tensor, k: int) -> LayerRoute:
        """The k best documents of one layer; documents without an entry never come first and are left out."""
        documents, scores = route(query_TW, self._keys[layer], self.chunk_offsets, k)
        real = torch.isfinite(scores)
        return LayerRoute(documents[real], scores[real])

    def fetch(self, layer: int, documents: Tensor) -> tuple[Tensor, Tensor]:
        """Pooled keys and values [M, G, D], documents ascending."""
        order = documents.sort().values.cpu()
        offsets = torch.from_numpy(self.offsets)
        spans = [torch.arange(int(offsets[d]), int(offsets[d + 1])) for d in order.tolist()]
        chunks = torch.cat(spans) if spans else torch.zeros(0, dtype=torch.int64)
        return tuple(x[layer].rows(chunks, self.dtype).to(self.device) for x in (self._k, self._v))  # type: ignore[return-value]

    def holds(self, layer: int) -> bool:
        return layer in self._keys
