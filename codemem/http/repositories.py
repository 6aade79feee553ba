"""The repositories that are served: their names, their files, and lines of them. No model is needed here."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from codemem.config import Settings
from codemem.errors import CodememError
from codemem.http.errors import ApiError
from codemem.search import Target
from codemem.service import Service
from codemem.snapshot import Snapshot
from codemem.symbols import read_span
from codemem.workspace import open_workspace

ALL = "codemem"
"""The model that stands for all repositories together."""


@dataclass(frozen=True, slots=True)
class Repository:
    """One that is served."""

    name: str
    """Its folder's name, told apart by a number where several have the same."""
    path: Path


def named(paths: Sequence[Path], settings: Settings) -> list[Repository]:
    """Each repository once. Raises CodememError for a path that is none."""
    roots = []
    for path in paths:
        with open_workspace(path, settings, whole=True) as workspace:
            roots.append(workspace.root)
    found: dict[str, Path] = {}
    for root in dict.fromkeys(roots):
        same = sum(name.partition("~")[0] == root.name for name in found)
        found[f"{root.name}~{same + 1}" if same else root.name] = root
    return [Repository(name, root) for name, root in found.items()]


class Repositories:
    """Close it."""

    def __init__(self, served: Sequence[Repository], settings: Settings) -> None:
        self.served = served
        self._service = Service(settings, _no_model)

    def close(self) -> None:
        self._service.close()

    @property
    def models(self) -> list[str]:
        """What a chat client chooses from: all repositories, or one."""
        return [ALL, *(f"{ALL}/{each.name}" for each in self.served)]

    def of_model(self, model: str) -> list[Path]:
        """Raises ApiError."""
        if model == ALL:
            return [each.path for each in self.served]
        for each in self.served:
            if model == f"{ALL}/{each.name}":
                return [each.path]
        raise ApiError(
            404,
            f"there is no model {model!r} here, there is {', '.join(self.models)}",
            "model_not_found",
            param="model",
        )

    def by_name(self, name: str) -> Repository:
        """Raises ApiError."""
        for each in self.served:
            if each.name == name:
                return each
        raise ApiError(404, f"{name!r} is not served here", "repository_not_found", param="repository")

    async def tree(self, repository: Repository) -> dict[str, Any]:
        """Every file with its size, column by column: some 10,000 rows are usual."""
        return await asyncio.wrap_future(
            self._service.read(Target([repository.path]), lambda trees: _tree(repository, trees[0]))
        )

    async def lines(self, repository: Repository, path: str, start: int, end: int) -> dict[str, Any]:
        """Lines of a file as it is now; only of one that codemem reads. Raises UsageError."""
        span = await asyncio.wrap_future(
            self._service.read(Target([repository.path]), lambda trees: read_span(trees[0], path, start, end))
        )
        return {
            "path": span.path,
            "start_line": span.start_line,
            "end_line": span.end_line,
            "total_lines": span.total_lines,
            "text": span.text,
        }


def _tree(repository: Repository, snapshot: Snapshot) -> dict[str, Any]:
    manifest = snapshot.manifest
    sizes = [sum(d.end_byte - d.start_byte for d in record.documents) for record in manifest.files()]
    return {
        "repository": repository.name,
        "root": str(repository.path),
        "commit": manifest.info.commit,
        "model": manifest.info.model,
        "paths": list(manifest.paths),
        "bytes": sizes,
        "kinds": [manifest.kind(row) for row in range(len(manifest))],
    }


def _no_model(_: str) -> NoReturn:
    raise CodememError("this process has no model: the daemon has")
