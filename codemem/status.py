"""`codemem status`: what is indexed, and how far it is behind."""

from codemem.config import Settings
from codemem.errors import NotIndexedError
from codemem.manifest import Manifest
from codemem.memory import Mask, complete_files, layout_of, present
from codemem.model.errors import StoreError
from codemem.model.store import Store
from codemem.results import StatusResult
from codemem.snapshot import Behind
from codemem.sync import Changes, compare
from codemem.workspace import Workspace


def status_of(workspace: Workspace, settings: Settings, *, verify: bool = False) -> StatusResult:
    """Looks without changing anything, except that `verify` drops damaged entries from the store.

    Raises NotIndexedError if there is no manifest.
    """
    manifest = workspace.load()
    if manifest is None:
        raise NotIndexedError(f"{workspace.root} is not indexed: run `codemem index {workspace.root}`")
    problems = _verify(manifest, settings) if verify else []
    changes = compare(workspace.tree, manifest, selection=workspace.selection)
    in_memory = _in_memory(manifest, settings, workspace.notes)
    behind = _behind(manifest, changes, in_memory)
    tokens = manifest.keys_for(manifest.fingerprint).tokens if manifest.fingerprint else None
    return StatusResult(
        path=workspace.name,
        model=manifest.info.model,
        commit=workspace.tree.commit,
        fresh=not behind,
        documents=manifest.documents,
        tokens=int(tokens.sum()) if tokens is not None else 0,
        bytes=workspace.saved_bytes() + _entry_bytes(manifest, in_memory),
        behind=behind,
        purpose=manifest.info.purpose,
        in_memory=int(in_memory.sum()) if in_memory is not None else 0,
        skipped=manifest.all_skipped,
        problems=problems,
        notes=workspace.notes,
    )


def _in_memory(manifest: Manifest, settings: Settings, notes: list[str]) -> Mask | None:
    """[documents] whether the entry is in the store; None before there is a memory."""
    layout = layout_of(manifest)
    if layout is None:
        return None
    keys = manifest.keys_for(layout.fingerprint)
    try:
        with Store.open(settings.places.store, layout, read_only=True) as store:
            return present(keys, store)
    except StoreError as error:
        notes.append(str(error))
        return ~keys.known & keys.known


def _behind(manifest: Manifest, changes: Changes, in_memory: Mask | None) -> Behind:
    """Files that differ from the manifest, and files of the manifest that are not wholly in memory."""
    behind = Behind(len(changes.added), len(changes.changed), len(changes.removed))
    if in_memory is None:
        return behind
    incomplete = ~complete_files(manifest, in_memory)
    for path in [*(entry.path for entry in changes.changed), *changes.removed]:
        if path in manifest:
            incomplete[manifest.index_of[path]] = False
    changed = int((incomplete & manifest.columns.remembered).sum())
    return behind + Behind(added=int(incomplete.sum()) - changed, changed=changed)


def _entry_bytes(manifest: Manifest, in_memory: Mask | None) -> int:
    """Bytes in the store of this tree's entries, which other trees may share."""
    layout = layout_of(manifest)
    if layout is None or in_memory is None:
        return 0
    tokens = manifest.keys_for(layout.fingerprint).tokens[in_memory].astype(int)
    chunks = int((-(-tokens // layout.chunk_tokens)).sum())
    return chunks * layout.bytes_per_chunk


def _verify(manifest: Manifest, settings: Settings) -> list[str]:
    layout = layout_of(manifest)
    if layout is None or not settings.places.store.is_dir():
        return []
    with Store.open(settings.places.store, layout) as store:
        report = store.verify(full=True)
    return [f"{problem.where}: {problem.message}" for problem in report.problems]
