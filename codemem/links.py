"""The code that a question spells out, and what it leads to: definitions that it names, which answers often need too.

"Which default has `extend` in the function that `group_identifier` calls?" spells out the caller alone. Its text names
what it calls, and the outline knows where that is defined. Such documents gain, less than what speaks of the question's
own names does (docs/outline.md, "Links and mentions").
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from codemem.manifest import DocumentSpan
from codemem.model.spelled import names_to_find
from codemem.outline.query import folded, understand
from codemem.outline.records import SymbolRecord
from codemem.outline.words import identifiers, parts
from codemem.passages import FileChangedError
from codemem.recall import Recall

ORIGINS = 2
"""Definitions that the question spells out whose text is followed, the highest ranked."""
MOST_BEARERS = 1000
"""A name that more definitions bear is not looked at: it would take time, and say little."""
MOST_NAMED = 3
"""A name of a text that more definitions bear, of those as near as any, leads nowhere."""
LINKED = 6
"""Documents that gain."""
GAIN, STEP = 0.4, 0.04
"""What the first of them gains, where the best of all documents ranks 1: as much as the only document with a name
(`mentions.WORTH`); each after it less, the last half, because they are less sure and what is read has room for few."""
SPELLED_GAIN = 0.3
"""What the document gains in which the only definition begins that bears a name as the question spells it; of n each
gains so much / sqrt(n)."""
SPELLED = 16
"""Names of a question that are looked up: a report that was pasted has thousands."""
PARTS = 4
"""Documents of one definition that are read, from its first line on."""
NAMES, DEEPEST = 400, 64
"""Names of a text that are looked up, and folders of a path that are compared: more than code has; a repository made to
cost time could have a million of either."""

Lead = tuple[int, bool]
"""How surely a name of a text means a definition, the less the surer: definitions that may be meant; whether the name
is a single word, as those of variables are."""


@dataclass(frozen=True, slots=True)
class _Origin:
    """A definition that the question spells out."""

    path: str
    symbol: SymbolRecord
    documents: Sequence[int]
    """In the bank, in their order."""


def spelled_out(recall: Recall, question: str) -> dict[int, float]:
    """Index in the bank -> what a document gains because a definition begins in it that the question spells out.

    Whatever else ranks high, as a file whose path is spelled too does, what is asked about is to be read.
    """
    found: dict[int, float] = {}
    for owner, tree in enumerate(recall.trees):
        for name in names_to_find(question):
            named = tree.snapshot.outline.named([folded(name)], most=MOST_BEARERS)
            bearers = [(record.path, symbol) for record, symbol in named if symbol.name == name]
            for path, symbol in bearers:
                if (index := next(_held(recall, owner, path, symbol), None)) is not None:
                    found[index] = max(found.get(index, 0.0), spelled_gain(len(bearers)))
    return found


def spelled_gain(bearers: int) -> float:
    """What each of the definitions gains that bear a name which the question spells."""
    return SPELLED_GAIN / math.sqrt(bearers)


def linked(recall: Recall, question: str, prior: npt.NDArray[np.float32]) -> dict[int, float]:
    """Index in the bank -> what a document gains because a definition that the question spells out names it.

    `prior` [documents in the bank] is how they rank so far.
    """
    names = understand(question, ()).names[:SPELLED]
    found: dict[int, Lead] = {}
    for owner in range(len(recall.trees)):
        origins = _origins(recall, owner, names, prior)
        own = {index for origin in origins for index in origin.documents}
        for origin in origins:
            for index, lead in _leads(recall, owner, origin).items():
                if index not in own:
                    found[index] = min(lead, found.get(index, lead))
    return gains(found, prior)


def gains(found: Mapping[int, Lead], prior: npt.NDArray[np.floating]) -> dict[int, float]:
    """What documents gain that names lead to: those surest meant first, of equals those that rank higher."""
    best = sorted(found, key=lambda index: (found[index], -float(prior[index])))[:LINKED]
    return {index: GAIN - STEP * place for place, index in enumerate(best)}


def lead_of(name: str, bearers: int) -> Lead:
    """How surely a name means one of its bearers."""
    return bearers, len(parts(name)) < 2


def nearest(origin: str, paths: Sequence[str]) -> list[int]:
    """Places in `paths` of those nearest to a file: itself, else those that share most of its folders.

    In any language a name is looked for near by before it is looked for elsewhere. However much else is remembered,
    what lies near stays the same.
    """
    shared = [_shared(origin, path) for path in paths]
    most = max(shared, default=0)
    return [place for place, count in enumerate(shared) if count == most]


def _shared(origin: str, path: str) -> int:
    """Folders from the root on that two files share; the same file has one more."""
    if origin == path:
        return origin.count("/") + 1
    count = 0
    for one, other in zip(origin.split("/", DEEPEST)[:-1], path.split("/", DEEPEST)[:-1], strict=False):
        if one != other:
            break
        count += 1
    return count


def _origins(recall: Recall, owner: int, names: Sequence[str], prior: npt.NDArray[np.float32]) -> list[_Origin]:
    """However many bear a name: which of them is meant is what the ranking tells, unless the question spells what it
    belongs to as well."""
    spelled = recall.trees[owner].snapshot.outline.named(names, most=MOST_BEARERS)
    every = [
        _Origin(record.path, symbol, documents_of(recall, owner, record.path, symbol)) for record, symbol in spelled
    ]
    held = (origin for origin in every if origin.documents)
    meant = sorted(held, key=lambda origin: (not _owned(origin.symbol, names), -float(prior[origin.documents[0]])))
    return meant[:ORIGINS]


def _owned(symbol: SymbolRecord, names: Sequence[str]) -> bool:
    """Whether the question spells both a definition and what it belongs to: "the `send` method of `Client`"."""
    name, owner = folded(symbol.name), folded(symbol.scope.rpartition(".")[2])
    return name != owner and name in names and owner in names


def _leads(recall: Recall, owner: int, origin: _Origin) -> dict[int, Lead]:
    """Index in the bank of the first document of each definition that an origin's own lines name."""
    words = {word for index in origin.documents for word in identifiers(_text(recall, index, origin.symbol))}
    folds = sorted(set(map(folded, words)) - {folded(origin.symbol.name)})[:NAMES]
    bearers: dict[str, list[tuple[str, SymbolRecord]]] = defaultdict(list)
    for record, symbol in recall.trees[owner].snapshot.outline.named(folds, most=MOST_BEARERS):
        if symbol.name in words:
            bearers[symbol.name].append((record.path, symbol))
    found: dict[int, Lead] = {}
    for name, places in bearers.items():
        near = nearest(origin.path, [path for path, _ in places])
        for place in near if len(near) <= MOST_NAMED else ():
            for index in documents_of(recall, owner, *places[place])[:1]:
                lead = lead_of(name, len(near))
                found[index] = min(lead, found.get(index, lead))
    return found


def documents_of(recall: Recall, owner: int, path: str, symbol: SymbolRecord) -> list[int]:
    """The documents in the bank that hold a definition of a tree (its number): the first `PARTS`, in their order."""
    return list(_held(recall, owner, path, symbol))


def _held(recall: Recall, owner: int, path: str, symbol: SymbolRecord) -> Iterator[int]:
    manifest = recall.trees[owner].work.manifest
    first, last = (manifest.document_at(path, line) for line in (symbol.start_line, symbol.end_line))
    if first is not None:
        for document in range(first, min(first + PARTS, (first if last is None else last) + 1)):
            if (index := recall.index_of.get((owner, document))) is not None:
                yield index


def _text(recall: Recall, index: int, symbol: SymbolRecord) -> str:
    """Of a document the lines of a definition alone: its neighbours' names lead elsewhere."""
    tree, document = recall.where(index)
    try:
        text = tree.passages.document(document).text
    except FileChangedError:
        return ""
    manifest = tree.work.manifest
    file = manifest.file(manifest.row_of_document(document))
    return own_lines(text, file.documents[document - file.first_document], symbol)


def own_lines(text: str, span: DocumentSpan, symbol: SymbolRecord) -> str:
    """Those of a document's lines that lie within a definition."""
    first, last = symbol.start_line - span.start_line, symbol.end_line - span.start_line
    return "\n".join(text.split("\n")[max(0, first) : last + 1])
