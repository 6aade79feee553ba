"""Gathering entries from segments into one array a tensor, and checking them at first use."""

import contextlib
import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from codemem.model.entry import EntryLayout
from codemem.model.store.catalogue import EntryRow
from codemem.model.store.columns import KEY_BYTES, Columns, checksums_of, offsets_of, parts_of
from codemem.model.store.records import Array, Int64s
from codemem.model.store.segment import CHUNK_ENDS, Segment

COPIERS = 8
"""Segments that are copied at once."""
AHEAD = 2 * COPIERS
"""Segments that are open for it; each holds a file descriptor."""
Opener = Callable[[int], Segment]
"""The number of a segment -> the open segment."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where n entries lie, as arrays [n]."""

    segments: Int64s
    first: Int64s
    """Row of the first chunk."""
    chunks: Int64s

    @classmethod
    def of(cls, rows: Sequence[EntryRow]) -> "Placement":
        """From the catalogue's rows."""
        return cls(
            np.array([row.segment for row in rows], np.int64),
            np.array([row.first for row in rows], np.int64),
            np.array([row.chunks for row in rows], np.int64),
        )

    def by_segment(self) -> dict[int, Int64s]:
        """Segment -> the positions of its entries, ascending."""
        if not len(self.segments):
            return {}
        order = np.argsort(self.segments, kind="stable")
        numbers, starts = np.unique(self.segments[order], return_index=True)
        return dict(zip(numbers.tolist(), np.split(order, starts[1:]), strict=True))


def _rows_of(first: Int64s, chunks: Int64s) -> Int64s | slice:
    """The rows of entries, one after the other: a slice where they follow one another without a gap."""
    ends = first + chunks
    if np.array_equal(first[1:], ends[:-1]):
        return slice(int(first[0]), int(ends[-1]))
    offsets = offsets_of(chunks)
    return np.repeat(first - offsets[:-1], chunks) + np.arange(offsets[-1])


def gather(
    open_segment: Opener, layout: EntryLayout, names: Sequence[str], placement: Placement
) -> tuple[dict[str, Array], bool]:
    """Tensors `names` and CHUNK_ENDS of entries, in order, and whether they are mapped instead of copied.

    The arrays are [sum of chunks, width]. Raises what `open_segment` raises.
    """
    wanted = [*names, CHUNK_ENDS]
    where = placement.by_segment()
    if len(where) == 1:
        rows = _rows_of(placement.first, placement.chunks)
        if isinstance(rows, slice):
            with contextlib.suppress(FileNotFoundError):  # compacted away since: what is open can still be copied
                arrays = open_segment(int(placement.segments[0])).private_arrays(wanted)
                return {name: array[rows] for name, array in arrays.items()}, True
    offsets = offsets_of(placement.chunks)
    total = int(offsets[-1])
    result: dict[str, Array] = {CHUNK_ENDS: np.empty(total, np.uint32)}
    for spec in layout.tensors:
        if spec.name in wanted:
            result[spec.name] = np.empty((total, spec.width), np.dtype(spec.dtype))

    def copy(segment: Segment, at: Int64s) -> None:
        source, target = (_rows_of(start[at], placement.chunks[at]) for start in (placement.first, offsets[:-1]))
        segment.will_need()
        for name in wanted:
            result[name][target] = segment.array(name)[source]

    # Of one thread neither the disk nor the memory has enough to do: it waits for every page that it touches.
    with ThreadPoolExecutor(min(COPIERS, os.cpu_count() or 1)) as threads:
        waiting: deque[Future[None]] = deque()
        for number, at in where.items():
            if len(waiting) == AHEAD:
                waiting.popleft().result()
            waiting.append(threads.submit(copy, open_segment(number), at))
        for copied in waiting:
            copied.result()
    return result, False


def load_columns(
    open_segment: Opener, layout: EntryLayout, parts: Sequence[str], rows: Sequence[EntryRow]
) -> tuple[Columns, bool]:
    """The tensors of some parts of entries, with the checksums that are expected, and whether they are mapped."""
    by_part = parts_of(layout)
    names = [name for part in parts for name in by_part[part]]
    placement = Placement.of(rows)
    arrays, mapped = gather(open_segment, layout, names, placement)
    checksums = np.frombuffer(b"".join(row.checksums for row in rows), np.uint64)
    columns = Columns(
        keys=np.frombuffer(b"".join(row.key for row in rows), np.uint8).reshape(-1, KEY_BYTES),
        chunks=placement.chunks.astype(np.uint32),
        tokens=np.array([row.tokens for row in rows], np.uint32),
        chunk_ends=arrays.pop(CHUNK_ENDS).astype(np.uint32, copy=False),
        tensors=arrays,
        checksums=checksums.reshape(-1, len(by_part)),
    )
    return columns, mapped


def find_corrupt(
    open_segment: Opener, layout: EntryLayout, parts: Sequence[str], columns: Columns, rows: Sequence[EntryRow]
) -> list[int]:
    """Checks those entries that this process uses for the first time. Returns the positions of the corrupt ones."""
    every = parts_of(layout)
    numbers = [list(every).index(part) for part in parts]
    placement = Placement.of(rows)
    where = placement.by_segment()
    fresh = np.zeros(len(columns), np.bool_)
    for number, at in where.items():
        checked = open_segment(number).checked
        for part in numbers:
            fresh[at] |= ~checked[part, placement.first[at]]
    which = np.flatnonzero(fresh)
    if not len(which):
        return []
    sums = checksums_of([every[part] for part in parts], columns, which)
    right = np.zeros(len(columns), np.bool_)
    right[which] = (sums == columns.checksums[which][:, numbers]).all(axis=1)
    for number, at in where.items():
        checked = open_segment(number).checked
        for part in numbers:
            checked[part, placement.first[at[right[at]]]] = True
    return [int(at) for at in which if not right[at]]
