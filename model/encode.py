"""Documents to entries: packed by length, read once, pooled."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from codemem.kernels.route.keys import quantise_groups
from codemem.model.ahead import Fetched, begin_copy, one_ahead
from codemem.model.config import MemoryConfig
from codemem.model.decoder import Decoder
from codemem.model.entry import Entry, EntryLayout, TokenisedDocument
from codemem.model.memory import EncodingContext, PooledLayer
from codemem.model.routers import Routers

PACK_TOKENS = 2048
"""Tokens that go through the layers together: enough for the matrix products to run at their rate on a processor,
little enough for the activations to stay in its cache (measured in benchmarks/)."""
GPU_PACK_TOKENS = 32768


def packs(documents: Sequence[TokenisedDocument], tokens: int) -> Iterator[list[int]]:
    """Indices of documents encoded together, in the order given; at most `tokens` in all unless one is longer."""
    current: list[int] = []
    total = 0
    for index, document in enumerate(documents):
        if current and total + len(document.ids) > tokens:
            yield current
            current, total = [], 0
        current.append(index)
        total += len(document.ids)
    if current:
        yield current


def layers_of(layout: EntryLayout) -> tuple[int, ...]:
    """The routed layers that a layout stores."""
    return tuple(int(spec.name.partition(".")[2]) for spec in layout.tensors if spec.name.startswith("route."))


@torch.inference_mode()
def encode(
    decoder: Decoder,
    routers: Routers,
    memory: MemoryConfig,
    documents: Sequence[TokenisedDocument],
    layout: EntryLayout,
    *,
    device: torch.device,
) -> Iterator[Entry]:
    """Yields an entry a document, pack by pack. Layers above the highest stored one are not run."""
    layers = layers_of(layout)
    limit = PACK_TOKENS if device.type == "cpu" else GPU_PACK_TOKENS

    def begin(pack: list[int]) -> tuple[list[int], list[int], Fetched]:
        lengths = [len(documents[i].ids) for i in pack]
        ids = torch.from_numpy(np.concatenate([documents[i].ids for i in pack]).astype(np.int64))
        positions = torch.cat([torch.arange(n) for n in lengths])
        context = EncodingContext(lengths, routers, memory, layers)
        ids, positions = begin_copy(torch.stack((ids, positions)), device)
        decoder(ids, positions, context, observe_only=layers[-1])
        columns = {
            f"{name}.{layer}": column
            for layer in layers
            for name, column in _stored(context.pooled[layer], memory).items()
        }
        return pack, [-(-n // memory.chunk_tokens) for n in lengths], Fetched(columns)

    def finish(encoded: tuple[list[int], list[int], Fetched]) -> Iterator[Entry]:
        pack, chunks, columns = encoded
        return _split(documents, pack, chunks, columns.wait(), layout)

    # While entries are taken and stored, a GPU reads the next pack.
    yield from one_ahead(packs(documents, limit), begin, finish, ahead=device.type == "cuda")


def _stored(pooled: PooledLayer, memory: MemoryConfig) -> dict[str, Tensor]:
    """One layer's tensors as stored, all chunks of the pack, where they were computed."""
    route = F.normalize(pooled.route.float(), dim=-1) if memory.cosine else pooled.route.float()
    columns = {}
    for name, x in (("route", route), ("k", pooled.k.float()), ("v", pooled.v.float())):
        values, scales = quantise_groups(x, "int8")
        columns[name], columns[f"{name}_scale"] = values.flatten(1), scales
    return columns


def _split(
    documents: Sequence[TokenisedDocument],
    pack: list[int],
    chunks: list[int],
    columns: dict[str, Tensor],
    layout: EntryLayout,
) -> Iterator[Entry]:
    start = 0
    for index, count in zip(pack, chunks, strict=True):
        tensors = {}
        for spec in layout.tensors:
            tensors[spec.name] = columns[spec.name][start : start + count].numpy().copy()
        document = documents[index]
        yield Entry(layout.key(document.ids), len(document.ids), document.chunk_ends, tensors)
        start += count
