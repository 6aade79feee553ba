"""What the code that a question spells out leads to: definitions that it names, which an answer often needs as well.

"Which default has `extend` in the function that `group_identifier` calls?" spells out the caller alone. Its text names
what it calls, and the outline knows where that is defined. Such documents gain, less than what speaks of the question's
own names does (docs/outline.md, "Links and mentions").
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from codemem.outline.query import folded, understand
from codemem.outline.records import SymbolRecord
from codemem.outline.words import identifiers
from codemem.passages import FileChangedError
from codemem.recall import Recall

ORIGINS = 2
"""Definitions that the question spells out whose text is followed, the highest ranked."""
MOST_SPELLED, MOST_NAMED = 6, 3
"""A name of the question, or of a text, that more definitions bear leads nowhere."""
LINKED = 6
"""Documents that gain."""
GAIN, STEP = 0.25, 0.01
"""What the highest ranked of them gains, where the best of all documents ranks 1, and each after it less."""
SPELLED = 16
"""Names of a question that are looked up: a report that was pasted has thousands."""
PARTS = 4
"""Documents of one definition that are read, from its first line on."""


def linked(recall: Recall, question: str, prior: npt.NDArray[np.float32]) -> dict[int, float]:
    """Index in the bank -> what a document gains because a definition that the question spells out names it.

    `prior` [documents in the bank] is how they rank so far.
    """
    names = understand(question, ()).names[:SPELLED]
    found: dict[int, float] = {}
    for owner, tree in enumerate(recall.trees):
        spelled = tree.snapshot.outline.named(names, most=MOST_SPELLED)
        places = [list(_documents(recall, owner, record.path, symbol)) for record, symbol in spelled]
        places = sorted((place for place in places if place), key=lambda place: -float(prior[place[0]]))[:ORIGINS]
        origins = {index for place in places for index in place}
        words = {word for index in origins for word in identifiers(_text(recall, index))}
        for record, symbol in tree.snapshot.outline.named(sorted(set(map(folded, words))), most=MOST_NAMED):
            if symbol.name in words:
                for index in list(_documents(recall, owner, record.path, symbol))[:1]:
                    if index not in origins:
                        found[index] = float(prior[index])
    best = sorted(found, key=lambda index: -found[index])[:LINKED]
    return {index: GAIN - STEP * place for place, index in enumerate(best)}


def _documents(recall: Recall, owner: int, path: str, symbol: SymbolRecord) -> Iterator[int]:
    """The documents in the bank that hold a definition, the first of them first."""
    manifest = recall.trees[owner].work.manifest
    first, last = (manifest.document_at(path, line) for line in (symbol.start_line, symbol.end_line))
    if first is not None:
        for document in range(first, min(first + PARTS, (first if last is None else last) + 1)):
            if (index := recall.index_of.get((owner, document))) is not None:
                yield index


def _text(recall: Recall, index: int) -> str:
    tree, document = recall.where(index)
    try:
        return tree.passages.document(document).text
    except FileChangedError:
        return ""
