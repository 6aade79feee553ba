"""A tree in which some files hold text that is not saved yet."""

import os
from collections.abc import Mapping

from codemem.indexer.paths import decode_path
from codemem.indexer.selection import DEFAULT_SELECTION, Selection, left_out_by_name
from codemem.indexer.tree import FileEntry, Listing, StatCache, Tree, blob_id


class OverlayTree(Tree):
    """The files of another tree, with `overlays` (path -> bytes) in place of what lies on disk.

    A path that the other tree does not list is added: a file that was never saved. One that it leaves out or ignores,
    or that would be left out by its name, stays out.
    """

    def __init__(self, inner: Tree, overlays: Mapping[str, bytes]) -> None:
        self._inner = inner
        self._overlays = dict(overlays)
        self.root, self.prefix, self.commit = inner.root, inner.prefix, inner.commit
        self.git_dir, self.common_dir, self.object_format = inner.git_dir, inner.common_dir, inner.object_format

    def list(self, stat_cache: StatCache | None = None, *, selection: Selection = DEFAULT_SELECTION) -> Listing:
        listing = self._inner.list(stat_cache, selection=selection)
        listed = {entry.path: entry for entry in listing.entries}
        left_out = {skipped.path for skipped in listing.skipped}
        for path, data in self._overlays.items():
            if path in left_out or (path not in listed and self._ignored(path)):
                continue
            known = listed.get(path, FileEntry(path, 0o100644, 0, "", False))
            listed[path] = known._replace(size=len(data), oid=blob_id(data, self.object_format))
        cached = {path: stat for path, stat in listing.stat_cache.items() if path not in self._overlays}
        return Listing(sorted(listed.values()), listing.skipped, cached)

    def _ignored(self, path: str) -> bool:
        """Whether a path that is not listed is so for a reason: it lies on disk, or its name rules it out."""
        on_disk = os.path.join(os.fsencode(self.root), decode_path(path))
        return left_out_by_name(path) is not None or os.path.lexists(on_disk)

    def read(self, entry: FileEntry) -> bytes:
        overlay = self._overlays.get(entry.path)
        return self._inner.read(entry) if overlay is None else overlay

    def close(self) -> None:
        self._inner.close()
