"""Verification: is every byte that the store would answer from the one that was written?"""

from typing import TYPE_CHECKING

from codemem.model.store import maintenance
from codemem.model.store.catalogue import Catalogue, EntryRow, SegmentRow
from codemem.model.store.columns import checksums_of, parts_of
from codemem.model.store.database import CatalogueDamagedError
from codemem.model.store.loading import load_columns
from codemem.model.store.records import Problem, VerifyReport
from codemem.model.store.segment import Segment, SegmentDamagedError

if TYPE_CHECKING:
    from codemem.model.store.directory import StoreDirectory


def check_store(store: "StoreDirectory", *, full: bool) -> VerifyReport:
    """Checks, and repairs unless the store is read-only; the caller holds the lock then."""
    problems: list[Problem] = []
    try:
        damage = store.catalogue().integrity(full=full)
    except CatalogueDamagedError as error:
        damage = [str(error)]
    if damage:
        problems.append(Problem("catalogue", "; ".join(damage)))
        if not store.read_only:
            store.rebuild()
    if not store.read_only:
        store.retry(lambda catalogue: maintenance.recover(catalogue, store.folder, store.on_event))
    entries, read = store.retry(lambda catalogue: _check_segments(store, catalogue, problems, full=full))
    if not store.read_only:
        store.retry(lambda catalogue: maintenance.remove_dead(catalogue, store.folder))
    return VerifyReport(
        entries=entries,
        segments=len(store.catalogue().segments()),
        bytes_read=read,
        problems=tuple(problems),
        repaired=bool(problems) and not store.read_only,
    )


def _check_segments(
    store: "StoreDirectory", catalogue: Catalogue, problems: list[Problem], *, full: bool
) -> tuple[int, int]:
    """Entries found good and bytes read; appends to `problems`."""
    entries, read = 0, 0
    repair: list[SegmentRow] = []
    for row in list(catalogue.segments().values()):
        live = catalogue.entries_of([row.id])
        try:
            segment = maintenance.open_segment(catalogue, store.folder, row.id)
        except (FileNotFoundError, SegmentDamagedError) as error:
            problems.append(Problem(row.name, f"cannot be read: {error}", tuple(entry.key for entry in live)))
            _drop(store, catalogue, row, live)
            continue
        damage = segment.damage or _index_damage(segment, live)
        if damage:
            problems.append(Problem(row.name, f"{damage}; its entries are intact unless named"))
            repair.append(row)
        bad = _corrupt(segment, live) if full else []
        if bad:
            problems.append(Problem(row.name, f"{len(bad)} entries damaged", tuple(entry.key for entry in bad)))
            _drop(store, catalogue, row, bad)
        entries += len(live) - len(bad)
        read += row.bytes if full else segment.index_bytes
    if repair and not store.read_only:
        maintenance.compact(catalogue, store.folder, repair, store.options, store.on_event)
    return entries, read


def _drop(store: "StoreDirectory", catalogue: Catalogue, row: SegmentRow, entries: list[EntryRow]) -> None:
    if not store.read_only:
        catalogue.drop(row.layout, entries)


def _index_damage(segment: Segment, live: list[EntryRow]) -> str:
    """What is wrong with the index, or between it and the catalogue."""
    try:
        columns = segment.columns()
    except SegmentDamagedError as error:
        return str(error)
    sums = columns.checksums
    known = {
        (key, first, chunks, tokens, sums[at].tobytes())
        for at, (key, first, chunks, tokens) in enumerate(
            zip(columns.key_list(), columns.offsets.tolist(), columns.chunks.tolist(), columns.tokens.tolist(),
                strict=False)
        )
    }  # fmt: skip
    different = sum((row.key, row.first, row.chunks, row.tokens, row.checksums) not in known for row in live)
    return f"{different} rows of the catalogue are not in its index" if different else ""


def _corrupt(segment: Segment, live: list[EntryRow]) -> list[EntryRow]:
    """The entries whose bytes do not match the catalogue's checksums; reads all of them, checked before or not."""
    if not live:
        return []
    parts = parts_of(segment.layout)
    columns, _ = load_columns(lambda number: segment, segment.layout, list(parts), live)
    good = (checksums_of(list(parts.values()), columns) == columns.checksums).all(axis=1)
    return [row for row, fine in zip(live, good, strict=True) if not fine]
