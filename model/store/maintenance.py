"""What keeps a store in order: recovery after kills, eviction, compaction. All of it holds the store's lock."""

from collections.abc import Collection, Sequence

import numpy as np

from codemem.model.entry import EntryLayout
from codemem.model.store.catalogue import Catalogue, EntryRow, SegmentRow, now_s
from codemem.model.store.columns import Columns, parts_of
from codemem.model.store.folder import SegmentFolder
from codemem.model.store.loading import load_checked
from codemem.model.store.opening import OnEvent, adopt_segments
from codemem.model.store.records import StoreEvent, StoreOptions
from codemem.model.store.segment import Segment, SegmentDamagedError

AFTER_EVICTION = 0.9
"""Eviction goes down to this share of the limit, so that not every flush evicts."""
LEAST_ALIVE = 0.5
"""Segments with a smaller share of live chunks are compacted."""
SMALL = 8
"""A segment is small below 1/SMALL of the usual size."""


def open_segment(catalogue: Catalogue, folder: SegmentFolder, number: int) -> Segment:
    """A segment by its number, its rows read without its header where that is damaged.

    Raises FileNotFoundError or SegmentDamagedError when there is nothing to read.
    """
    row = catalogue.segment(number)
    try:
        return folder.open(row.name)
    except SegmentDamagedError:
        return folder.salvage(row.name, catalogue.layouts()[row.layout], row.entries, row.chunks)


def unclean(catalogue: Catalogue, folder: SegmentFolder) -> bool:
    """Whether there is something to recover, unless it belongs to a process at work. Needs no lock."""
    known = {row.name for row in catalogue.segments().values()}
    return bool(folder.names() != known or folder.temporaries() or catalogue.doomed())


def recover(catalogue: Catalogue, folder: SegmentFolder, on_event: OnEvent) -> None:
    """Removes what was half written or half removed, adopts whole segments without rows, drops rows without a file."""
    temporaries = folder.temporaries()
    for path in temporaries:
        path.unlink(missing_ok=True)
    doomed = catalogue.doomed()
    _bury(catalogue, folder, doomed)
    if temporaries or doomed:
        on_event(
            StoreEvent("removed", f"{len(temporaries) + len(doomed)} files left by an interrupted process removed")
        )
    known = {row.name: row for row in catalogue.segments().values()}
    present = folder.names()
    orphans = present - known.keys()
    if orphans:
        gained = adopt_segments(catalogue, folder, orphans, on_event)
        for name in orphans - {row.name for row in catalogue.segments().values()}:
            folder.remove(name)
        on_event(StoreEvent("adopted", f"{len(orphans)} segments of an interrupted process: {gained} entries gained"))
    for name in known.keys() - present:
        _drop_segment(catalogue, folder, known[name], f"segment {name} is gone", on_event)
    remove_dead(catalogue, folder)


def _bury(catalogue: Catalogue, folder: SegmentFolder, names: Sequence[str]) -> None:
    if names:
        for name in names:
            folder.remove(name)
        catalogue.buried(names)


def _drop_segment(catalogue: Catalogue, folder: SegmentFolder, row: SegmentRow, why: str, on_event: OnEvent) -> None:
    keys = tuple(entry.key for entry in catalogue.entries_of([row.id]))
    with catalogue.transaction():
        catalogue.doom_segment(row.id)
    _bury(catalogue, folder, [row.name])
    on_event(StoreEvent("corrupt", f"{len(keys)} entries dropped: {why}", keys))


def remove_dead(catalogue: Catalogue, folder: SegmentFolder) -> None:
    """Unlinks segments without a live entry."""
    alive = catalogue.live_chunks()
    dead = [row for row in catalogue.segments().values() if not alive.get(row.id)]
    if dead:
        with catalogue.transaction():
            for row in dead:
                catalogue.doom_segment(row.id)
        _bury(catalogue, folder, [row.name for row in dead])


def keep_small(
    catalogue: Catalogue, folder: SegmentFolder, limit: int | None, options: StoreOptions, on_event: OnEvent
) -> None:
    """After a write: within the size limit, and not in ever more small segments."""
    if limit is not None and catalogue.segment_bytes() > limit:
        evict(catalogue, folder, limit, options, on_event)
    small = [r for r in catalogue.segments().values() if r.bytes < options.segment_bytes // SMALL]
    if len(small) >= options.small_segments:
        compact(catalogue, folder, small, options, on_event)


def evict(catalogue: Catalogue, folder: SegmentFolder, limit: int, options: StoreOptions, on_event: OnEvent) -> None:
    """Drops the least recently used entries and compacts, until the segments' files have at most `limit` bytes."""
    segments = catalogue.segments()
    per_chunk = {number: row.bytes / row.chunks for number, row in segments.items()}
    live = {number: chunks * per_chunk[number] for number, chunks in catalogue.live_chunks().items()}
    excess = sum(live.values()) - AFTER_EVICTION * limit
    victims: list[tuple[int, EntryRow]] = []
    for layout, entry in catalogue.oldest_first():
        if excess <= 0:
            break
        victims.append((layout, entry))
        excess -= entry.chunks * per_chunk[entry.segment]
        live[entry.segment] -= entry.chunks * per_chunk[entry.segment]
    if victims:
        for layout in {layout for layout, _ in victims}:
            catalogue.drop(layout, [entry for number, entry in victims if number == layout])
        message = f"{len(victims)} least recently used entries made room for new ones"
        on_event(StoreEvent("evicted", message, tuple(entry.key for _, entry in victims)))
    remove_dead(catalogue, folder)
    total = catalogue.segment_bytes()
    chosen = []
    for row in sorted(catalogue.segments().values(), key=lambda row: live.get(row.id, 0.0) / row.bytes):
        alive = live.get(row.id, 0.0)
        if total <= limit and alive >= LEAST_ALIVE * row.bytes:
            break
        chosen.append(row)
        total -= row.bytes - int(alive)
    compact(catalogue, folder, chosen, options, on_event)


def compact_sparse(catalogue: Catalogue, folder: SegmentFolder, options: StoreOptions, on_event: OnEvent) -> None:
    """Compacts segments that are less than half alive, and merges small ones if there are many."""
    remove_dead(catalogue, folder)
    alive = catalogue.live_chunks()
    segments = list(catalogue.segments().values())
    sparse = [row for row in segments if alive.get(row.id, 0) < LEAST_ALIVE * row.chunks]
    compact(catalogue, folder, sparse, options, on_event)
    keep_small(catalogue, folder, None, options, on_event)


def drop_unused(
    catalogue: Catalogue, folder: SegmentFolder, since: float, options: StoreOptions, on_event: OnEvent
) -> None:
    """Drops entries last used before `since` (Unix seconds) and gives their room back."""
    with catalogue.transaction():
        catalogue.drop_unused(int(since), int(now_s()))
    compact_sparse(catalogue, folder, options, on_event)


def drop_layouts(catalogue: Catalogue, folder: SegmentFolder, fingerprints: Collection[str] | None) -> None:
    """Drops everything of some layouts, or of all."""
    with catalogue.transaction():
        for number, layout in catalogue.layouts().items():
            if fingerprints is None or layout.fingerprint in fingerprints:
                catalogue.drop_layout(number)
    _bury(catalogue, folder, catalogue.doomed())


def compact(
    catalogue: Catalogue, folder: SegmentFolder, rows: Sequence[SegmentRow], options: StoreOptions, on_event: OnEvent
) -> None:
    """Writes the live entries of some segments into new ones and unlinks the old."""
    layouts = catalogue.layouts()
    for number in sorted({row.layout for row in rows}):
        chosen = [row for row in rows if row.layout == number]
        entries = catalogue.entries_of([row.id for row in chosen])
        budget = max(options.segment_bytes // layouts[number].bytes_per_chunk, 1)
        for piece in _pieces(entries, budget):
            columns = _live_columns(catalogue, folder, layouts[number], piece, on_event)
            if columns is None:
                continue
            name, size = folder.write(layouts[number], columns)
            with catalogue.transaction():
                catalogue.move_entries(number, name, size, columns)
        with catalogue.transaction():
            for row in chosen:
                catalogue.doom_segment(row.id)
        _bury(catalogue, folder, [row.name for row in chosen])
    if rows:
        on_event(StoreEvent("compacted", f"{len(rows)} segments compacted"))


def _pieces(entries: Sequence[EntryRow], budget: int) -> list[list[EntryRow]]:
    """Cuts entries into runs of about `budget` chunks."""
    pieces: list[list[EntryRow]] = []
    room = 0
    for entry in entries:
        if room <= 0:
            pieces.append([])
            room = budget
        pieces[-1].append(entry)
        room -= entry.chunks
    return pieces


def _live_columns(
    catalogue: Catalogue, folder: SegmentFolder, layout: EntryLayout, entries: list[EntryRow], on_event: OnEvent
) -> Columns | None:
    """The entries that are whole; the others are named in an event and stay behind."""

    def opener(number: int) -> Segment:
        return open_segment(catalogue, folder, number)

    unreadable: set[int] = set()
    for number in {entry.segment for entry in entries}:
        try:
            opener(number)
        except (FileNotFoundError, SegmentDamagedError):
            unreadable.add(number)
    lost = [entry for entry in entries if entry.segment in unreadable]
    kept = [entry for entry in entries if entry.segment not in unreadable]
    columns = None
    if kept:
        parts = list(parts_of(layout))
        columns, _, bad = load_checked(opener, layout, parts, kept)
        lost += [kept[at] for at in bad]
        good = np.ones(len(kept), np.bool_)
        good[bad] = False
        columns = columns.select(good) if good.any() else None
    if lost:
        message = f"{len(lost)} damaged entries dropped while compacting"
        on_event(StoreEvent("corrupt", message, tuple(entry.key for entry in lost)))
    return columns
