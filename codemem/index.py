"""`codemem index`: the outline of a tree, then its memory."""

import time

from codemem.manifest import Manifest
from codemem.progress import Report, silent
from codemem.results import IndexResult
from codemem.snapshot import load_outline
from codemem.sync import compare, synchronise
from codemem.workspace import Workspace


def index_outline(workspace: Workspace, *, report: Report = silent) -> tuple[Manifest, IndexResult]:
    """Reads what changed since the last manifest and saves the new one. `find` can answer from then on."""
    started = time.monotonic()
    known = workspace.load() or workspace.load_relative() or Manifest.empty()
    changes = compare(workspace.tree, known, selection=workspace.selection)
    synced = synchronise(workspace.tree, known, changes, selection=workspace.selection, report=report)
    manifest = synced.manifest.with_info(commit=workspace.tree.commit)
    load_outline(workspace, manifest, synced)
    workspace.save(manifest)
    removed = sum(len(known.document_range(known.index_of[path])) for path in synced.dropped if path in known)
    result = IndexResult(
        path=workspace.name,
        model=manifest.info.model,
        documents=manifest.documents,
        tokens=0,
        encoded=0,
        reused=0,
        removed=removed,
        skipped=manifest.all_skipped,
        seconds=time.monotonic() - started,
        tokens_per_second=0.0,
    )
    return manifest, result
