"""Sessions that stay open between questions: trees, outlines and banks, as long as the files are what they were."""

from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path

from codemem.config import Settings
from codemem.engines import LoadEngine
from codemem.overlay import OverlayTree
from codemem.search import Session, Target, open_session
from codemem.snapshot import buffer_overlays
from codemem.sync import compare
from codemem.workspace import Workspace, open_workspace

KEPT = 4
"""Sessions a lane keeps; the one that was used longest ago goes first."""

_Key = tuple[tuple[Path, ...], str | None, str | None, frozenset[tuple[Path, bytes]]]
_Stamp = tuple[tuple[int, int, int] | None, ...]


@dataclass(slots=True)
class _Kept:
    session: Session
    stamps: _Stamp
    """Of the manifests as they lay on disk when it was opened: another process may write them."""


class WarmSessions:
    """For one thread. Every question compares the files with what is open, as a new process would."""

    def __init__(self, settings: Settings, load_engine: LoadEngine, *, answering: bool) -> None:
        self._settings, self._load_engine, self._answering = settings, load_engine, answering
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()

    def open(self, target: Target) -> Session:
        """An open session of what is on disk now. It stays ours: do not close it. Raises as `open_session`."""
        key = (tuple(target.paths), target.model, target.router, frozenset(target.buffers.items()))
        kept = self._kept.pop(key, None)
        if kept is not None and not self._is_current(kept, target):
            kept.session.close()
            kept = None
        if kept is None:
            while len(self._kept) >= KEPT:
                self._kept.popitem(last=False)[1].session.close()
            session = open_session(target, self._settings, self._load_engine, answering=self._answering)
            kept = _Kept(session, _stamps([snapshot.workspace for snapshot in session.snapshots]))
        self._kept[key] = kept
        # A copy, so that what is noted for one question is not repeated for the next.
        return replace(kept.session, notes=list(kept.session.notes))

    def close(self) -> None:
        while self._kept:
            self._kept.popitem()[1].session.close()

    def __len__(self) -> int:
        return len(self._kept)

    def _is_current(self, kept: _Kept, target: Target) -> bool:
        """Whether nothing changed: not HEAD, no file, no configuration, and no manifest. What lags behind is opened
        again, so that it catches up."""
        snapshots = kept.session.snapshots
        if kept.session.behind or len(target.paths) != len(snapshots):
            return False
        overlays = buffer_overlays([snapshot.workspace for snapshot in snapshots], target.buffers)
        for path, snapshot in zip(target.paths, snapshots, strict=True):
            with open_workspace(path, self._settings, whole=True) as found:
                known = snapshot.workspace
                if (found.root, found.file_name, found.config) != (known.root, known.file_name, known.config):
                    return False
                if found.tree.commit != snapshot.manifest.info.commit:
                    return False
                tree = OverlayTree(found.tree, overlays[found.root]) if found.root in overlays else found.tree
                if compare(tree, snapshot.manifest, selection=found.selection):
                    return False
        return _stamps([snapshot.workspace for snapshot in snapshots]) == kept.stamps


def _stamps(workspaces: list[Workspace]) -> _Stamp:
    return tuple(_stamp(place / w.file_name) for w in workspaces for place in w.places)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
