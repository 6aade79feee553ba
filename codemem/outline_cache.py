"""The outline of a manifest, kept beside it on disk and brought up to date file by file."""

import contextlib
import sqlite3
from collections.abc import Iterable, Mapping

from codemem.indexer import FileEntry, SourceFile
from codemem.manifest import Manifest
from codemem.outline import Outline, OutlineFormatError
from codemem.outline.records import record
from codemem.passages import FileChangedError, Passages
from codemem.reading import OutlinedFile
from codemem.workspace import Workspace


def load_outline(
    workspace: Workspace,
    manifest: Manifest,
    passages: Passages,
    read: Mapping[str, SourceFile],
    known_outline: Outline | None = None,
    *,
    unread: Iterable[FileEntry] = (),
) -> Outline:
    """An earlier outline, by default the one saved last, without what is gone, with what was read and what it lacks.

    Of `unread` files it has the names.
    """
    names = [workspace.root.name]
    outline = known_outline or _saved(workspace, names) or Outline(names=names)
    wanted = dict(zip(manifest.paths, manifest.oids(), strict=True))
    known = outline.oids
    for path in known.keys() - wanted.keys():
        outline.remove(path)
    for path, oid in wanted.items():
        if known.get(path) == oid:
            continue
        file = read.get(path)
        if isinstance(file, OutlinedFile):
            outline.put(file.outline)
            continue
        with contextlib.suppress(FileChangedError):  # the next comparison finds what changed
            outline.put(record(file or passages.source_file(path)))
    outline.name_only(entry.path for entry in unread)
    return outline


def _saved(workspace: Workspace, names: list[str]) -> Outline | None:
    """Own or, failing that, another worktree's; a damaged one is removed, with a note."""
    for path in workspace.outline_paths():
        try:
            return Outline.load(path, names=names)
        except FileNotFoundError:
            continue
        except OutlineFormatError as error:
            workspace.notes.append(f"the outline is built anew: {error}")
            with contextlib.suppress(OSError):
                path.unlink()
    return None


def save_outline(workspace: Workspace, outline: Outline) -> None:
    """Writes what changed. An outline that cannot be written is no loss: it is built again from the files."""
    try:
        outline.save(workspace.outline_path())
    except (OutlineFormatError, OSError, sqlite3.Error) as error:
        workspace.notes.append(f"the outline could not be saved: {error}")
