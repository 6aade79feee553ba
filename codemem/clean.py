"""`codemem clean`: takes away what codemem wrote."""

import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from codemem.config import Places
from codemem.model.store import StoreDirectory
from codemem.results import CleanResult
from codemem.workspace import Workspace, clean_place, registered_places


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
    """Removes the store, the weights and every manifest that codemem remembers having written."""
    removed = [path for place in registered_places(places) for path in clean_place(place)]
    size = 0
    entries = 0
    if places.store.is_dir():
        with StoreDirectory.open(places.store) as store:
            entries = store.stats().entries
    for folder in (places.store, places.manifests, places.weights):
        if folder.is_dir() and not folder.is_symlink():
            size += _bytes(folder)
            shutil.rmtree(folder)
            removed.append(folder)
    for folder in _parents(places):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    return CleanResult(sorted(map(os.fspath, removed)), entries, size)


def _parents(places: Places) -> Sequence[Path]:
    """Folders that are ours alone and may be empty now, inner ones first."""
    return (places.data, places.cache, places.config)


def _bytes(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())
