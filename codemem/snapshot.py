"""What `find` and `ask` answer from: trees brought up to date, and how far their memory is behind."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from codemem.errors import NotIndexedError, UsageError
from codemem.indexer import FileEntry, SourceFile, decode_path, encode_path, read_file
from codemem.manifest import Manifest
from codemem.outline import Outline
from codemem.overlay import OverlayTree
from codemem.passages import Passages
from codemem.sync import Synced, compare, synchronise
from codemem.workspace import Workspace


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

    def save(self) -> None:
        self.workspace.save(self.manifest)


def open_snapshot(
    workspace: Workspace, *, overlays: Mapping[str, bytes] | None = None, seconds: float | None = None
) -> Snapshot:
    """Compares and reads what changed, for at most `seconds`; saves what was learnt, unless there are overlays.

    Raises NotIndexedError if there is no manifest.
    """
    known = workspace.load()
    if known is None:
        raise NotIndexedError(f"{workspace.root} is not indexed: run `codemem index {workspace.root}`")
    if overlays:
        workspace.tree = OverlayTree(workspace.tree, overlays)
    deadline = None if seconds is None else time.monotonic() + seconds
    changes = compare(workspace.tree, known, selection=workspace.selection)
    synced = synchronise(workspace.tree, known, changes, selection=workspace.selection, deadline=deadline)
    manifest = synced.manifest.with_info(commit=workspace.tree.commit)
    outline = load_outline(workspace, manifest, synced)
    entries = {entry.path: entry for entry in changes.listing.entries}
    snapshot = Snapshot(
        workspace=workspace,
        manifest=manifest,
        entries=entries,
        outline=outline,
        passages=Passages(workspace.tree, manifest, entries, workspace.selection),
        unread=_unread(known, synced),
    )
    if changes and not overlays:
        snapshot.save()
    return snapshot


def _unread(known: Manifest, synced: Synced) -> Behind:
    changed = sum(entry.path in known for entry in synced.unread)
    return Behind(added=len(synced.unread) - changed, changed=changed)


def load_outline(workspace: Workspace, manifest: Manifest, synced: Synced) -> Outline:
    """The outline of a manifest, from the one saved with the last manifest and what was read since."""
    files = (synced.read.get(path) or _again(workspace, manifest, path) for path in manifest.paths)
    return Outline.build([file for file in files if file], names=[workspace.root.name])


def _again(workspace: Workspace, manifest: Manifest, path: str) -> SourceFile | None:
    raw = workspace.root / os.fsdecode(decode_path(path))
    outcome = read_file(path, raw.read_bytes(), selection=workspace.selection)
    return outcome if isinstance(outcome, SourceFile) else None


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
