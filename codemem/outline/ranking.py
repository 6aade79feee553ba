"""How well files and definitions fit a question, from the outline alone.

A file's score is the sum over the question's terms of rarity times a saturating count of where the term occurs (file
name, folders, names of definitions and their surroundings), plus the fit of its best single definition, plus what exact
names earn, times how likely its kind of file is meant. docs/outline.md argues for each part.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from codemem.indexer.document import FILE_KINDS, SYMBOL_KINDS
from codemem.outline.query import Query, Term

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


FILE_WEIGHTS = MappingProxyType(
    {
        "code": 1.0, "config": 0.5, "docs": 0.4, "example": 0.4, "test": 0.3, "data": 0.3, "generated": 0.3,
        "vendored": 0.3,
    }
)  # fmt: skip
"""How likely a file of a kind is meant by a question that names no kind."""

SYMBOL_WEIGHTS = MappingProxyType(
    {
        "class": 1.0, "interface": 1.0, "struct": 1.0, "trait": 1.0, "enum": 0.9, "type": 0.9, "module": 0.8,
        "function": 0.8, "method": 0.7, "constructor": 0.6, "macro": 0.5, "section": 0.8, "constant": 0.4,
        "property": 0.4, "variable": 0.4,
    }
)  # fmt: skip
"""How much a definition's name says of what its file is for."""


@dataclass(frozen=True, slots=True)
class Weights:
    """The constants of the ranking. One set serves every repository and language."""

    stem: float = 1.2
    folder: float = 0.3
    name: float = 1.0
    context: float = 0.2
    own_context: float = 0.6
    signature: float = 0.3
    doc: float = 0.5
    saturation: float = 2.0
    length: float = 0.15
    best_symbol: float = 0.6
    exact_name: float = 6.0
    exact_stem: float = 4.0
    exact_path: float = 8.0
    declaration: float = 0.4
    """Of a declaration (C header, type stub) whose definition stands elsewhere, and of the file beside it."""
    kinds: Mapping[str, float] = field(default_factory=lambda: FILE_WEIGHTS)
    symbols: Mapping[str, float] = field(default_factory=lambda: SYMBOL_WEIGHTS)


DEFAULT_WEIGHTS = Weights()
TOLD_TERMS = 5
"""Words of a question that a file may be expected to have among its names: of a longer one, so many of mean rarity."""
BODY_TERMS = 64
"""Words of a long report, beside those of its first line, that are looked for."""


@dataclass(frozen=True, slots=True)
class Postings:
    """Where terms occur: those of term `t` are `rows[starts[t]:starts[t + 1]]`, each row once."""

    starts: Ints
    rows: Ints

    @classmethod
    def build(cls, terms: Ints, rows: Ints, vocabulary_size: int) -> "Postings":
        order = np.argsort(terms, kind="stable")
        starts = np.zeros(vocabulary_size + 1, dtype=np.int64)
        np.cumsum(np.bincount(terms, minlength=vocabulary_size), out=starts[1:])
        return cls(starts, rows[order])

    def of(self, term: int) -> Ints:
        return self.rows[self.starts[term] : self.starts[term + 1]]


@dataclass(frozen=True, slots=True)
class Index:
    """The outline in columns, made from the records of all files."""

    vocabulary: list[str]
    """Sorted."""
    term_ids: dict[str, int]
    kinds: Ints
    """Place in FILE_KINDS [files]."""
    file_of: Ints
    """File of each symbol [symbols]."""
    first_symbol: Ints
    """Symbols of file `f` are rows `first_symbol[f]` to `first_symbol[f + 1]` [files + 1]."""
    symbol_kinds: Ints
    """Place in SYMBOL_KINDS [symbols]."""
    stem_sizes: Floats
    """Terms in each file's name [files]."""
    declares: npt.NDArray[np.bool_]
    """Whether a symbol is but declared, its definition standing in another file [symbols]."""
    stubs: npt.NDArray[np.bool_]
    """Whether a file declares what a file of the same name defines [files]."""
    name_sizes: Floats
    """Terms in each symbol's name [symbols]."""
    folded_names: dict[str, Ints]
    """Folded name -> its symbols."""
    folded_stems: dict[str, Ints]
    """Folded file name -> its files."""
    paths: list[str]
    """[files]."""
    folded_paths: dict[str, Ints]
    """Lower-case last part of a path -> its files."""
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
        return len(self.paths)

    @property
    def symbol_counts(self) -> Floats:
        """Symbols of each file [files]."""
        return np.diff(self.first_symbol).astype(np.float64)

    def symbol_weights(self, weights: Weights) -> Floats:
        """How much a definition's kind counts [symbols]."""
        by_kind = np.array([weights.symbols.get(kind, 0.5) for kind in SYMBOL_KINDS])
        standing: Floats = by_kind[self.symbol_kinds] * np.where(self.declares, weights.declaration, 1.0)
        return standing

    def best_of_files(self, symbols: Floats) -> Floats:
        """The highest of its symbols' scores for each file, 0 without symbols [files]."""
        best = np.zeros(self.files)
        filled = np.flatnonzero(np.diff(self.first_symbol))
        if len(filled):
            best[filled] = np.maximum.reduceat(symbols, self.first_symbol[filled])
        return best


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of all files [files] and symbols [symbols]; 0 where nothing matched."""

    files: Floats
    symbols: Floats
    told: float
    """What the best file scores beside the rarity of all that was asked: about 1 where its names say most of it, below
    0.2 where a word or two stand somewhere among many."""


def score(index: Index, query: Query, weights: Weights = DEFAULT_WEIGHTS) -> Scores:
    """Score everything for one question."""
    kind_weight = index.symbol_weights(weights)
    symbols, name_hits = np.zeros(len(index.file_of)), np.zeros(len(index.file_of))
    files, stems, stem_hits = (np.zeros(index.files) for _ in range(3))
    norm = (
        1 - weights.length + weights.length * index.symbol_counts / max(1.0, len(index.file_of) / max(1, index.files))
    )
    terms, asked = _telling(index, query.terms), 0.0
    for term in terms:
        rows, in_name, evidence, fit = _in_symbols(index, term.variants, weights)
        in_stem, in_folder = _in_paths(index, term.variants)
        count = np.bincount(index.file_of[rows], weights=evidence * kind_weight[rows], minlength=index.files) / norm
        matched = int(np.count_nonzero(count + in_stem + in_folder))
        rarity = term.weight * math.log(1 + (index.files - matched + 0.5) / (matched + 0.5))
        asked += rarity
        if not matched:
            continue
        files += rarity * (count / (count + weights.saturation) + weights.folder * in_folder)
        stems += rarity * in_stem
        stem_hits += in_stem
        symbols[rows] += rarity * fit
        name_hits[rows] += in_name
    symbols *= kind_weight * (0.5 + 0.5 * np.minimum(1.0, name_hits / np.maximum(1.0, index.name_sizes)))
    files += weights.best_symbol * index.best_of_files(symbols)
    files += weights.stem * stems * (0.5 + 0.5 * np.minimum(1.0, stem_hits / np.maximum(1.0, index.stem_sizes)))
    _exact(index, query, weights, files, symbols)
    files *= _priors(index, query, weights)
    asked *= min(1.0, TOLD_TERMS / max(1, len(terms)))
    best = float(files.max(initial=0.0))
    return Scores(files, symbols, best / asked if asked else float(best > 0))


def _telling(index: Index, terms: Sequence[Term]) -> list[Term]:
    """All words of a question; of a report's body only the rarest: the others cost time and tell little."""
    body = [term for term in terms if term.weight < 1]
    if len(body) <= BODY_TERMS:
        return list(terms)
    kept = {term.word for term in sorted(body, key=lambda term: _occurrences(index, term))[:BODY_TERMS]}
    return [term for term in terms if term.weight >= 1 or term.word in kept]


def _occurrences(index: Index, term: Term) -> int:
    columns = (index.names, index.signatures, index.docs, index.stems)
    return sum(len(postings.of(index.term_ids[word])) for word in term.variants for postings in columns)


def _in_symbols(index: Index, variants: Mapping[str, float], weights: Weights) -> tuple[Ints, Floats, Floats, Floats]:
    """How surely a term stands in the symbols that it touches, each [touched].

    (the symbols, in their name, as evidence for their file, as fit of the symbol itself): a scope's words count
    once for the file, with the scope's own definition, but tell well which of several methods of one name is meant.
    """
    found: list[tuple[Ints, float, float, bool]] = []
    for word, sureness in variants.items():
        term = index.term_ids[word]
        for postings, weight, own, is_name in (
            (index.names, weights.name, weights.name, True),
            (index.contexts, weights.context, weights.own_context, False),
            (index.signatures, weights.signature, weights.signature, False),
            (index.docs, weights.doc, weights.doc, False),
        ):
            rows = postings.of(term)
            if len(rows):
                found.append((rows, sureness * weight, sureness * own, is_name))
    if not found:
        return np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0), np.zeros(0)
    touched, places = np.unique(np.concatenate([rows for rows, *_ in found]), return_inverse=True)
    in_name, evidence, fit = (np.zeros(len(touched)) for _ in range(3))
    start = 0
    for rows, weight, own, is_name in found:
        place = places[start : start + len(rows)]
        start += len(rows)
        evidence[place] = np.maximum(evidence[place], weight)
        fit[place] = np.maximum(fit[place], own)
        if is_name:
            in_name[place] = np.maximum(in_name[place], weight)
    return touched, in_name, evidence, fit


def _in_paths(index: Index, variants: Mapping[str, float]) -> tuple[Floats, Floats]:
    """How surely each file's name and its folders have a term [files]."""
    in_stem, in_folder = np.zeros(index.files), np.zeros(index.files)
    for word, sureness in variants.items():
        term = index.term_ids[word]
        for postings, target in ((index.stems, in_stem), (index.folders, in_folder)):
            rows = postings.of(term)
            target[rows] = np.maximum(target[rows], sureness)
    return in_stem, in_folder


def _exact(index: Index, query: Query, weights: Weights, files: Floats, symbols: Floats) -> None:
    """Definitions whose whole name the question spells out, files that are called so, and paths that it writes out."""
    kind_weight = index.symbol_weights(weights)
    share = 1.0 if query.bare else 0.5 / math.sqrt(max(1, len(query.names) / 3))
    for name in query.names:
        rows = index.folded_names.get(name)
        if rows is not None:
            rarity = 1 - math.log(len(rows)) / math.log(len(index.file_of) + 1)
            scopes = {scope for scope, wanted in query.scoped if wanted == name}
            fits = np.array([0.5 if scopes and index.scopes[row] not in scopes else 1.0 for row in rows])
            gain = share * weights.exact_name * kind_weight[rows] * fits * (1.0 if query.bare else rarity)
            symbols[rows] += gain
            if scopes:
                _above_its_file(index, rows, fits == 1.0, symbols)
            gains = np.zeros(index.files)
            np.maximum.at(gains, index.file_of[rows], gain)
            files += gains
        called = index.folded_stems.get(name)
        if called is not None:
            files[called] += share * weights.exact_stem
    for path in query.paths:
        rows = index.folded_paths.get(path.rpartition("/")[2].lower())
        if rows is not None:
            fit = np.array([_common_tail(path, index.paths[row]) for row in rows])
            files[rows[fit == fit.max()]] += weights.exact_path / math.sqrt(len(query.paths))


def _above_its_file(index: Index, rows: Ints, own: npt.NDArray[np.bool_], symbols: Floats) -> None:
    """What is spelled with its scope is meant before all else of its file, whatever that shares with the question.
    `own`: which of the rows of a name have a scope that is spelled with it [rows]."""
    for row in rows[own]:  # one file each: a report may spell thousands of names
        file = index.file_of[row]
        best = symbols[index.first_symbol[file] : index.first_symbol[file + 1]].max()
        symbols[row] = max(symbols[row], 1.05 * best)


def _common_tail(path: str, other: str) -> int:
    """How many of their last parts two paths share."""
    pairs = zip(reversed(path.lower().split("/")), reversed(other.lower().split("/")), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _priors(index: Index, query: Query, weights: Weights) -> Floats:
    """How likely a file of its kind is meant, 1 for kinds that the question asks for [files]."""
    by_kind = [1.0 if kind in query.kinds else weights.kinds.get(kind, 0.5) for kind in FILE_KINDS]
    priors: Floats = np.array(by_kind)[index.kinds] * np.where(index.stubs, (1 + weights.declaration) / 2, 1.0)
    return priors
