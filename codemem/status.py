"""`codemem status`: what is indexed, and how far it is behind."""

from codemem.errors import NotIndexedError
from codemem.results import StatusResult
from codemem.snapshot import Behind
from codemem.sync import compare
from codemem.workspace import Workspace


def status_of(workspace: Workspace) -> StatusResult:
    """Looks without changing anything. Raises NotIndexedError if there is no manifest."""
    manifest = workspace.load()
    if manifest is None:
        raise NotIndexedError(f"{workspace.root} is not indexed: run `codemem index {workspace.root}`")
    changes = compare(workspace.tree, manifest, selection=workspace.selection)
    behind = Behind(len(changes.added), len(changes.changed), len(changes.removed))
    return StatusResult(
        path=workspace.name,
        model=manifest.info.model,
        commit=workspace.tree.commit,
        fresh=not behind,
        documents=manifest.documents,
        tokens=0,
        bytes=workspace.saved_bytes(),
        behind=behind,
    )
