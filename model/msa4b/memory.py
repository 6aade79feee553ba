"""The memory of an MSA-4B model: numbered documents and what every routed layer keeps of them.

A document's number is spelled in its text, so it is part of what is encoded: numbers are given once, in order, and
never again, and a memory is kept and imported whole.
Shapes: N documents, C chunks, G key heads, D head_dim, W = G x D.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import normalize

from codemem.kernels.route import RoutingKeys, route, score_chunks, score_documents
from codemem.model.ahead import begin_copy
from codemem.model.memory import EncodingContext, LayerRoute, PooledLayer
from codemem.model.msa4b.checkpoint import Msa4bModel
from codemem.model.msa4b.config import Msa4bConfig
from codemem.model.msa4b.tokens import NumberedDocument

TOKENS_AT_ONCE = 16_384
"""Tokens encoded in one pass, unless one document alone is longer."""


@dataclass(frozen=True, slots=True)
class LayerEntries:
    """What one routed layer keeps: a row a chunk, documents one after another."""

    route: Tensor
    """[C, W] routing keys as they are ranked with: each group L2-normalised for the cosine."""
    norms: Tensor
    """[C, G] float32: the lengths that the groups had; ones where nothing was normalised."""
    k: Tensor
    """[C, G, D]; [C, 0, 0] for entries that are only ranked."""
    v: Tensor

    def tensors(self) -> dict[str, Tensor]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def take(self, rows: Tensor) -> "LayerEntries":
        return LayerEntries(**{name: tensor[rows] for name, tensor in self.tensors().items()})

    def reranked(self, *, cosine: bool) -> "LayerEntries":
        """The same entries for the other ranking rule than they were made for, which is now `cosine` or not."""
        keys_CGD = self.route.float().view(*self.norms.shape, -1)
        if not cosine:
            keys_CGD = keys_CGD * self.norms[..., None]
        return entries_of(keys_CGD, self.k, self.v, cosine=cosine, dtype=self.route.dtype)


def entries_of(
    route_CGD: Tensor, k: Tensor | None, v: Tensor | None, *, cosine: bool, dtype: torch.dtype
) -> LayerEntries:
    """Entries from pooled rows as they were pooled; without keys and values they can be ranked alone."""
    norms = route_CGD.float().norm(dim=-1)
    keys = normalize(route_CGD.float(), dim=-1) if cosine else route_CGD
    nothing = route_CGD.new_empty((len(route_CGD), 0, 0))
    return LayerEntries(
        keys.flatten(1).to(dtype),
        norms if cosine else torch.ones_like(norms),
        (nothing if k is None else k).to(dtype),
        (nothing if v is None else v).to(dtype),
    )


class Msa4bMemory:
    """Documents and entries on one device; implements `LayerMemory`. Document indices are positions in `documents`."""

    def __init__(self, config: Msa4bConfig, fingerprint: str, *, device: torch.device, dtype: torch.dtype) -> None:
        self.config, self.fingerprint, self.device, self.dtype = config, fingerprint, device, dtype
        self.documents: list[NumberedDocument] = []
        self.next_number = 0
        self._index: dict[int, int] = {}
        self._parts: dict[int, list[LayerEntries]] = {layer: [] for layer in config.memory.routed_layers}
        self._offsets: Tensor | None = None
        self._host_offsets: npt.NDArray[np.int64] | None = None
        self.version = 0
        """Raised by every change: who has recorded where entries lie must look again."""
        self._has_empty = False
        """Whether a document has no chunks: its entry could not be read. It is never chosen."""

    @classmethod
    def of(cls, model: Msa4bModel) -> "Msa4bMemory":
        """An empty memory for this model, on its device and in its dtype."""
        return cls(model.config, model.fingerprint, device=model.device, dtype=model.dtype)

    def __len__(self) -> int:
        return len(self.documents)

    @property
    def chunks(self) -> int:
        return int(self.chunk_offsets[-1])

    @property
    def attendable(self) -> bool:
        """Whether keys and values are there, not routing keys alone."""
        return all(part.k.numel() for parts in self._parts.values() for part in parts)

    @property
    def nbytes(self) -> int:
        """Bytes of all entries."""
        return sum(t.nbytes for parts in self._parts.values() for part in parts for t in part.tensors().values())

    def index_of(self, number: int) -> int | None:
        """Where the document of this number lies, None if there is none."""
        return self._index.get(number)

    def add(self, model: Msa4bModel, texts: Sequence[tuple[str, str]]) -> list[int]:
        """Encodes new documents, (header, text) each; returns their numbers."""
        numbers = list(range(self.next_number, self.next_number + len(texts)))
        numbered = [(number, header, text) for number, (header, text) in zip(numbers, texts, strict=True)]
        documents = model.protocol.documents(numbered)
        for pack in packs(documents):
            self.append(pack, encode(model, pack))
        return numbers

    def restore_documents(self, documents: Sequence[NumberedDocument], next_number: int) -> None:
        """Sets the documents of an empty memory whose layers are restored next."""
        self.documents = list(documents)
        self._index = {document.number: i for i, document in enumerate(self.documents) if document.number >= 0}
        self.next_number = next_number
        self._has_empty = not all(len(document.chunk_ends) for document in self.documents)
        self._changed()

    def restore_layer(self, layer: int, entries: LayerEntries) -> None:
        """Sets a layer's entries. Raises `ValueError` if they are not one row a chunk of the documents."""
        if any(len(tensor) != self.chunks for tensor in entries.tensors().values()):
            raise ValueError(f"layer {layer} does not hold {self.chunks} chunks")
        self._parts[layer] = [entries]
        self._changed()

    def append(self, documents: Sequence[NumberedDocument], pooled: dict[int, PooledLayer]) -> None:
        """Adds documents whose numbers are new and ascend, with their pooled layers in the same order."""
        for document in documents:
            if document.number < self.next_number:
                raise ValueError(f"number {document.number} is taken: the next one is {self.next_number}")
            self._index[document.number] = len(self.documents)
            self.documents.append(document)
            self.next_number = document.number + 1
        for layer, parts in self._parts.items():
            p, cosine = pooled[layer], self.config.memory.cosine
            parts.append(entries_of(p.route, p.k, p.v, cosine=cosine, dtype=self.dtype))
        self._changed()

    def remove(self, numbers: Sequence[int]) -> None:
        """Forgets documents; their numbers are not given again. Raises `KeyError` for a number that is not there."""
        gone = {self._index[number] for number in numbers}
        kept = [i for i in range(len(self.documents)) if i not in gone]
        rows = self.rows(torch.tensor(kept, dtype=torch.int64, device=self.device))
        for layer in self._parts:
            self._parts[layer] = [self.layer(layer).take(rows)] if self.documents else []
        self.documents = [self.documents[i] for i in kept]
        self._index = {document.number: i for i, document in enumerate(self.documents)}
        self._changed()

    def _changed(self) -> None:
        self._offsets = self._host_offsets = None
        self.version += 1

    @property
    def host_offsets(self) -> npt.NDArray[np.int64]:
        """[N + 1]: document n owns chunks offsets[n] : offsets[n + 1]."""
        if self._host_offsets is None:
            counts = [0, *(len(document.chunk_ends) for document in self.documents)]
            self._host_offsets = np.cumsum(counts, dtype=np.int64)
        return self._host_offsets

    @property
    def chunk_offsets(self) -> Tensor:
        """`host_offsets` on the memory's device."""
        if self._offsets is None:
            self._offsets = torch.from_numpy(self.host_offsets).to(self.device)
        return self._offsets

    def layer(self, layer: int) -> LayerEntries:
        """The entries of a routed layer, in one piece."""
        parts = self._parts[layer]
        if not parts:
            raise ValueError("the memory is empty")
        if len(parts) > 1:
            names = [field.name for field in fields(LayerEntries)]
            joined = LayerEntries(*(torch.cat([getattr(part, name) for part in parts]) for name in names))
            self._parts[layer] = parts = [joined]
        return parts[0]

    def route(self, layer: int, query_TW: Tensor, k: int) -> LayerRoute:
        """The top k documents (all, if there are fewer) for folded queries [T, W]; never one without chunks."""
        return self.there(LayerRoute(*self.choose(layer, query_TW, k)))

    def choose(self, layer: int, query_TW: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Documents and scores of `route`, [min(k, N)] each, documents without chunks among them at -inf."""
        return route(query_TW, self.routing_keys(layer), self.chunk_offsets, k)

    def there(self, chosen: LayerRoute) -> LayerRoute:
        """Without documents that have no chunks."""
        if not self._has_empty:
            return chosen
        real = torch.isfinite(chosen.scores)
        return LayerRoute(chosen.documents[real], chosen.scores[real])

    def routing_keys(self, layer: int) -> RoutingKeys:
        return RoutingKeys(self.layer(layer).route)

    def fetch(self, layer: int, documents: Tensor) -> tuple[Tensor, Tensor]:
        """Pooled keys and values [M, G, D] of these documents, in ascending order of index."""
        return self.take(layer, self._rows_of(sorted(documents.tolist())))

    @property
    def takes_rows(self) -> bool:
        """Whether `take` serves: the processor is not needed to fetch what a GPU has chosen."""
        return self.attendable

    def take(self, layer: int, rows_M: Tensor) -> tuple[Tensor, Tensor]:
        """Pooled keys and values [M, G, D] of chunks, listed on the device."""
        entries = self.layer(layer)
        return entries.k[rows_M], entries.v[rows_M]

    def most_rows(self, k: int) -> int:
        """Chunks that any k documents have at most."""
        counts = np.diff(self.host_offsets)
        return int(counts.sum() if k >= len(counts) else np.partition(counts, -k)[-k:].sum())

    def chunk_scores(self, layer: int, query_TW: Tensor) -> Tensor:
        """[C] float32."""
        return score_chunks(query_TW, self.routing_keys(layer))

    def document_scores(self, layer: int, query_TW: Tensor) -> Tensor:
        """[N] float32."""
        return score_documents(query_TW, self.routing_keys(layer), self.chunk_offsets)

    def rows(self, documents: Tensor) -> Tensor:
        """Chunk indices of the documents listed, one document after another."""
        return self._rows_of(documents.tolist())

    def _rows_of(self, documents: Sequence[int]) -> Tensor:
        # Worked out on the processor, which has had to wait for the choice: on a GPU every step would be a launch.
        offsets = self.host_offsets
        spans = [np.arange(offsets[d], offsets[d + 1]) for d in documents]
        return begin_copy(torch.from_numpy(np.concatenate([np.zeros(0, np.int64), *spans])), self.device)


def packs(documents: Sequence[NumberedDocument]) -> Iterator[list[NumberedDocument]]:
    """Consecutive documents of at most `TOKENS_AT_ONCE` tokens together; a longer one alone."""
    pack: list[NumberedDocument] = []
    size = 0
    for document in documents:
        if pack and size + len(document.ids) > TOKENS_AT_ONCE:
            yield pack
            pack, size = [], 0
        pack.append(document)
        size += len(document.ids)
    if pack:
        yield pack


@torch.inference_mode()
def encode(model: Msa4bModel, documents: Sequence[NumberedDocument]) -> dict[int, PooledLayer]:
    """Reads documents, each by itself from position 0, and pools what the routed layers keep."""
    memory = model.config.memory
    lengths = [len(document.ids) for document in documents]
    ids = torch.from_numpy(np.concatenate([document.ids for document in documents]).astype(np.int64))
    positions = torch.cat([torch.arange(n) for n in lengths])
    ids, positions = begin_copy(torch.stack((ids, positions)), model.device)
    context = EncodingContext(lengths, model.routers, memory)
    model.decoder(ids, positions, context, observe_only=memory.routed_layers[-1])
    return context.pooled
