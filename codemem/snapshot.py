"""What `find` and `ask` answer from: trees brought up to date, and how far their memory is behind."""

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from codemem.errors import CodememError, NotIndexedError, UsageError
from codemem.indexer import FileEntry, encode_path
from codemem.manifest import Manifest
from codemem.outline import Outline
from codemem.outline_cache import load_outline, save_outline
from codemem.overlay import OverlayTree
from codemem.passages import Passages
from codemem.progress import Report, silent
from codemem.sync import Synced, compare, synchronise
from codemem.workspace import Workspace

AROUND = 2
"""Of so many of the outline's documents the neighbours in the file are read too: what is named in one is often told in
the next."""


@dataclass(frozen=True, slots=True)
class Behind:
    """Files whose present content is not wholly in what is searched."""

    added: int = 0
    changed: int = 0
    removed: int = 0

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)

    def __add__(self, other: "Behind") -> "Behind":
        return Behind(self.added + other.added, self.changed + other.changed, self.removed + other.removed)


@dataclass(slots=True)
class Snapshot:
    """One tree as it is searched now."""

    workspace: Workspace
    manifest: Manifest
    entries: Mapping[str, FileEntry]
    outline: Outline
    passages: Passages
    unread: Behind = field(default_factory=Behind)
    """Changed files that there was no time to read."""
    differs: bool = False
    """Whether the manifest is another than the one saved."""

    def candidates(self, query: str, k: int) -> list[int]:
        """Documents that the outline names for a query, the best first, and what stands around the first of them."""
        hits = self.outline.search(query, k)
        found = [self.manifest.document_at(hit.path, hit.start_line) for hit in hits]
        named = [document for document in found if document is not None]
        around = [near for document in named[:AROUND] for near in self._neighbours(document)]
        return list(dict.fromkeys([*named, *around]))

    def _neighbours(self, document: int) -> list[int]:
        """The documents of the same file behind and before one."""
        same_file = self.manifest.document_range(self.manifest.row_of_document(document))
        return [near for near in (document + 1, document - 1) if near in same_file]

    def save(self) -> None:
        """Raises CodememError if nothing can be written."""
        self.workspace.save(self.manifest)
        save_outline(self.workspace, self.outline)

    def save_for_next_time(self) -> None:
        """As `save`, for who asks: where nothing can be written (a full disk), a note says so and the answer stands."""
        try:
            self.save()
        except CodememError as error:
            self.workspace.notes.append(f"what was learnt could not be kept: {error}")


def open_snapshot(
    workspace: Workspace, *, overlays: Mapping[str, bytes] | None = None, seconds: float | None = None
) -> Snapshot:
    """Compares and reads what changed, for at most `seconds`; saves what was learnt, unless there are overlays.

    Many new files are left to an `index` that is reading the tree just now, and so is saving. Raises NotIndexedError if
    there is no manifest.
    """
    known = workspace.load()
    if known is None:
        raise NotIndexedError(f"{workspace.root} is not indexed: run `codemem index {workspace.root}`")
    if overlays:
        workspace.tree = OverlayTree(workspace.tree, overlays)
    elsewhere = workspace.read_elsewhere()
    snapshot = make_snapshot(workspace, known, seconds=seconds, read_added=not elsewhere)
    if snapshot.differs and not overlays and not elsewhere:
        snapshot.save_for_next_time()
    return snapshot


def make_snapshot(
    workspace: Workspace,
    known: Manifest,
    *,
    outline: Outline | None = None,
    seconds: float | None = None,
    read_added: bool = True,
    report: Report = silent,
) -> Snapshot:
    """The tree as it is now, from what was known of it; nothing is saved. `outline` is that of `known`, if at hand.

    `seconds` and `read_added` limit what is read, as in `synchronise`.
    """
    changes = compare(workspace.tree, known, selection=workspace.selection)
    deadline = None if seconds is None else time.monotonic() + seconds
    synced = synchronise(
        workspace.tree,
        known,
        changes,
        selection=workspace.selection,
        deadline=deadline,
        read_added=read_added,
        report=report,
    )
    manifest = synced.manifest.with_info(commit=workspace.tree.commit)
    entries = {entry.path: entry for entry in changes.listing.entries}
    passages = Passages(workspace.tree, manifest, entries, workspace.selection, synced.read)
    return Snapshot(
        workspace=workspace,
        manifest=manifest,
        entries=entries,
        outline=load_outline(workspace, manifest, passages, synced.read, outline, unread=synced.unread),
        passages=passages,
        unread=_unread(known, synced),
        differs=bool(changes) or manifest.info != known.info,
    )


def _unread(known: Manifest, synced: Synced) -> Behind:
    changed = sum(entry.path in known for entry in synced.unread)
    return Behind(added=len(synced.unread) - changed, changed=changed)


def parse_overlays(workspaces: Sequence[Workspace], pairs: Sequence[str]) -> dict[Path, dict[str, bytes]]:
    """`FILE=PATH` arguments as root -> path in the tree -> bytes. Raises UsageError."""
    overlays: dict[Path, dict[str, bytes]] = {}
    for pair in pairs:
        name, separator, source = pair.partition("=")
        if not separator or not name or not source:
            raise UsageError(f"--overlay {pair}: write FILE=PATH, the file in the repository and where its text lies")
        try:
            data = Path(source).read_bytes()
        except OSError as error:
            raise UsageError(f"--overlay {pair}: {source} cannot be read: {error.strerror}") from error
        root, path = _inside(workspaces, Path(name))
        overlays.setdefault(root, {})[path] = data
    return overlays


def buffer_overlays(workspaces: Sequence[Workspace], buffers: Mapping[Path, bytes]) -> dict[Path, dict[str, bytes]]:
    """Buffers by absolute path as root -> path in the tree -> bytes; those outside the trees are left out."""
    overlays: dict[Path, dict[str, bytes]] = {}
    for file, data in buffers.items():
        with contextlib.suppress(UsageError):
            root, path = _inside(workspaces, file)
            overlays.setdefault(root, {})[path] = data
    return overlays


def _inside(workspaces: Sequence[Workspace], name: Path) -> tuple[Path, str]:
    """A file named from here, from a root, or absolutely -> (root, path in the tree)."""
    roots = [workspace.root for workspace in workspaces]
    candidates = [name] if name.is_absolute() else [Path.cwd() / name, *(root / name for root in roots)]
    for candidate in candidates:
        resolved = candidate.parent.resolve() / candidate.name
        for root in roots:
            if resolved.is_relative_to(root) and resolved.parent.is_dir():
                return root, encode_path(os.fsencode(resolved.relative_to(root)))
    raise UsageError(f"--overlay {name}: it lies in none of {', '.join(map(str, roots))}")
