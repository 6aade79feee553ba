"""The outline of a repository: what is defined where, and which words stand in which document."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from codemem.indexer.document import SourceFile
from codemem.outline import storage
from codemem.outline.assembly import assemble
from codemem.outline.bodies import Bodies, Floats
from codemem.outline.collector import paused_collector
from codemem.outline.mix import weigh_documents
from codemem.outline.query import understand
from codemem.outline.ranking import DEFAULT_WEIGHTS, Index, Scores, Weights, score
from codemem.outline.records import FileRecord, SymbolRecord, record, unread_record
from codemem.outline.words import terms


@dataclass(frozen=True, slots=True)
class OutlineHit:
    """A definition, or a whole file where none fits, that the outline names for a question."""

    path: str
    start_line: int
    end_line: int
    symbol: str | None
    """Qualified name; None for a file named by its path alone."""
    score: float


@dataclass(frozen=True, slots=True)
class WordScores:
    """How well documents fit the words of a question."""

    paths: Sequence[str]
    """[files]"""
    starts: npt.NDArray[np.int64]
    """Documents of file `f` are `starts[f]` to `starts[f + 1]` [files + 1]."""
    scores: Floats
    """[documents]"""
    kinds: npt.NDArray[np.int64]
    """Of each document's file, places in FILE_KINDS [documents]."""

    def best_of_files(self, asked: Collection[str]) -> dict[str, tuple[float, int]]:
        """Path -> its score, weighed as the memory's are, and which of its documents is the best; of every file that
        has a document. `asked`: kinds of files that the question names."""
        counts = np.diff(self.starts)
        full = np.flatnonzero(counts)
        if not len(full):
            return {}
        weighed = weigh_documents(self.scores, self.kinds, np.repeat(np.arange(len(counts)), counts), asked)
        best = np.maximum.reduceat(weighed, self.starts[full])
        # Written from the back, so that of equal documents the first stays.
        rows = np.flatnonzero(weighed == np.repeat(best, counts[full]))[::-1]
        places = np.zeros(len(counts), np.int64)
        owners = np.searchsorted(self.starts, rows, "right") - 1
        places[owners] = rows - self.starts[owners]
        paths = (self.paths[file] for file in full.tolist())
        return dict(zip(paths, zip(best.tolist(), places[full].tolist(), strict=True), strict=True))


class Outline:
    """Definitions, paths and kinds of files, ranked for questions. Not safe for use by several threads at once."""

    def __init__(
        self, records: Iterable[FileRecord] = (), *, names: Sequence[str] = (), weights: Weights = DEFAULT_WEIGHTS
    ) -> None:
        self._records = {entry.path: entry for entry in records}
        self._named: dict[str, FileRecord] = {}
        self._common = frozenset(term for name in names for term in terms(name))
        self._weights = weights
        self._index: Index | None = None
        self._bodies: Bodies | None = None
        self._last: tuple[str, Index, Scores] | None = None
        self._order: list[FileRecord] = []
        self._changed = set(self._records)
        self._removed: set[str] = set()
        self._file: Path | None = None

    @classmethod
    def build(
        cls, files: Iterable[SourceFile], *, names: Sequence[str] = (), weights: Weights = DEFAULT_WEIGHTS
    ) -> "Outline":
        """Outline of these files; `names` are the project's own names, which say little within it."""
        return cls(map(record, files), names=names, weights=weights)

    def __len__(self) -> int:
        return len(self._records)

    def update(self, file: SourceFile) -> None:
        """Add a file, or replace what is known of it."""
        self.put(record(file))

    def put(self, entry: FileRecord) -> None:
        """Add the record of a file, or replace the one that is known."""
        self._records[entry.path] = entry
        self._changed.add(entry.path)
        self._index = None

    def name_only(self, paths: Iterable[str]) -> None:
        """Files that were not read yet: they are found by their names, and not saved. Replaces those named before."""
        names = {path for path in paths if path not in self._records}
        if names != self._named.keys():
            self._named = {path: unread_record(path) for path in names}
            self._index = None

    def remove(self, path: str) -> None:
        """Forget a file; one that is not known is no error."""
        if self._records.pop(path, None) is not None:
            self._changed.discard(path)
            self._removed.add(path)
            self._index = None

    @property
    def oids(self) -> dict[str, str]:
        """Path -> blob id of every file: what need not be read again."""
        return {path: entry.oid for path, entry in self._records.items()}

    @classmethod
    def load(cls, path: Path, *, names: Sequence[str] = (), weights: Weights = DEFAULT_WEIGHTS) -> "Outline":
        """An outline that was saved. Raises FileNotFoundError or OutlineFormatError."""
        outline = cls(storage.read(path), names=names, weights=weights)
        outline._changed.clear()
        outline._file = path
        return outline

    def save(self, path: Path) -> None:
        """Write to a file; to the one that this outline was loaded from or saved to last, only what changed since.

        Raises OutlineFormatError if the file exists and is no outline.
        """
        anew = path != self._file
        changed = self._records if anew else self._changed
        storage.write(path, (self._records[name] for name in sorted(changed)), sorted(self._removed), anew=anew)
        self._changed.clear()
        self._removed.clear()
        self._file = path

    def search(self, query: str, k: int = 10, *, per_file: int = 1) -> list[OutlineHit]:
        """The `k` best places, at most `per_file` definitions of each file; none if no word of the query is known."""
        scores = self.scores(query)
        order = np.argsort(-scores.files, kind="stable")[:k]
        hits = [hit for file in order if scores.files[file] > 0 for hit in self._hits(int(file), scores, per_file)]
        return sorted(hits, key=lambda hit: -hit.score)[:k]

    def named(self, names: Iterable[str], *, most: int) -> list[tuple[FileRecord, SymbolRecord]]:
        """Definitions whose whole name is one of `names` (folded, see `query.folded`), in the order of the names.

        A name that more than `most` definitions bear is left out.
        """
        index = self._ready()
        found = []
        for name in dict.fromkeys(names):
            rows = index.folded_names.get(name, ())
            for row in rows if len(rows) <= most else ():
                file = int(index.file_of[row])
                entry = self._order[file]
                found.append((entry, entry.symbols[int(row) - int(index.first_symbol[file])]))
        return found

    def words(self, query: str) -> WordScores:
        """How well the bodies of all documents fit, whatever is defined in them."""
        index = self._ready()
        if self._bodies is None:
            self._bodies = Bodies.of([entry.words for entry in self._order])
        bodies = self._bodies
        kinds = np.repeat(index.kinds, np.diff(bodies.starts))
        return WordScores(index.paths, bodies.starts, bodies.scores(query), kinds)

    def scores(self, query: str) -> Scores:
        """Scores of all files and symbols, in the order of `paths`; the last question's are kept."""
        index = self._ready()
        last = self._last
        if last is None or last[0] != query or last[1] is not index:
            scores = score(index, understand(query, index.vocabulary, common=self._common), self._weights)
            last = self._last = (query, index, scores)
        return last[2]

    @property
    def paths(self) -> list[str]:
        """Paths of all files, sorted: the order of `scores(...).files`."""
        self._ready()
        return [entry.path for entry in self._order]

    def _hits(self, file: int, scores: Scores, per_file: int) -> list[OutlineHit]:
        entry = self._order[file]
        value = float(scores.files[file])
        first = int(self._ready().first_symbol[file])
        part = scores.symbols[first : first + len(entry.symbols)]
        best = [int(i) for i in np.argsort(-part, kind="stable")[:per_file] if part[i] > 0]
        if not best:
            return [OutlineHit(entry.path, 1, entry.lines, None, value)]
        top = float(part[best[0]])
        hits = []
        for number in best:
            symbol = entry.symbols[number]
            name = f"{symbol.scope}.{symbol.name}" if symbol.scope else symbol.name
            share = 0.5 + 0.5 * float(part[number]) / top
            hits.append(OutlineHit(entry.path, symbol.start_line, symbol.end_line, name, value * share))
        return hits

    def _ready(self) -> Index:
        if self._index is None:
            every = self._named | self._records
            self._order = [every[path] for path in sorted(every)]
            self._bodies = None
            with paused_collector():
                self._index = assemble(self._order)
        return self._index
