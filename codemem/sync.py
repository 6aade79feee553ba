"""Brings a manifest and its outline to what is on disk: compares, then reads the changed files alone."""

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from codemem.indexer import (
    FileEntry,
    Listing,
    Selection,
    Skipped,
    SourceFile,
    Tree,
)
from codemem.manifest import LeftOut, Manifest
from codemem.manifest_build import next_manifest
from codemem.progress import Meter, Report, silent
from codemem.reading import read_files

FEW_ADDED = 16
"""New files that are read whoever else reads the tree: milliseconds, and someone may just have made them."""


@dataclass(frozen=True, slots=True)
class Changes:
    """How a tree differs from a manifest."""

    listing: Listing
    added: Sequence[FileEntry]
    changed: Sequence[FileEntry]
    removed: frozenset[str]

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)

    @property
    def entries(self) -> list[FileEntry]:
        """Files to read: the changed ones first, for they are what someone works on, then those nearest the root."""
        return [*self.changed, *sorted(self.added, key=lambda entry: entry.path.count("/"))]


@dataclass(slots=True)
class Synced:
    """The outcome of `synchronise`."""

    manifest: Manifest
    read: dict[str, SourceFile] = field(default_factory=dict)
    """Files read now, with their text."""
    dropped: frozenset[str] = frozenset()
    """Files of the old manifest that are gone or now left out."""
    unread: Sequence[FileEntry] = ()
    """Changed files for which the time was too short; the new manifest does not have them."""


def compare(tree: Tree, manifest: Manifest, *, selection: Selection) -> Changes:
    """Lists the tree and compares ids; only files whose stat data differ from last time are read for that."""
    listing = tree.list(manifest.stat_cache, selection=selection)
    oids = dict(manifest.known_oids)
    added, changed = [], []
    for entry in listing.entries:
        known = oids.pop(entry.path, None)
        if known is None:
            added.append(entry)
        elif known != entry.oid or entry.reincluded != (entry.path in manifest.reincluded):
            changed.append(entry)
    removed = frozenset(path for path in oids if path in manifest)
    return Changes(listing, added, changed, removed)


def synchronise(
    tree: Tree,
    manifest: Manifest,
    changes: Changes,
    *,
    selection: Selection,
    deadline: float | None = None,
    read_added: bool = True,
    report: Report = silent,
) -> Synced:
    """The manifest of what `changes` found. Stops reading at `deadline` (time.monotonic) and says what is left.

    Without `read_added`, new files are left for another time if there are more than FEW_ADDED.
    """
    read: dict[str, SourceFile] = {}
    left_out: dict[str, LeftOut] = {}
    vanished: list[Skipped] = []
    entries = changes.entries
    meter = Meter(report, "reading files", len(entries), "files")
    few = len(changes.added) <= FEW_ADDED
    wanted = entries if read_added or few else entries[: len(changes.changed)]
    outcomes = read_files(tree, wanted, selection)
    count = 0
    with contextlib.closing(outcomes):
        while count < len(wanted) and (deadline is None or time.monotonic() <= deadline):
            outcome = next(outcomes)
            if isinstance(outcome, SourceFile):
                read[outcome.path] = outcome
            elif isinstance(outcome, LeftOut):
                left_out[outcome.path] = outcome
            else:
                vanished.append(outcome)
            count += 1
            meter.advance(1)
    return _assemble(manifest, changes, read=read, left_out=left_out, vanished=vanished, unread=entries[count:])


def _assemble(
    manifest: Manifest,
    changes: Changes,
    *,
    read: dict[str, SourceFile],
    left_out: dict[str, LeftOut],
    vanished: list[Skipped],
    unread: Sequence[FileEntry],
) -> Synced:
    """Files that were not read are in no part of the new manifest, so that the next comparison finds them again."""
    open_paths = {entry.path for entry in unread} | {skipped.path for skipped in vanished}
    listed = {entry.path for entry in changes.listing.entries}
    kept = [f for f in manifest.left_out if f.path in listed and f.path not in read and f.path not in open_paths]
    ruled_out = {file.path: file for file in kept} | left_out
    dropped = changes.removed | {p for p in (*left_out, *open_paths) if p in manifest}
    reincluded = {e.path for e in changes.listing.entries if e.reincluded and e.path not in open_paths}
    manifest = next_manifest(
        manifest,
        read,
        removed=dropped,
        skipped=[*changes.listing.skipped, *vanished],
        left_out=sorted(ruled_out.values(), key=lambda file: file.path),
        reincluded=reincluded,
        stat_cache=changes.listing.stat_cache,
    )
    return Synced(manifest, read, frozenset(dropped), unread)
