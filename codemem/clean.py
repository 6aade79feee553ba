"""`codemem clean`: takes away what codemem wrote."""

import os
import shutil
import time
from pathlib import Path

from codemem.config import Places
from codemem.model.store import StoreDirectory
from codemem.results import CleanResult
from codemem.workspace import Workspace, clean_place, registered_places

OWN_DATA = ("store", "manifests", "adapters", "http-*", "http.*", "msa-4b-numbers.sqlite*", "msa-4b-rankings.json")
OWN_CACHE = ("weights", "shared")
"""What lies in the folders for data and cache, as glob patterns."""


def clean_tree(workspace: Workspace) -> CleanResult:
    """Removes manifest and outline of a repository. Its entries stay: other trees may share them."""
    removed = [path for place in workspace.places for path in clean_place(place)]
    return CleanResult(sorted(map(os.fspath, removed)), 0, 0)


def clean_unused(places: Places, days: float) -> CleanResult:
    """Drops entries that nothing has used for so many days."""
    if not places.store.is_dir():
        return CleanResult([], 0, 0)
    with StoreDirectory.open(places.store) as store:
        report = store.clean(unused_since=time.time() - days * 86_400)
    return CleanResult([], report.entries, report.bytes)


def clean_everything(places: Places) -> CleanResult:
    """Removes store, weights and all else that codemem wrote, and every manifest that it remembers having written."""
    removed = [path for place in registered_places(places) for path in clean_place(place)]
    size = 0
    entries = 0
    if places.store.is_dir():
        with StoreDirectory.open(places.store) as store:
            entries = store.stats().entries
    for path in _written(places):
        size += _bytes(path)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
        removed.append(path)
    for folder in (places.data, places.cache, places.config):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    return CleanResult(sorted(map(os.fspath, removed)), entries, size)


def _written(places: Places) -> list[Path]:
    """What codemem keeps there, by name: below CODEMEM_HOME, `data` and `cache` may hold other things too."""
    own = [found for pattern in OWN_DATA for found in places.data.glob(pattern)]
    return sorted({*own, *(found for pattern in OWN_CACHE for found in places.cache.glob(pattern))})


def _bytes(folder: Path) -> int:
    files = folder.rglob("*") if folder.is_dir() and not folder.is_symlink() else [folder]
    return sum(path.lstat().st_size for path in files if not path.is_dir())
