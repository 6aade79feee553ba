"""`codemem clean`: takes away what codemem wrote."""

import os
import shutil
import time
from pathlib import Path

from codemem.config import CONFIG_FILE, Places
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
    """Removes every manifest that codemem remembers having written, and all of its folders for data and weights."""
    removed = [path for place in registered_places(places) for path in clean_place(place)]
    size = 0
    entries = 0
    if places.store.is_dir():
        with StoreDirectory.open(places.store) as store:
            entries = store.stats().entries
    for folder in (places.data, places.cache):
        if folder.is_dir() and not folder.is_symlink():
            size += _bytes(folder)
            _empty(folder, places.config)
            removed.append(folder)
    for folder in (places.data, places.cache, places.config):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    return CleanResult(sorted(map(os.fspath, removed)), entries, size)


def _empty(folder: Path, configuration: Path) -> None:
    """Removes what is in the folder; the user's own configuration stays, which some systems keep in the same one."""
    for path in folder.iterdir():
        if path in (configuration, configuration / CONFIG_FILE):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _bytes(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())
