"""What editors look at besides answers: names, the definition at a line, what is indexed. None of it needs a model."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from codemem.config import Settings
from codemem.indexer import Symbol, read_file
from codemem.indexer.document import SourceFile
from codemem.search import Session
from codemem.status import status_of
from codemem.symbols import at_line, matching
from codemem.workspace import open_workspace


def symbols(session: Session, query: str, limit: int) -> list[dict[str, Any]]:
    """Definitions that match a name: `repository`, `path`, and what `_symbol` has; the closest first."""
    places = matching(session.snapshots, query, limit)
    return [{"repository": place.repository, "path": place.path, **_symbol(place.symbol)} for place in places]


def definition(session: Session, file: Path, line: int) -> dict[str, Any] | None:
    """The innermost definition around a line (1-based) of a file; None if there is none or the file is of no tree."""
    for snapshot in session.snapshots:
        root = snapshot.workspace.root
        if file.is_relative_to(root):
            found = at_line(snapshot, file.relative_to(root).as_posix(), line)
            return _symbol(found) if found else None
    return None


def definitions(name: str, text: str) -> list[dict[str, Any]]:
    """Definitions of a text as a file of this name would have them, in order."""
    read = read_file(name, text.encode("utf-8", "replace"))
    return [_symbol(symbol) for symbol in read.symbols] if isinstance(read, SourceFile) else []


def trees(paths: Sequence[Path], settings: Settings) -> list[dict[str, Any]]:
    """`codemem status --json` of each. Raises NotIndexedError."""
    told = []
    for path in paths:
        with open_workspace(path, settings, whole=True) as workspace:
            told.append(status_of(workspace, settings).to_json())
    return told


def _symbol(symbol: Symbol) -> dict[str, Any]:
    return asdict(symbol) | {"qualified_name": symbol.qualified_name}
