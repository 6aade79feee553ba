"""Sources as the indexer makes them: small neighbours in one document, long definitions in several.

The corpus keeps each definition alone. A model that only ever read those takes a neighbour's value for the one asked
about, and cannot tell whose line it reads in the later part of a function, whose name stands in the header alone
(docs/training.md, "The eighth course"). So files are put together again and go through the indexer itself.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from codemem.indexer import Selection, SourceFile, read_file
from codemem.model.events import Definition
from codemem.training.corpus import Corpus
from codemem.training.definition_names import definition_name
from codemem.training.files import File, Files

LIMITS, SHARES = (1600, 900, 500), (0.5, 0.3, 0.2)
"""Bytes of a document at most, and how often. 1,600 is what the product uses (indexer/selection.py); the corpus has no
longer definition, and smaller limits show what is cut all the same."""
ALONE = 0.25
"""Share of sources that stay definitions, as some are in any repository."""
KEPT = 4096
"""Indexed files that stay at hand."""

Key = tuple[int, int, int]
"""(first document of the file, limit, number within the file) of a packed document; -1, -1 and the corpus's number of
one that is shown as it is."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What is shown of a document of the corpus."""

    key: Key
    """Equal where two documents of the corpus are shown by one source."""
    header: str
    text: str
    definitions: tuple[Definition, ...] = ()
    """In its text."""


def alone_key(document: int) -> Key:
    """Of a document that is shown as it is."""
    return -1, -1, document


class IndexedFiles:
    """The corpus's files as the indexer cuts and packs them, each made when it is asked for."""

    def __init__(self, corpus: Corpus, files: Files) -> None:
        self._corpus, self._files = corpus, files
        self._kept: OrderedDict[tuple[int, int], SourceFile | None] = OrderedDict()
        self._named: OrderedDict[int, list[Definition]] = OrderedDict()

    def piece(self, document: int, evidence: str, limit: int) -> Piece:
        """The packed document that holds a document's evidence, or its first line where there is none.

        The document itself where that cannot be told: a language without a parser, evidence that two parts share.
        """
        alone = self.alone(document)
        file = self._files.of(document)
        first = self._files.first(document)
        indexed = self._indexed(first, file, limit)
        line = _line_of(file, document, evidence)
        if indexed is None or line is None:
            return alone
        for number, packed in enumerate(indexed.documents):
            if packed.start_line <= line <= packed.end_line:
                held = not evidence or evidence in packed.text
                if not held:
                    return alone
                found = self.within(document, packed.start_line - 1, packed.end_line)
                return Piece((first, limit, number), packed.header, packed.text, found)
        return alone

    def alone(self, document: int) -> Piece:
        """A document as it is."""
        header, text = self._corpus.headers[document], self._corpus.texts[document]
        name = definition_name(header, text)
        found = (Definition(name, 0, text.count("\n") + 1),) if name else ()
        return Piece(alone_key(document), header, text, found)

    def within(self, document: int, first: int, last: int) -> tuple[Definition, ...]:
        """The definitions in lines [first, last) of a document's file, counted from the first."""
        key = self._files.first(document)
        if key not in self._named:
            self._named[key] = list(self._definitions(document))
            if len(self._named) > KEPT:
                self._named.popitem(last=False)
        found = (d for d in self._named[key] if d.start_line < last and first < d.end_line)
        return tuple(Definition(d.name, d.start_line - first, d.end_line - first) for d in found)

    def _definitions(self, document: int) -> Iterator[Definition]:
        """Those of a file, by its lines."""
        file = self._files.of(document)
        for other in self._files.together(document):
            text = self._corpus.texts[other].rstrip("\n")
            if name := definition_name(self._corpus.headers[other], text):
                own = [line.strip() for line in text.splitlines()]
                start = _start_of(file, other, own)
                if start is not None:
                    yield Definition(name, start, start + len(own))

    def _indexed(self, first: int, file: File, limit: int) -> SourceFile | None:
        key = first, limit
        if key not in self._kept:
            data = ("\n".join(file.lines) + "\n").encode("utf-8", "replace")
            found = read_file(file.path, data, reincluded=True, selection=Selection(max_document_bytes=limit))
            self._kept[key] = found if isinstance(found, SourceFile) else None
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]


def _line_of(file: File, document: int, evidence: str) -> int | None:
    """1-based line of the evidence within the document's span of its file; of its first line without evidence."""
    first, last = file.spans[document]
    opening = evidence.split("\n", 1)[0]
    return next((at + 1 for at in range(first, last) if opening in file.lines[at]), None)


def _start_of(file: File, document: int, own: Sequence[str]) -> int | None:
    """The line where a document's stripped lines begin, within another's text where that holds it; None where only
    another version of it was kept."""
    first, last = file.spans[document]
    held = [line.strip() for line in file.lines[first:last]]
    starts = (at for at in range(len(held) - len(own) + 1) if held[at] == own[0] and held[at : at + len(own)] == own)
    return next((first + at for at in starts), None)


class PackedForm:
    """How one conversation shows its sources: most packed, some as they are."""

    def __init__(
        self,
        indexed: IndexedFiles,
        random: np.random.Generator,
        evidence: Mapping[int, str],
        banned: Iterable[str],
    ) -> None:
        """`evidence` of documents that answer something that is asked. `banned`: texts that no other source may bring
        along in its neighbours, because they would answer as well."""
        self._indexed, self._random = indexed, random
        self._evidence, self._banned = evidence, [text for text in banned if text]
        self._limit = int(random.choice(LIMITS, p=SHARES))
        self._shown: dict[int, Piece] = {}

    def shown(self, document: int) -> Piece:
        """The same at every call."""
        if document not in self._shown:
            self._shown[document] = self._drawn(document)
        return self._shown[document]

    def _drawn(self, document: int) -> Piece:
        alone = self._indexed.alone(document)
        if self._random.random() < ALONE:
            return alone
        packed = self._indexed.piece(document, self._evidence.get(document, ""), self._limit)
        own = self._evidence.get(document)
        return alone if any(text in packed.text for text in self._banned if text != own) else packed
