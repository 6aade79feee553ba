"""Documents as the model reads them for a question."""

import re
from collections.abc import Callable, Sequence

from codemem.definitions import definitions
from codemem.model.events import Definition, Source
from codemem.model.spelled import names_to_find
from codemem.outline.query import asked_kinds
from codemem.outline.words import identifiers
from codemem.passages import FileChangedError
from codemem.recall import Recall

BESIDE = frozenset(("test", "example"))
"""Kinds of files that show what is meant rather than do it."""
_TESTS_WITHIN = re.compile(r"(?:.*\.)?(?:tests?\.|test_)")
"""The name of a test that stands in the file of what it tests, or what it lies in."""


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
        shows = tree.work.manifest.kind(row) in beside or ("test" in beside and _of_tests(held))
        quotable = not shows or any(each.own_name in spelled for each in held)
        return Source(index, found.header, found.text, held, quotable)

    return read


def _of_tests(held: Sequence[Definition]) -> bool:
    """Whether a document holds tests alone, in the file of what they test, as Rust has them."""
    return bool(held) and all(_TESTS_WITHIN.match(each.name) for each in held)
