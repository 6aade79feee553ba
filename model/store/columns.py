"""Entries as columns: each tensor of many entries in one array, and the checksum of every entry part."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import xxhash

from codemem.model.entry import Entry, EntryLayout
from codemem.model.errors import StoreError
from codemem.model.store.records import Array, Int64s, Uint64s

KEY_BYTES = 32
BFLOAT16_EXPONENT = 0x7F80

if sys.byteorder != "little":  # pragma: no cover - segments are little-endian and mapped as they are
    raise ImportError("codemem stores need a little-endian machine")


def part_of(name: str) -> str:
    """'route.11' -> 'route': the tensors of a part are checked together."""
    return name.split(".", 1)[0]


def parts_of(layout: EntryLayout) -> dict[str, tuple[str, ...]]:
    """Part -> its tensors' names, both in the layout's order."""
    parts: dict[str, list[str]] = {}
    for spec in layout.tensors:
        parts.setdefault(part_of(spec.name), []).append(spec.name)
    return {part: tuple(names) for part, names in parts.items()}


@dataclass(frozen=True, slots=True)
class Columns:
    """n entries with c chunks in all; the rows of an entry follow one another in every tensor."""

    keys: npt.NDArray[np.uint8]
    """[n, 32]"""
    chunks: npt.NDArray[np.uint32]
    """[n]"""
    tokens: npt.NDArray[np.uint32]
    """[n]"""
    chunk_ends: npt.NDArray[np.uint32]
    """[c]"""
    tensors: Mapping[str, Array]
    """Name -> [c, width]"""
    checksums: Uint64s
    """[n, parts]"""

    def __len__(self) -> int:
        return len(self.chunks)

    @property
    def offsets(self) -> Int64s:
        """[n + 1], in chunks."""
        return offsets_of(self.chunks)

    @property
    def nbytes(self) -> int:
        return sum(int(t.nbytes) for t in self.tensors.values()) + int(self.chunk_ends.nbytes)

    def key_list(self) -> list[bytes]:
        return split_keys(self.keys)

    def select(self, wanted: npt.NDArray[np.bool_]) -> "Columns":
        """The entries where `wanted` ([n]) is true."""
        if wanted.all():
            return self
        rows = np.repeat(wanted, self.chunks)
        return Columns(
            keys=self.keys[wanted],
            chunks=self.chunks[wanted],
            tokens=self.tokens[wanted],
            chunk_ends=self.chunk_ends[rows],
            tensors={name: tensor[rows] for name, tensor in self.tensors.items()},
            checksums=self.checksums[wanted],
        )


def offsets_of(chunks: npt.NDArray[np.integer]) -> Int64s:
    """Counts [n] -> offsets [n + 1]."""
    offsets = np.zeros(len(chunks) + 1, np.int64)
    np.cumsum(chunks, out=offsets[1:])
    return offsets


def split_keys(keys: npt.NDArray[np.uint8]) -> list[bytes]:
    """[n, 32] -> n keys."""
    data = keys.tobytes()
    return [data[at : at + KEY_BYTES] for at in range(0, len(data), KEY_BYTES)]


def join_columns(columns: Sequence[Columns]) -> Columns:
    """Columns of one layout, one after the other."""
    if len(columns) == 1:
        return columns[0]
    return Columns(
        keys=np.concatenate([c.keys for c in columns]),
        chunks=np.concatenate([c.chunks for c in columns]),
        tokens=np.concatenate([c.tokens for c in columns]),
        chunk_ends=np.concatenate([c.chunk_ends for c in columns]),
        tensors={name: np.concatenate([c.tensors[name] for c in columns]) for name in columns[0].tensors},
        checksums=np.concatenate([c.checksums for c in columns]),
    )


def columns_of(layout: EntryLayout, entries: Iterable[Entry], *, check_finite: bool) -> Columns | None:
    """Copies entries into columns, each key once (the first wins). None when there are none.

    Raises StoreError when an entry does not fit the layout or, with `check_finite`, holds NaN or infinity.
    """
    unique: dict[bytes, Entry] = {}
    for entry in entries:
        unique.setdefault(entry.key, entry)
    if not unique:
        return None
    chosen = list(unique.values())
    for entry in chosen:
        _check_shape(layout, entry)
    keys = np.frombuffer(b"".join(unique), np.uint8).reshape(-1, KEY_BYTES)
    chunks = np.array([entry.chunks for entry in chosen], np.uint32)
    tokens = np.array([entry.tokens for entry in chosen], np.uint32)
    chunk_ends = np.concatenate([entry.chunk_ends for entry in chosen]).astype(np.uint32, copy=False)
    tensors = {spec.name: np.concatenate([e.tensors[spec.name] for e in chosen]) for spec in layout.tensors}
    if check_finite:
        _check_finite(tensors, chosen, offsets_of(chunks))
    parts = list(parts_of(layout).values())
    columns = Columns(keys, chunks, tokens, chunk_ends, tensors, np.empty((len(keys), len(parts)), np.uint64))
    return replace(columns, checksums=checksums_of(parts, columns))


def _check_shape(layout: EntryLayout, entry: Entry) -> None:
    name = entry.key.hex()[:12]
    if len(entry.key) != KEY_BYTES:
        raise StoreError(f"entry {name}: a key has {KEY_BYTES} bytes, this one {len(entry.key)}")
    if entry.chunks == 0 or entry.tokens <= 0:
        raise StoreError(f"entry {name} is empty: an entry has at least one token and one chunk")
    if len(entry.tensors) != len(layout.tensors):
        raise StoreError(f"entry {name} has {len(entry.tensors)} tensors, its layout {len(layout.tensors)}")
    for spec in layout.tensors:
        tensor = entry.tensors.get(spec.name)
        if tensor is None:
            raise StoreError(f"entry {name} lacks tensor {spec.name} of its layout")
        if tensor.shape != (entry.chunks, spec.width) or tensor.dtype != spec.dtype:
            raise StoreError(
                f"entry {name}: {spec.name} is {tensor.dtype}{list(tensor.shape)}, "
                f"the layout says {spec.dtype}{[entry.chunks, spec.width]}"
            )


def _check_finite(tensors: Mapping[str, Array], entries: Sequence[Entry], offsets: Int64s) -> None:
    for name, tensor in tensors.items():
        if tensor.dtype.kind == "f":
            finite = np.isfinite(tensor)
        elif tensor.dtype == np.uint16:
            finite = (tensor.view(np.uint16) & np.uint16(BFLOAT16_EXPONENT)) != BFLOAT16_EXPONENT
        else:
            continue
        if not finite.all():
            row = int(np.argmin(finite.all(axis=1)))
            at = int(np.searchsorted(offsets, row, side="right")) - 1
            raise StoreError(
                f"entry {entries[at].key.hex()[:12]}: {name} holds NaN or infinity in chunk {row - int(offsets[at])}; "
                "it was not stored"
            )


def checksums_of(
    parts: Sequence[Sequence[str]], columns: "Columns", which: npt.NDArray[np.int64] | None = None
) -> Uint64s:
    """[len(which), len(parts)]: XXH3-64 over an entry's key, tokens, chunks, chunk ends and the rows of the part's
    tensors, in that order. `which` are positions of entries, all of them when None."""
    chosen = np.arange(len(columns)) if which is None else which
    heads = np.empty((len(chosen), KEY_BYTES + 8), np.uint8)
    heads[:, :KEY_BYTES] = columns.keys[chosen]
    counts = np.stack([columns.tokens[chosen], columns.chunks[chosen]], axis=1)
    heads[:, KEY_BYTES:] = counts.astype("<u4").view(np.uint8)
    offsets = columns.offsets
    spans = list(zip(heads, offsets[chosen].tolist(), offsets[chosen + 1].tolist(), strict=True))
    ends, ends_width = _rows(columns.chunk_ends)
    result = np.empty((len(chosen), len(parts)), np.uint64)
    for p, names in enumerate(parts):
        views = [_rows(columns.tensors[name]) for name in names]
        digests = []
        for head, start, stop in spans:
            digest = xxhash.xxh3_64(head.data)
            update = digest.update
            update(ends[start * ends_width : stop * ends_width])
            for view, width in views:
                update(view[start * width : stop * width])
            digests.append(digest.intdigest())
        result[:, p] = digests
    return result


def _rows(array: Array) -> tuple[memoryview, int]:
    """An array's bytes and the bytes a row has."""
    flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return flat.data, len(flat) // max(len(array), 1)
