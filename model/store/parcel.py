"""Entries as the bytes of one segment, to hand to another machine, and back: with everything about them checked."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from codemem.model.entry import Entry, EntryLayout
from codemem.model.errors import StoreError
from codemem.model.store.columns import Columns, checksums_of, columns_of, parts_of, split_keys
from codemem.model.store.records import LoadedEntries
from codemem.model.store.segment import SegmentDamagedError, open_segment, serialise


def pack_entries(layout: EntryLayout, loaded: LoadedEntries) -> tuple[str, bytes]:
    """Name and bytes of a segment that holds what was loaded. Raises StoreError if there is nothing, or not finite."""
    columns = columns_of(layout, _entries(loaded), check_finite=True)
    if columns is None:
        raise StoreError("there are no entries to pack")
    return serialise(layout, columns)


def _entries(loaded: LoadedEntries) -> Iterator[Entry]:
    missing = set(loaded.missing)
    for at, key in enumerate(loaded.keys):
        if key not in missing:
            rows = slice(int(loaded.offsets[at]), int(loaded.offsets[at + 1]))
            tensors = {name: tensor[rows] for name, tensor in loaded.tensors.items()}
            yield Entry(key, int(loaded.tokens[at]), loaded.chunk_ends[rows], tensors)


def unpack_entries(layout: EntryLayout, name: str, data: bytes) -> list[Entry]:
    """The entries of a segment made elsewhere, copied. Nothing in it is believed.

    Checked: header against the name, index against the header, rows against the index, shapes and types against
    `layout`, counts of chunks against tokens, chunk ends in order. (`Store.append` checks that numbers are finite.)
    Raises StoreError.
    """
    if Path(name).name != name:
        raise StoreError(f"{name!r} is no name of a segment")
    with tempfile.TemporaryDirectory(prefix="codemem-") as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        segment = open_segment(path)
        if segment.layout != layout:
            raise StoreError(f"segment {name} holds entries of another layout than it should")
        columns = segment.columns()
        _check(layout, name, columns)
        return _copied(columns)


def _check(layout: EntryLayout, name: str, columns: Columns) -> None:
    sums = checksums_of(list(parts_of(layout).values()), columns)
    if sums.shape != columns.checksums.shape or not np.array_equal(sums, columns.checksums):
        raise SegmentDamagedError(f"segment {name}: its rows do not match their checksums")
    tokens = columns.tokens.astype(np.int64)
    if not np.array_equal(-(-tokens // layout.chunk_tokens), columns.chunks.astype(np.int64)):
        raise SegmentDamagedError(f"segment {name}: its entries have other chunks than their tokens make")
    falls = np.diff(columns.chunk_ends.astype(np.int64)) < 0
    falls[columns.offsets[1:-1] - 1] = False  # from one entry to the next
    if falls.any():
        raise SegmentDamagedError(f"segment {name}: chunks of an entry end before they begin")


def _copied(columns: Columns) -> list[Entry]:
    offsets, keys = columns.offsets.tolist(), split_keys(columns.keys)
    return [
        Entry(
            key,
            int(columns.tokens[at]),
            columns.chunk_ends[offsets[at] : offsets[at + 1]].copy(),
            {name: tensor[offsets[at] : offsets[at + 1]].copy() for name, tensor in columns.tensors.items()},
        )
        for at, key in enumerate(keys)
    ]
