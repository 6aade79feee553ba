"""From the records of all files to the columns that are ranked."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt

from codemem.indexer.document import FILE_KINDS, SYMBOL_KINDS
from codemem.outline.query import folded
from codemem.outline.ranking import Index, Postings
from codemem.outline.records import FileRecord, SymbolRecord

DECLARING = (".h", ".hh", ".hpp", ".hxx", ".pyi", ".d.ts", ".d.mts", ".d.cts", ".mli", ".fsi")
"""Endings of files that declare what other files define."""

_KIND_PLACES = {kind: place for place, kind in enumerate(SYMBOL_KINDS)}


def assemble(records: Sequence[FileRecord]) -> Index:
    """The columns of these files."""
    symbols = [(number, symbol) for number, entry in enumerate(records) for symbol in entry.symbols]
    columns = {
        "names": [symbol.name_terms for _, symbol in symbols],
        "contexts": [symbol.context_terms for _, symbol in symbols],
        "signatures": [symbol.signature_terms for _, symbol in symbols],
        "docs": [symbol.doc_terms for _, symbol in symbols],
        "stems": [entry.stem_terms for entry in records],
        "folders": [entry.folder_terms for entry in records],
    }
    # Rows repeat (every `__init__` has the same terms): each is looked up once.
    unique = {row for column in columns.values() for row in column}
    vocabulary = sorted({word for row in unique for word in row})
    ids = {word: number for number, word in enumerate(vocabulary)}
    row_ids = {row: [ids[word] for word in row] for row in unique}
    postings = {name: _postings(column, row_ids, len(ids)) for name, column in columns.items()}
    by_name, by_stem, by_base = defaultdict(list), defaultdict(list), defaultdict(list)
    for row, (_, symbol) in enumerate(symbols):
        by_name[folded(symbol.name)].append(row)
    for row, entry in enumerate(records):
        base = entry.path.rpartition("/")[2]
        by_stem[folded(base.split(".", 1)[0])].append(row)
        by_base[base.lower()].append(row)
    stubs = [entry.path.lower().endswith(DECLARING) for entry in records]
    return Index(
        vocabulary=vocabulary,
        term_ids=ids,
        kinds=np.array([FILE_KINDS.index(entry.kind) for entry in records], dtype=np.int64),
        file_of=np.array([number for number, _ in symbols], dtype=np.int64),
        first_symbol=np.cumsum([0, *(len(entry.symbols) for entry in records)], dtype=np.int64),
        symbol_kinds=np.array([_KIND_PLACES.get(symbol.kind, 0) for _, symbol in symbols], dtype=np.int64),
        declares=_declared(symbols, by_name, stubs),
        stubs=_beside_definitions(records, stubs),
        stem_sizes=np.array([len(entry.stem_terms) for entry in records], dtype=np.float64),
        name_sizes=np.array([len(symbol.name_terms) for _, symbol in symbols], dtype=np.float64),
        folded_names={name: np.array(rows) for name, rows in by_name.items()},
        folded_stems={name: np.array(rows) for name, rows in by_stem.items()},
        paths=[entry.path for entry in records],
        folded_paths={base: np.array(rows) for base, rows in by_base.items()},
        scopes=[folded(symbol.scope.rpartition(".")[2]) for _, symbol in symbols],
        **postings,
    )


def _declared(
    symbols: Sequence[tuple[int, SymbolRecord]], by_name: Mapping[str, Sequence[int]], stubs: Sequence[bool]
) -> npt.NDArray[np.bool_]:
    """Symbols of declaring files whose name stands in a file of another kind too [symbols]."""
    elsewhere = {name: any(not stubs[symbols[row][0]] for row in rows) for name, rows in by_name.items()}
    return np.array([stubs[file] and elsewhere[folded(symbol.name)] for file, symbol in symbols], dtype=np.bool_)


def _beside_definitions(records: Sequence[FileRecord], stubs: Sequence[bool]) -> npt.NDArray[np.bool_]:
    """Declaring files with a file of the same name that defines [files]."""
    defining = {
        entry.path.rpartition("/")[2].split(".", 1)[0] for entry, stub in zip(records, stubs, strict=True) if not stub
    }
    names = (entry.path.rpartition("/")[2].split(".", 1)[0] for entry in records)
    return np.array([stub and name in defining for name, stub in zip(names, stubs, strict=True)], dtype=np.bool_)


def _postings(
    column: Sequence[tuple[str, ...]], row_ids: Mapping[tuple[str, ...], list[int]], vocabulary_size: int
) -> Postings:
    """Postings of the terms of rows 0, 1, ..."""
    sizes = np.fromiter(map(len, column), dtype=np.int64, count=len(column))
    rows = np.repeat(np.arange(len(column), dtype=np.int64), sizes)
    terms = np.fromiter(chain.from_iterable(map(row_ids.__getitem__, column)), dtype=np.int64, count=len(rows))
    return Postings.build(terms, rows, vocabulary_size)
