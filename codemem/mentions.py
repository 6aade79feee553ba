"""Where the names that a question spells out are spoken of, besides where they are defined.

Who calls `retry` stands where `retry` is called: in code that neither bears the name nor need be about anything alike.
The outline knows definitions, the memory knows what is alike; the files know the rest. Each document that holds a name
gains by how few others do (docs/outline.md, "Links and mentions").
"""

import re
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

from codemem.file_texts import file_texts
from codemem.find import SPARE, Candidate
from codemem.manifest import FileRecord
from codemem.meant import meant, spelled_by
from codemem.model.kin import akin, kind_of
from codemem.model.spelled import names_to_find, standing_alone
from codemem.outline.mix import kind_weight
from codemem.outline.query import Query, asked_kinds, unmarked
from codemem.passages import FileChangedError
from codemem.recall import Recall, Remembered

SECONDS = 0.5
"""For reading files; what is not read by then gains nothing."""
MOST = 12
"""A name that more documents of the kinds that are meant hold is no lead."""
WORTH = 0.4
"""What the only document with a name gains, where the best of all ranks 1."""
STRANGE = 0.55
"""How likely code of another language is meant than what defines the name: as little as a test."""
CODE = frozenset(("code", "test", "example"))
"""Kinds of files in which a name is that of a definition of their own language."""
FALL = 0.5
"""Of n documents with a name each gains so: 1 / n ** FALL of it; of tests and other kinds that are not meant, n counts
all, of those that are meant these alone."""


def mentions(recall: Recall, question: str, *, seconds: float = SECONDS) -> dict[int, float]:
    """Index in the bank -> what a document gains by the names of the question that stand in it, at most about 1."""
    names = names_to_find(question)
    if not names:
        return {}
    deadline = time.monotonic() + seconds
    holding: dict[str, dict[int, float]] = {name: {} for name in names}
    asked, spelled = asked_kinds(question), spelled_by(question)
    for owner, tree in enumerate(recall.trees):
        manifest = tree.work.manifest
        defining = _defining(tree, spelled, names)
        for path, data in file_texts(tree.snapshot, deadline):
            row = manifest.index_of.get(path)
            if data is None or row is None:
                continue
            kind = manifest.kind(row)
            for name, found in holding.items():
                if _lead(found) and name.encode() in data:
                    weight = likely(path, kind, asked, defining[name])
                    held = (recall.index_of.get((owner, d)) for d in _documents(manifest.file(row), data, name))
                    found.update({index: weight for index in held if index is not None})
    gains: dict[int, float] = defaultdict(float)
    for found in holding.values():
        for index, gain in gains_of(found).items():
            gains[index] += gain
    return gains


def likely(path: str, kind: str, asked: Collection[str], defining: Collection[str]) -> float:
    """How likely a file is meant that holds a name, at most 1, by its kind and by what kinds (`model/kin.py`) of files
    define that; `asked` are kinds that the question names."""
    strange = kind in CODE and not akin(path, defining)
    return kind_weight(kind, asked) * (STRANGE if strange else 1.0)


def _defining(tree: Remembered, spelled: Query, names: Sequence[str]) -> dict[str, frozenset[str]]:
    """Name -> the kinds of the files that define what the question means by it; none where nothing does."""
    found: dict[str, set[str]] = {name: set() for name in names}
    for path, symbol in meant(tree, spelled).definitions:
        if (name := unmarked(symbol.name)) in found:
            found[name].add(kind_of(path))
    return {name: frozenset(kinds) for name, kinds in found.items()}


def gains_of(found: Mapping[int, float]) -> dict[int, float]:
    """What documents gain by a name that stands in them; `found`: each, and how likely its kind of file is meant."""
    if not _lead(found):
        return {}
    meant = max(1, sum(weight == 1.0 for weight in found.values()))
    return {index: WORTH * weight / (meant if weight == 1.0 else len(found)) ** FALL for index, weight in found.items()}


def _lead(found: Mapping[int, float]) -> bool:
    """Whether so few documents of the kinds that are meant hold a name that it leads somewhere: the tests of what is
    asked about may be any number."""
    return sum(weight == 1.0 for weight in found.values()) <= MOST


def speaking_places(recall: Recall, question: str, *, most: int) -> list[Candidate]:
    """Where names of the question are spoken of, the rarest names' first: the definitions around these lines, then
    lines outside of all, as imports are."""
    gains = mentions(recall, question)
    # Every test of a repository may speak of the name: only so many files are parsed to say where.
    likely = sorted(gains, key=lambda index: (-gains[index], index))[: SPARE * most]
    found = [_place(recall, index, question, gains[index]) for index in likely]
    places = [candidate for candidate in found if candidate]
    return sorted(places, key=lambda candidate: (candidate.symbol is None, -candidate.score))[:most]


def _place(recall: Recall, index: int, question: str, gain: float) -> Candidate | None:
    """Of a document's lines that hold a name of the question the first within a definition of another name; else the
    first outside of all definitions, as an import is."""
    tree, document = recall.where(index)
    names = names_to_find(question)
    try:
        text = tree.passages.document(document).text
        matches = re.finditer(standing_alone(names), text)
        spans = [(len(text[: m.start()].encode()), len(text[: m.end()].encode())) for m in matches]
        places = [tree.passages.place(document, *span) for span in spans]
    except FileChangedError:
        return None
    other = [place for place in places if place.symbol is None or place.symbol.rpartition(".")[2] not in names]
    best = min(other, key=lambda place: place.symbol is None, default=None)
    return Candidate(tree.snapshot, best.path, best.lines, best.symbol, gain) if best else None


def _documents(file: FileRecord, data: bytes, name: str) -> Iterator[int]:
    """The documents of a file in which a name stands by itself, each once, in their order."""
    spans, at = file.documents, 0
    for line in _lines(data, name):
        while at < len(spans) and spans[at].end_line < line:
            at += 1
        if at < len(spans) and spans[at].start_line <= line:
            yield file.first_document + at
            at += 1


def _lines(data: bytes, name: str) -> Iterator[int]:
    """1-based lines in which a name stands by itself."""
    before, line = 0, 1
    for match in re.finditer(standing_alone([name]).encode(), data):
        line += data.count(b"\n", before, match.start())
        before = match.start()
        yield line
