"""Gathering entries from segments into one array a tensor, and checking them at first use."""

import contextlib
import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
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
Ready = Callable[[Columns, Segment, Int64s, Int64s], None]
"""Told of a segment, of its entries' positions in the columns and of their first rows in it, once they are loaded."""


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


def load_columns(
    open_segment: Opener, layout: EntryLayout, parts: Sequence[str], rows: Sequence[EntryRow]
) -> tuple[Columns, bool]:
    """The tensors of some parts of entries, with the checksums that are expected, and whether they are mapped.

    Nothing is checked. Raises what `open_segment` raises.
    """
    return _load(open_segment, layout, parts, rows, lambda columns, segment, at, first: None)


def load_checked(
    open_segment: Opener, layout: EntryLayout, parts: Sequence[str], rows: Sequence[EntryRow]
) -> tuple[Columns, bool, list[int]]:
    """As `load_columns`; those entries that this process uses for the first time are checked, and the positions of the
    corrupt ones come third, ascending.

    Raises what `open_segment` raises; what was found right until then stays so.
    """
    every = parts_of(layout)
    numbers = np.array([list(every).index(part) for part in parts], np.int64)
    names = [every[part] for part in parts]
    corrupt: list[int] = []

    def check(columns: Columns, segment: Segment, at: Int64s, first: Int64s) -> None:
        fresh = ~segment.checked[np.ix_(numbers, first)].all(axis=0)
        if not fresh.any():
            return
        at, first = at[fresh], first[fresh]
        right = (checksums_of(names, columns, at) == columns.checksums[at][:, numbers]).all(axis=1)
        segment.checked[np.ix_(numbers, first[right])] = True
        corrupt.extend(at[~right].tolist())

    columns, mapped = _load(open_segment, layout, parts, rows, check)
    return columns, mapped, sorted(corrupt)


def _load(
    open_segment: Opener, layout: EntryLayout, parts: Sequence[str], rows: Sequence[EntryRow], ready: Ready
) -> tuple[Columns, bool]:
    """`load_columns`, telling `ready` of each segment, in this thread, while others are still copied."""
    by_part = parts_of(layout)
    names = [name for part in parts for name in by_part[part]]
    placement = Placement.of(rows)
    where = placement.by_segment()
    if len(where) == 1:
        [(number, at)] = where.items()
        segment = open_segment(number)
        arrays = _mapped(segment, [*names, CHUNK_ENDS], placement)
        if arrays is not None:
            columns = _columns(arrays, placement, rows, len(by_part))
            ready(columns, segment, at, placement.first[at])
            return columns, True
    total = int(placement.chunks.sum())
    arrays = {CHUNK_ENDS: np.empty(total, np.uint32)}
    for spec in layout.tensors:
        if spec.name in names:
            arrays[spec.name] = np.empty((total, spec.width), np.dtype(spec.dtype))
    columns = _columns(arrays, placement, rows, len(by_part))
    _copy(open_segment, columns, placement, where, ready)
    return columns, False


def _columns(arrays: Mapping[str, Array], placement: Placement, rows: Sequence[EntryRow], parts: int) -> Columns:
    """Entries' tensors and CHUNK_ENDS with what the catalogue knows of them; the arrays are not copied."""
    return Columns(
        keys=np.frombuffer(b"".join(row.key for row in rows), np.uint8).reshape(-1, KEY_BYTES),
        chunks=placement.chunks.astype(np.uint32),
        tokens=np.array([row.tokens for row in rows], np.uint32),
        chunk_ends=arrays[CHUNK_ENDS].astype(np.uint32, copy=False),
        tensors={name: array for name, array in arrays.items() if name != CHUNK_ENDS},
        checksums=np.frombuffer(b"".join(row.checksums for row in rows), np.uint64).reshape(-1, parts),
    )


def _mapped(segment: Segment, names: Sequence[str], placement: Placement) -> dict[str, Array] | None:
    """Entries of one segment as slices of its file, [sum of chunks, width]; None where they have to be copied."""
    rows = _rows_of(placement.first, placement.chunks)
    if isinstance(rows, slice):
        with contextlib.suppress(FileNotFoundError):  # compacted away since: what is open can still be copied
            return {name: array[rows] for name, array in segment.private_arrays(names).items()}
    return None


def _copy(
    open_segment: Opener, columns: Columns, placement: Placement, where: Mapping[int, Int64s], ready: Ready
) -> None:
    """Fills the columns' tensors and chunk ends.

    Raises what `open_segment`, a copy or `ready` raises: then no copy is begun any more, and no thread is left.
    """
    offsets = columns.offsets
    targets = {**columns.tensors, CHUNK_ENDS: columns.chunk_ends}

    def copy(segment: Segment, at: Int64s) -> None:
        source, target = (_rows_of(start[at], placement.chunks[at]) for start in (placement.first, offsets[:-1]))
        segment.will_need()
        for name, array in targets.items():
            array[target] = segment.array(name)[source]

    waiting: deque[tuple[Future[None], Segment, Int64s]] = deque()

    def finish_oldest() -> None:
        copied, segment, at = waiting.popleft()
        copied.result()
        ready(columns, segment, at, placement.first[at])

    # Of one thread neither the disk nor the memory has enough to do: it waits for every page that it touches.
    with ThreadPoolExecutor(min(COPIERS, os.cpu_count() or 1)) as threads:
        try:
            for number, at in where.items():
                if len(waiting) == AHEAD:
                    finish_oldest()
                segment = open_segment(number)
                waiting.append((threads.submit(copy, segment, at), segment, at))
            while waiting:
                finish_oldest()
        finally:
            for copied, *_ in waiting:  # after an error: nobody wants their rows
                copied.cancel()
