"""codemem's own ways to rank, behind the harness's protocol."""

from dataclasses import replace

from codemem.evals.checkouts import Checkout
from codemem.evals.retrieval import Hit
from codemem.indexer import SourceFile, index_tree, open_tree
from codemem.outline import Outline
from codemem.outline.records import FileRecord, record


class OutlineReader:
    """Reads checkouts as `codemem index` does; a file that several revisions share is parsed once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], FileRecord | None] = {}

    def records(self, checkout: Checkout) -> list[FileRecord]:
        """Outlines of all files, with paths from the repository's root."""
        folder = checkout.repository.folder
        with open_tree(checkout.searched) as tree:
            entries = tree.list().entries
            keys = [(f"{checkout.repository.name}/{folder}/{entry.path}", entry.oid) for entry in entries]
            new = [(key, entry) for key, entry in zip(keys, entries, strict=True) if key not in self._known]
            files = index_tree(tree, [entry for _, entry in new])
            for (key, _), file in zip(new, files, strict=True):
                self._known[key] = _record(file, folder) if isinstance(file, SourceFile) else None
        return [found for key in keys if (found := self._known[key]) is not None]


def _record(file: SourceFile, folder: str) -> FileRecord:
    return record(replace(file, path=f"{folder}/{file.path}") if folder else file)


class OutlineRetriever:
    """The outline alone: `codemem find --router outline`."""

    def __init__(self, reader: OutlineReader | None = None) -> None:
        self.name = "outline"
        self._reader = reader or OutlineReader()

    def prepare(self, checkout: Checkout) -> None:
        self.outline = Outline(self._reader.records(checkout), names=[checkout.repository.short_name])

    def rank(self, query: str, k: int) -> list[Hit]:
        return [Hit(hit.path, hit.start_line, hit.end_line, hit.score) for hit in self.outline.search(query, k)]
