"""The words of documents: which a file's hold, and how well documents fit a question by them.

Okapi BM25 (Robertson and Zaragoza, 2009; the inverse document frequency of Lucene) over identifiers as they are spelled
and the words that they are made of. Names that a question has in common with a body alone are told by nothing else:
the outline knows what is defined, the memory what is alike (docs/outline.md, "Words of bodies").
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from codemem.outline.words import STOP_WORDS, identifiers, parts

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

K1, B = 1.5, 0.75
"""Of Okapi BM25, at their usual values."""
LONGEST = 80
"""Characters of an identifier; what is longer is data."""
MOST_COUNTED = 255
"""Occurrences in a document, of which more tell nothing more."""
QUESTION_WORDS = 64
"""Of a long report so many are looked for, the rarest: the others cost time and tell little."""
_LONG = re.compile(rf"\w{{{LONGEST + 1},}}")


class FileWords(NamedTuple):
    """The words of a file's documents, each once a document."""

    words: tuple[str, ...]
    """Of all documents together, each once."""
    sizes: bytes
    """Different words of each document, uint32 [documents]."""
    places: bytes
    """Where in `words` they stand, document after document, uint32 [sum of sizes]."""
    counts: bytes
    """How often each stands in the document, uint8 [sum of sizes]."""


NO_WORDS = FileWords((), b"", b"", b"")
"""Of a file that was not read."""


def words_of(text: str) -> Counter[str]:
    """Lower-case words of a text, each identifier of several parts being itself and its parts; no stop words."""
    found: Counter[str] = Counter()
    for identifier, count in Counter(identifiers(_LONG.sub(" ", text))).items():
        pieces = parts(identifier)
        for word in pieces if len(pieces) == 1 else (identifier.lower(), *pieces):
            if word not in STOP_WORDS:
                found[word] += count
    return found


def file_words(texts: Iterable[str]) -> FileWords:
    """The words of the documents of one file, given as they are read."""
    known: dict[str, int] = {}
    sizes: list[int] = []
    places: list[int] = []
    counts: list[int] = []
    for text in texts:
        found = words_of(text)
        sizes.append(len(found))
        places.extend(known.setdefault(word, len(known)) for word in found)
        counts.extend(min(count, MOST_COUNTED) for count in found.values())
    return FileWords(tuple(known), np.array(sizes, "<u4").tobytes(), np.array(places, "<u4").tobytes(), bytes(counts))


def checked_columns(file: FileWords) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """`sizes` and `places`. Raises ValueError if the columns do not belong together."""
    size, places = np.frombuffer(file.sizes, "<u4"), np.frombuffer(file.places, "<u4")
    if not int(size.sum()) == len(places) == len(file.counts) or int(places.max(initial=0)) > max(
        0, len(file.words) - 1
    ):
        raise ValueError("words and documents of a file do not belong together")
    return size, places


@dataclass(frozen=True, slots=True)
class Bodies:
    """Documents by the words that they hold, in the order of the files and of each file's documents."""

    starts: Ints
    """Documents of file `f` are `starts[f]` to `starts[f + 1]` [files + 1]."""
    _terms: dict[str, int]
    _first: Ints
    """Where a term's postings begin [terms + 1]."""
    _documents: npt.NDArray[np.int32]
    """[postings]"""
    _weights: Floats
    """What the term is worth in the document, but for its rarity [postings]."""

    @classmethod
    def of(cls, files: Sequence[FileWords]) -> "Bodies":
        """Raises ValueError if the columns of a file do not belong together."""
        terms: dict[str, int] = {}
        sizes, columns, counts = [], [], []
        for file in files:
            size, places = checked_columns(file)
            numbers = np.fromiter((terms.setdefault(word, len(terms)) for word in file.words), np.int32)
            sizes.append(size)
            columns.append(numbers[places])
            counts.append(np.frombuffer(file.counts, np.uint8))
        size = np.concatenate(sizes).astype(np.int64) if sizes else np.zeros(0, np.int64)
        term = np.concatenate(columns) if columns else np.zeros(0, np.int32)
        count = (np.concatenate(counts) if counts else np.zeros(0, np.uint8)).astype(np.float32)
        document = np.repeat(np.arange(len(size), dtype=np.int32), size)
        lengths = np.bincount(document, weights=count, minlength=len(size)).astype(np.float32)
        norm = K1 * (1 - B + B * lengths / max(1.0, float(lengths.mean()) if len(lengths) else 1.0))
        order = np.argsort(term, kind="stable")
        count, document = count[order], document[order]
        return cls(
            starts=np.cumsum([0, *(len(part) for part in sizes)], dtype=np.int64),
            _terms=terms,
            _first=np.concatenate(([0], np.cumsum(np.bincount(term, minlength=len(terms))))).astype(np.int64),
            _documents=document,
            _weights=(count * (K1 + 1) / (count + norm[document])).astype(np.float32),
        )

    def __len__(self) -> int:
        """Documents."""
        return int(self.starts[-1])

    def scores(self, question: str) -> Floats:
        """How well each document fits the words of a question, 0 where it has none [documents]."""
        scores = np.zeros(len(self), np.float32)
        known = [self._terms[word] for word in words_of(question) if word in self._terms]
        frequency = {term: int(self._first[term + 1] - self._first[term]) for term in known}
        for term in sorted(known, key=lambda term: frequency[term])[:QUESTION_WORDS]:
            rows = slice(int(self._first[term]), int(self._first[term + 1]))
            rarity = np.log1p((len(self) - frequency[term] + 0.5) / (frequency[term] + 0.5))
            scores[self._documents[rows]] += np.float32(rarity) * self._weights[rows]
        return scores
