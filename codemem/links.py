"""What the code leads to that a question spells out: definitions that it names, which answers often need too.

"Which default has `extend` in the function that `group_identifier` calls?" spells out the caller alone. Its text names
what it calls, and the outline knows where that is defined. Such documents gain, less than what speaks of the question's
own names does, unless what the question seeks stands in them (docs/outline.md, "Links and mentions").
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from codemem.manifest import DocumentSpan
from codemem.meant import MOST_BEARERS, Meant, Spelled, belongs, meant, spelled_by, within_reach
from codemem.outline.assembly import DECLARING
from codemem.outline.query import folded, unmarked
from codemem.outline.records import SymbolRecord
from codemem.outline.words import identifiers, parts
from codemem.passages import FileChangedError
from codemem.recall import Recall
from codemem.sought import LOOKED_AT, Sought

ORIGINS = 2
"""Definitions that the question spells out whose text is followed, the highest ranked."""
MOST_NAMED = 3
"""A name of a text that more definitions bear, of those as near as any, leads nowhere."""
LINKED = 6
"""Documents that gain."""
GAIN, STEP = 0.4, 0.04
"""What the first of them gains, where the best of all documents ranks 1: as much as the only document with a name
(`mentions.WORTH`); each after it less, the last half, because they are less sure and what is read has room for few."""
SOUGHT_GAIN = 0.2
"""What those gain besides in which that stands which the question seeks."""
PARTS = 4
"""Documents of one definition that are read, from its first line on."""
NAMES = 400
"""Names of a text that are looked up: more than code has; a repository made to cost time could have a million."""


T = TypeVar("T")


class Lead(NamedTuple):
    """How surely a name of a text leads to what is asked for, the least the surest."""

    beside: bool
    """What the question seeks does not stand there."""
    bearers: int
    """Definitions that may be meant."""
    single: bool
    """The name is a single word, as those of variables are."""


@dataclass(frozen=True, slots=True)
class _Origin:
    """A definition that the question spells out."""

    path: str
    symbol: SymbolRecord
    documents: Sequence[int]
    """In the bank, in their order."""


_Name = tuple[Lead, int, str, Spelled]
"""How surely a name is meant, the first document in the bank of what bears it, the name, and that definition."""


def linked(recall: Recall, question: str, prior: npt.NDArray[np.float32]) -> dict[int, float]:
    """Index in the bank -> what a document gains because a definition that the question spells out names it.

    `prior` [documents in the bank] is how they rank so far.
    """
    query = spelled_by(question)
    found: dict[int, Lead] = {}
    for owner, tree in enumerate(recall.trees):
        asked = meant(tree, query)
        origins = _origins(recall, owner, asked, prior)
        own = {index for origin in origins for index in origin.documents}
        for origin in origins:
            named = sorted(_named(recall, owner, origin), key=lambda each: (each[0], -float(prior[each[1]])))
            followed = dict.fromkeys((_followed(asked, [origin]), _followed(asked, origins)))
            ways = (_leads(recall, owner, origin, named, Sought.of(question, names)) for names in followed)
            for index, lead in first_found(ways).items():
                if index not in own:
                    found[index] = min(lead, found.get(index, lead))
    return gains(found, prior)


def first_found(ways: Iterable[Mapping[int, Lead]]) -> Mapping[int, Lead]:
    """The first of some ways to follow a definition that leads to what is sought, else the last.

    A parameter that is asked for is sought in what one spelled definition names, though somewhere in a large tree
    something bears its name, too, and might be followed.
    """
    leads: Mapping[int, Lead] = {}
    for leads in ways:
        if not all(lead.beside for lead in leads.values()):
            break
    return leads


def gains(found: Mapping[int, Lead], prior: npt.NDArray[np.floating]) -> dict[int, float]:
    """What documents gain that names lead to: what is sought first, then those surest meant, of equals those that rank
    higher."""
    best = sorted(found, key=lambda index: (found[index], -float(prior[index])))[:LINKED]
    return {
        index: GAIN - STEP * place + (0.0 if found[index].beside else SOUGHT_GAIN) for place, index in enumerate(best)
    }


def lead_of(name: str, bearers: int, *, sought: bool = False) -> Lead:
    """How surely a name means one of its bearers, and whether in that stands what the question seeks."""
    return Lead(not sought, bearers, len(parts(name)) < 2)


def _origins(recall: Recall, owner: int, asked: Meant, prior: npt.NDArray[np.float32]) -> list[_Origin]:
    """However many bear a name: which of them is meant is what the ranking tells, unless the question spells what it
    belongs to as well. What merely declares it (a `.d.ts` file) leads nowhere that its body does not."""
    every = [
        (number >= asked.surest, _Origin(path, symbol, documents_of(recall, owner, path, symbol)))
        for number, (path, symbol) in enumerate(asked.definitions)
        if (path, symbol) not in asked.heirs
    ]
    held = [(unsure, origin) for unsure, origin in every if origin.documents]
    held.sort(key=lambda each: (each[0], each[1].path.lower().endswith(DECLARING), -float(prior[each[1].documents[0]])))
    return each_name_first([(unsure, origin.symbol.name, origin) for unsure, origin in held])[:ORIGINS]


def each_name_first(ranked: Sequence[tuple[bool, str, T]]) -> list[T]:
    """What bears a name, surely meant or not: first what is, and of either the best of every name before the second of
    any."""
    seen: Counter[str] = Counter()
    turns: list[tuple[bool, int, T]] = []
    for unsure, name, each in ranked:
        turns.append((unsure, seen[name], each))
        seen[name] += 1
    return [each for _, _, each in sorted(turns, key=lambda turn: turn[:2])]


def _followed(asked: Meant, origins: Sequence[_Origin]) -> frozenset[str]:
    """The names (folded) by which the question says what is followed."""
    symbols = [*(origin.symbol for origin in origins), *(symbol for _, symbol in asked.heirs)]
    return frozenset(name for symbol in symbols for name in (folded(symbol.name), belongs(symbol)))


def _leads(recall: Recall, owner: int, origin: _Origin, named: Sequence[_Name], sought: Sought) -> dict[int, Lead]:
    """Index in the bank -> of each definition that an origin's own lines name, the surest first, its first document, or
    where in it that stands which is sought."""
    tree, found = recall.trees[owner], dict[int, Lead]()
    if sought.nearer and sought.line(tree, origin.path, origin.symbol) is not None:
        sought = Sought()
    for number, (lead, first, name, (path, symbol)) in enumerate(named):
        line = sought.line(tree, path, symbol) if number < LOOKED_AT else None
        document = None if line is None else tree.work.manifest.document_at(path, line)
        index = first if document is None else recall.index_of.get((owner, document), first)
        surest = lead if line is None else lead_of(name, lead.bearers, sought=True)
        found[index] = min(surest, found.get(index, surest))
    return found


def _named(recall: Recall, owner: int, origin: _Origin) -> Iterator[_Name]:
    """Of each definition that an origin's own lines name."""
    words = {word for index in origin.documents for word in identifiers(_text(recall, index, origin.symbol))}
    folds = sorted(set(map(folded, words)) - {folded(origin.symbol.name)})[:NAMES]
    bearers: dict[str, list[Spelled]] = defaultdict(list)
    for record, symbol in recall.trees[owner].snapshot.outline.named(folds, most=MOST_BEARERS):
        if (name := unmarked(symbol.name)) in words:
            bearers[name].append((record.path, symbol))
    for name, places in bearers.items():
        near = within_reach(origin.path, [path for path, _ in places])
        for place in near if len(near) <= MOST_NAMED else ():
            for index in documents_of(recall, owner, *places[place])[:1]:
                yield lead_of(name, len(near)), index, name, places[place]


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
