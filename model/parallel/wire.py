"""Documents and entries as bytes, and entries dealt out to the processes that will hold them. Nothing is pickled."""

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load, save
from torch import Tensor

from codemem.model.entry import Entry, EntryLayout, TokenisedDocument
from codemem.model.parallel.group import Group
from codemem.model.parallel.share import Share
from codemem.model.store import LoadedEntries


def documents_to_bytes(documents: Sequence[TokenisedDocument]) -> bytes:
    nothing = np.zeros(0, np.uint32)
    return save(
        {
            "ids": np.concatenate([nothing, *(document.ids for document in documents)]).astype(np.uint32),
            "lengths": np.array([len(document.ids) for document in documents], np.int64),
            "chunk_ends": np.concatenate([nothing, *(d.chunk_ends for d in documents)]).astype(np.uint32),
            "chunks": np.array([len(document.chunk_ends) for document in documents], np.int64),
        }
    )


def documents_from_bytes(data: bytes) -> list[TokenisedDocument]:
    arrays = load(data)
    if not len(arrays["lengths"]):
        return []
    ids = np.split(arrays["ids"], arrays["lengths"].cumsum()[:-1])
    ends = np.split(arrays["chunk_ends"], arrays["chunks"].cumsum()[:-1])
    return [TokenisedDocument(*pair) for pair in zip(ids, ends, strict=True)]


def entries_to_bytes(entries: Sequence[Entry], layout: EntryLayout) -> bytes:
    arrays: dict[str, Any] = {
        "keys": np.frombuffer(b"".join(entry.key for entry in entries), np.uint8),
        "tokens": np.array([entry.tokens for entry in entries], np.int64),
        "chunks": np.array([entry.chunks for entry in entries], np.int64),
    }
    if entries:
        arrays["chunk_ends"] = np.concatenate([entry.chunk_ends for entry in entries])
        for spec in layout.tensors:
            arrays[f"tensor.{spec.name}"] = np.concatenate([entry.tensors[spec.name] for entry in entries])
    return save({name: np.ascontiguousarray(array) for name, array in arrays.items()})


def entries_from_bytes(data: bytes, layout: EntryLayout) -> Iterator[Entry]:
    arrays = load(data)
    start = 0
    for index, count in enumerate(arrays["chunks"].tolist()):
        rows = slice(start, start + count)
        start = rows.stop
        yield Entry(
            key=arrays["keys"][32 * index : 32 * index + 32].tobytes(),
            tokens=int(arrays["tokens"][index]),
            chunk_ends=arrays["chunk_ends"][rows],
            tensors={spec.name: arrays[f"tensor.{spec.name}"][rows] for spec in layout.tensors},
        )


def deal(group: Group, entries: LoadedEntries | None) -> tuple[LoadedEntries, Share, LoadedEntries]:
    """The first process's entries cut into shares: this one's own, the cut, and of the whole everything but tensors.

    Every process calls it; only the first passes entries.
    """
    table = group.broadcast_bytes(_table(entries) if entries is not None else b"")
    arrays = load(table)
    specs: list[tuple[str, str, int]] = json.loads(arrays["specs"].tobytes())
    keys = arrays["keys"].tobytes()
    whole = LoadedEntries(
        keys=tuple(keys[at : at + 32] for at in range(0, len(keys), 32)),
        offsets=arrays["offsets"],
        tokens=arrays["tokens"],
        chunk_ends=arrays["chunk_ends"],
        tensors={},
        missing=(),
        corrupt=(),
        mapped=False,
    )
    share = Share.of(whole.offsets, group.rank, group.size)
    tensors = {}
    for name, dtype, width in specs:
        like = torch.from_numpy(np.zeros((0, width), np.dtype(dtype)))
        parts = _parts(entries.tensors[name], share) if entries is not None else None
        tensors[name] = group.scatter(parts, [share.chunks_of(r) for r in range(group.size)], like).numpy()
    own = share.documents
    mine = LoadedEntries(
        keys=whole.keys[own],
        offsets=share.offsets().numpy(),
        tokens=whole.tokens[own],
        chunk_ends=whole.chunk_ends[share.rows],
        tensors=tensors,
        missing=(),
        corrupt=(),
        mapped=False,
    )
    return mine, share, whole


def _table(entries: LoadedEntries) -> bytes:
    specs = [(name, str(array.dtype), int(array.shape[1])) for name, array in entries.tensors.items()]
    return save(
        {
            "keys": np.frombuffer(b"".join(entries.keys), np.uint8),
            "offsets": np.asarray(entries.offsets, np.int64),
            "tokens": np.asarray(entries.tokens, np.uint32),
            "chunk_ends": np.ascontiguousarray(entries.chunk_ends, np.uint32),
            "specs": np.frombuffer(json.dumps(specs).encode(), np.uint8),
        }
    )


def _parts(array: Any, share: Share) -> list[Tensor]:
    cuts = [int(share.chunk_offsets[cut]) for cut in share.cuts]
    whole = torch.from_numpy(array)
    return [whole[start:end] for start, end in pairwise(cuts)]
