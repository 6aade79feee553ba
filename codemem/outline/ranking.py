"""How well files and definitions fit a question, from the outline alone.

A file's score is the sum over the question's terms of rarity times a saturating count of where the term occurs (file
name, folders, names of definitions and their surroundings), plus the fit of its best single definition, plus what exact
names earn, times how likely its kind of file is meant. docs/outline.md argues for each part.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from codemem.outline.query import Query

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Weights:
    """The constants of the ranking. One set serves every repository and language."""

    stem: float = 1.0
    folder: float = 0.3
    name: float = 1.0
    context: float = 0.3
    signature: float = 0.3
    doc: float = 0.3
    saturation: float = 1.2
    length: float = 0.4
    best_symbol: float = 0.6
    exact_name: float = 6.0
    exact_stem: float = 4.0
    kinds: dict[str, float] = field(
        default_factory=lambda: {
            "code": 1.0, "config": 0.5, "docs": 0.4, "example": 0.4, "test": 0.3, "data": 0.3, "generated": 0.3,
            "vendored": 0.3,
        }  # fmt: skip
    )
    symbols: dict[str, float] = field(
        default_factory=lambda: {
            "class": 1.0, "interface": 1.0, "struct": 1.0, "trait": 1.0, "enum": 0.9, "type": 0.9, "module": 0.8,
            "function": 0.8, "constructor": 0.6, "method": 0.7, "macro": 0.5, "constant": 0.4, "property": 0.4,
            "variable": 0.4, "section": 0.5,
        }  # fmt: skip
    )


DEFAULT_WEIGHTS = Weights()


@dataclass(frozen=True, slots=True)
class Postings:
    """Where terms occur: rows of term `t` are `rows[starts[t]:starts[t + 1]]`, with a weight each."""

    starts: Ints
    rows: Ints
    weights: Floats

    @classmethod
    def build(cls, terms: Ints, rows: Ints, weights: Floats, vocabulary_size: int) -> "Postings":
        order = np.argsort(terms, kind="stable")
        starts = np.zeros(vocabulary_size + 1, dtype=np.int64)
        np.cumsum(np.bincount(terms, minlength=vocabulary_size), out=starts[1:])
        return cls(starts, rows[order], weights[order])

    def of(self, term: int) -> tuple[Ints, Floats]:
        part = slice(self.starts[term], self.starts[term + 1])
        return self.rows[part], self.weights[part]


@dataclass(frozen=True, slots=True)
class Index:
    """The outline in columns, made from the records of all files."""

    vocabulary: list[str]
    """Sorted."""
    term_ids: dict[str, int]
    kinds: list[str]
    """Kind of each file [files]."""
    file_of: Ints
    """File of each symbol [symbols]."""
    symbol_kinds: list[str]
    stem_sizes: Floats
    """Terms in each file's name [files]."""
    name_sizes: Floats
    """Terms in each symbol's name [symbols]."""
    folded_names: dict[str, Ints]
    """Folded name -> its symbols."""
    folded_stems: dict[str, Ints]
    """Folded file name -> its files."""
    scopes: list[str]
    """Folded last scope of each symbol [symbols]."""
    names: Postings
    contexts: Postings
    signatures: Postings
    docs: Postings
    stems: Postings
    folders: Postings

    @property
    def files(self) -> int:
        return len(self.kinds)


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of all files [files] and symbols [symbols]; 0 where nothing matched."""

    files: Floats
    symbols: Floats


def score(index: Index, query: Query, weights: Weights = DEFAULT_WEIGHTS) -> Scores:
    """Score everything for one question."""
    kind_weight = np.array([weights.symbols.get(kind, 0.5) for kind in index.symbol_kinds])
    symbols = np.zeros(len(index.file_of))
    name_hits = np.zeros(len(index.file_of))
    files, stems, stem_hits = (np.zeros(index.files) for _ in range(3))
    sizes = np.bincount(index.file_of, minlength=index.files).astype(np.float64)
    norm = 1 - weights.length + weights.length * sizes / max(1.0, sizes.mean() if len(sizes) else 1.0)
    for term in query.terms:
        in_name, around, in_stem, in_folder = _occurrences(index, term.variants, weights)
        evidence = np.maximum(in_name, around)
        count = np.bincount(index.file_of, weights=evidence * kind_weight, minlength=index.files) / norm
        matched = int(np.count_nonzero(count + in_stem + in_folder))
        if not matched:
            continue
        rarity = term.weight * np.log(1 + (index.files - matched + 0.5) / (matched + 0.5))
        files += rarity * (count / (count + weights.saturation) + weights.folder * in_folder)
        stems += rarity * in_stem
        stem_hits += in_stem
        symbols += rarity * evidence
        name_hits += in_name
    symbols *= kind_weight * (0.5 + 0.5 * np.minimum(1.0, name_hits / np.maximum(1.0, index.name_sizes)))
    best = np.zeros(index.files)
    np.maximum.at(best, index.file_of, symbols)
    files += weights.best_symbol * best
    files += weights.stem * stems * (0.5 + 0.5 * np.minimum(1.0, stem_hits / np.maximum(1.0, index.stem_sizes)))
    _exact(index, query, weights, files, symbols, kind_weight)
    return Scores(files * _priors(index, query, weights), symbols)


def _occurrences(index: Index, variants: object, weights: Weights) -> tuple[Floats, Floats, Floats, Floats]:
    in_name = np.zeros(len(index.file_of))
    around = np.zeros(len(index.file_of))
    in_stem = np.zeros(index.files)
    in_folder = np.zeros(index.files)
    for word, sureness in variants.items():  # type: ignore[attr-defined]
        term = index.term_ids[word]
        for postings, weight, target in (
            (index.names, weights.name, in_name),
            (index.contexts, weights.context, around),
            (index.signatures, weights.signature, around),
            (index.docs, weights.doc, around),
            (index.folders, 1.0, in_folder),
            (index.stems, 1.0, in_stem),
        ):
            rows, values = postings.of(term)
            target[rows] = np.maximum(target[rows], sureness * weight * values)
    return in_name, around, in_stem, in_folder


def _exact(
    index: Index, query: Query, weights: Weights, files: Floats, symbols: Floats, kind_weight: Floats
) -> None:
    """Definitions whose whole name the question spells out, and files that are called so."""
    for name in query.names:
        rows = index.folded_names.get(name)
        if rows is not None:
            scopes = {scope for scope, wanted in query.scoped if wanted == name}
            fits = np.array([0.5 if scopes and index.scopes[row] not in scopes else 1.0 for row in rows])
            gain = weights.exact_name * kind_weight[rows] * fits * (1.0 if query.bare else 0.5)
            symbols[rows] += gain
            best = np.zeros(index.files)
            np.maximum.at(best, index.file_of[rows], gain)
            files += best
        called = index.folded_stems.get(name)
        if called is not None:
            files[called] += weights.exact_stem * (1.0 if query.bare else 0.5)


def _priors(index: Index, query: Query, weights: Weights) -> Floats:
    asked = query.kinds
    return np.array([1.0 if kind in asked else weights.kinds.get(kind, 0.5) for kind in index.kinds])
