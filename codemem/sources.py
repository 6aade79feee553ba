"""Documents as the model reads them for a question."""

from collections.abc import Callable

from codemem.definitions import definitions
from codemem.model.events import Source
from codemem.model.spelled import names_to_find
from codemem.outline.query import asked_kinds
from codemem.outline.words import identifiers
from codemem.passages import FileChangedError
from codemem.recall import Recall

BESIDE = frozenset(("test", "example"))
"""Kinds of files that show what is meant rather than do it."""


def reader(recall: Recall, question: str) -> Callable[[int], Source]:
    """Documents of the bank by their index. One whose file changed since reads as empty: it cannot be cited then. What
    tests and examples do explains nothing unless they are asked about, by their kind or by a name that they define."""
    capitals = (name for name in identifiers(question) if any(map(str.isupper, name[1:])))
    spelled, beside = {*names_to_find(question), *capitals}, BESIDE - asked_kinds(question)

    def read(index: int) -> Source:
        tree, document = recall.where(index)
        row = tree.work.manifest.row_of_document(document)
        record = tree.passages.record(row)
        try:
            found = tree.passages.document(document)
        except FileChangedError:
            return Source(index, f"{record.path}\n", "")
        held = definitions(found, record.symbols)
        quotable = tree.work.manifest.kind(row) not in beside or any(each.own_name in spelled for each in held)
        return Source(index, found.header, found.text, held, quotable)

    return read
