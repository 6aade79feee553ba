"""Bringing a memory up to date while nobody waits: after a hook, or after a question that found it behind."""

from pathlib import Path

from codemem.config import Settings
from codemem.engines import LoadEngine
from codemem.index import IndexOptions, index
from codemem.progress import Report, silent
from codemem.results import IndexResult
from codemem.workspace import open_workspace


def refresh(path: Path, settings: Settings, load_engine: LoadEngine, *, report: Report = silent) -> IndexResult | None:
    """Does for a tree what it was indexed for: outline or memory. None, and nothing done, if it is not indexed.

    Nobody asked for a model here: a tree with an outline alone keeps to that.
    """
    with open_workspace(path, settings, whole=True) as workspace:
        known = workspace.load()
        if known is None:
            return None
        purpose = None if known.info.model else "outline"
        return index(workspace, settings, load_engine, IndexOptions(purpose), report=report)
