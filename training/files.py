"""A corpus's documents put together into files again, so that they can be cut by lines as other retrieval cuts them.

The corpus keeps definitions, not files, and in no order. What stands together here are the documents of one path, each
once, by their headers with an empty line between: methods stand with their class, lines are cut anywhere.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from codemem.evals.baselines import CHUNK_LINES
from codemem.training.corpus import Corpus, Documents, path_alone
from codemem.training.definition_names import first_line

KEPT = 4096
"""Files that stay put together."""
ENDING_LINES = 2
"""Of two texts under one header that begin alike, so many last lines tell whether they are one definition."""


@dataclass(frozen=True, slots=True)
class File:
    """Documents of one path as lines."""

    path: str
    lines: list[str]
    spans: dict[int, tuple[int, int]]
    """Document -> half-open range of its lines; that of the one which holds it, where its text is there twice."""

    @property
    def chunks(self) -> int:
        """How many pieces of CHUNK_LINES lines there are, the last of them shorter."""
        return -(-len(self.lines) // CHUNK_LINES)

    def chunk(self, number: int) -> str:
        """The text of a piece."""
        return "\n".join(self.lines[number * CHUNK_LINES : (number + 1) * CHUNK_LINES])

    def holding(self, document: int, evidence: str = "") -> list[int]:
        """Pieces that hold a document's evidence, or its first line where none is known."""
        first, last = self.spans[document]
        if not evidence:
            return [first // CHUNK_LINES]
        every = range(first // CHUNK_LINES, (last - 1) // CHUNK_LINES + 1)
        return [number for number in every if evidence in self.chunk(number)]

    def window(self, document: int, evidence: str, before: int, after: int) -> str:
        """Lines around a document's evidence, or around its first line where none is known."""
        first, last = self.spans[document]
        line = evidence.split("\n", 1)[0]
        at = next((i for i in range(first, last) if line and line in self.lines[i]), first)
        return "\n".join(self.lines[max(0, at - before) : at + after + 1 + evidence.count("\n")])


class Files:
    """The files of a corpus, each put together when it is asked for."""

    def __init__(self, corpus: Corpus | Documents) -> None:
        self._corpus = corpus
        self._of: dict[tuple[int, str], list[int]] = defaultdict(list)
        for document, header in enumerate(corpus.headers):
            self._of[int(corpus.packages[document]), path_alone(header).rstrip("\n")].append(document)
        self._kept: OrderedDict[tuple[int, str], File] = OrderedDict()

    def of(self, document: int) -> File:
        """The file that a document is in."""
        key = self._key(document)
        if key in self._kept:
            self._kept.move_to_end(key)
        else:
            self._kept[key] = self._put_together(key[1], self._of[key])
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return self._kept[key]

    def first(self, document: int) -> int:
        """The first document of the same file, by which a file can be named."""
        return self._of[self._key(document)][0]

    def together(self, document: int) -> Sequence[int]:
        """All documents of the same file."""
        return self._of[self._key(document)]

    def names(self) -> dict[int, list[tuple[str, int]]]:
        """Package -> the paths of its files with one document of each, by path."""
        found: dict[int, list[tuple[str, int]]] = defaultdict(list)
        for (package, path), documents in sorted(self._of.items()):
            found[package].append((path, documents[0]))
        return found

    def _key(self, document: int) -> tuple[int, str]:
        return int(self._corpus.packages[document]), path_alone(self._corpus.headers[document]).rstrip("\n")

    def _put_together(self, path: str, documents: Sequence[int]) -> File:
        kept, inside = self._distinct(documents)
        lines: list[str] = []
        spans: dict[int, tuple[int, int]] = {}
        for document in sorted(kept, key=lambda d: (self._corpus.headers[d], d)):
            if lines:
                lines.append("")
            own = self._corpus.texts[document].rstrip("\n").splitlines()
            spans[document] = (len(lines), len(lines) + len(own))
            lines += own
        return File(path, lines, spans | {document: spans[holder] for document, holder in inside.items()})

    def _distinct(self, documents: Sequence[int]) -> tuple[list[int], dict[int, int]]:
        """Those to keep, and of the others which one holds their text: a method's class, or the same definition with
        its documentation."""
        kept: dict[int, str] = {}
        inside: dict[int, int] = {}
        opened: dict[tuple[str, str, str], int] = {}
        texts = {d: "\n".join(line.strip() for line in self._corpus.texts[d].splitlines()) for d in documents}
        for document in sorted(documents, key=lambda d: (-len(texts[d]), d)):
            text = texts[document]
            # With its documentation a definition begins otherwise, or goes on otherwise, and ends alike. Two that begin
            # with the same attribute (`#[test]`) are two.
            ending = "\n".join(text.rstrip().split("\n")[-ENDING_LINES:])
            opening = (self._corpus.headers[document], first_line(text), ending)
            holder = opened.get(opening, next((k for k, other in kept.items() if text in other), None))
            if holder is None:
                kept[document] = text
                opened[opening] = document
            else:
                inside[document] = holder
        return list(kept), inside
