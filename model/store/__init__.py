"""Entries on disk, by content: docs/store.md."""

from codemem.model.store.directory import StoreDirectory, remove_store
from codemem.model.store.records import (
    CleanReport,
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
    "CleanReport",
    "LayoutStats",
    "LoadedEntries",
    "Problem",
    "Store",
    "StoreDirectory",
    "StoreEvent",
    "StoreOptions",
    "StoreStats",
    "VerifyReport",
    "remove_store",
]
