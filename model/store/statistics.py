"""What the store holds, counted."""

from collections.abc import Iterable
from pathlib import Path

from codemem.model.entry import EntryLayout
from codemem.model.store.catalogue import Catalogue
from codemem.model.store.columns import part_of
from codemem.model.store.records import LayoutStats, StoreStats

CHUNK_END_BYTES = 4


def statistics_of(catalogue: Catalogue, directory: Path, files: Iterable[str]) -> StoreStats:
    """Counts from the catalogue; `files` are the names beside the segments whose sizes count as well."""
    totals = catalogue.totals()
    layouts = tuple(
        _layout_stats(layout, *totals.get(number, (0, 0, 0))) for number, layout in sorted(catalogue.layouts().items())
    )
    beside = sum(path.stat().st_size for path in (directory / name for name in files) if path.is_file())
    segments = catalogue.segments()
    return StoreStats(
        bytes=sum(row.bytes for row in segments.values()) + beside,
        segments=len(segments),
        entries=sum(layout.entries for layout in layouts),
        chunks=sum(layout.chunks for layout in layouts),
        tokens=sum(layout.tokens for layout in layouts),
        layouts=layouts,
    )


def _layout_stats(layout: EntryLayout, entries: int, chunks: int, tokens: int) -> LayoutStats:
    parts: dict[str, int] = {}
    for spec in layout.tensors:
        part = part_of(spec.name)
        one = EntryLayout(layout.fingerprint, layout.chunk_tokens, (spec,)).bytes_per_chunk
        parts[part] = parts.get(part, 0) + chunks * one
    parts["chunk_ends"] = chunks * CHUNK_END_BYTES
    return LayoutStats(layout.fingerprint, entries, chunks, tokens, sum(parts.values()), parts)
