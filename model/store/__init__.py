"""Entries on disk, by content: docs/store.md."""

from codemem.model.store.records import (
    LayoutStats,
    LoadedEntries,
    Problem,
    StoreEvent,
    StoreOptions,
    StoreStats,
    VerifyReport,
)
from codemem.model.store.store import Store

__all__ = [
    "LayoutStats",
    "LoadedEntries",
    "Problem",
    "Store",
    "StoreEvent",
    "StoreOptions",
    "StoreStats",
    "VerifyReport",
]
