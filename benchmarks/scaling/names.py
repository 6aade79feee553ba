"""What the outline knows of a question, over a pool too large for an outline: which documents define what it spells.

The part of `outline.ranking` that earns a definition its place because a question writes its name out, with the same
weights, and the product's own mix of it with the memory (`outline.mix`), document by document as `codemem ask` ranks.
The words of names, of paths and of what is said of a definition are left out: the outline ranks better than this does.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from codemem.benchmarks.scaling.corpus import Text
from codemem.benchmarks.scaling.lexical import in_processes
from codemem.outline.mix import OUTLINE_WEIGHT
from codemem.outline.query import folded, understand
from codemem.outline.ranking import DEFAULT_WEIGHTS, SYMBOL_WEIGHTS

DEFINITIONS = re.compile(
    r"\b(?:def|class|fn|func|function|struct|enum|trait|interface|module|type|const|let|var|val|macro|object|record|"
    r"union|impl)\s+(?:\([^)\n]*\)\s*)?(?:self\.)?([A-Za-z_]\w*)|^[ \t]*(?:(?:static|export|public|private|async)\s+)*"
    r"([A-Za-z_]\w*)\s*(?:=(?!=)|:|\()|#define\s+([A-Za-z_]\w*)",
    re.MULTILINE,
)
"""Names that a text may define, in any language: without a parser, a call at the start of a line counts as one too."""
_IN_SCOPE = DEFAULT_WEIGHTS.own_context
_UNIQUE = 0.5 * DEFAULT_WEIGHTS.exact_name * SYMBOL_WEIGHTS["function"]
"""What a name earns the one document that defines it."""
_BELOW = 1e-4
_BATCH = 2000
_WORD = re.compile(r"[A-Za-z_]\w*")

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Named:
    """Which documents of a pool define, or stand within, what each question spells out."""

    names: list[tuple[str, ...]]
    """Of each question, folded."""
    postings: dict[str, tuple[npt.NDArray[np.int64], Floats]]
    """Name -> documents, ascending, and how surely each is meant: 1 defines it, less within its scope."""

    @classmethod
    def of(cls, documents: Sequence[Text], questions: Sequence[str], *, processes: int = 1) -> "Named":
        names = [understand(question, ()).names for question in questions]
        wanted = frozenset(name for asked in names for name in asked)
        rows: dict[str, list[tuple[int, float]]] = {name: [] for name in wanted}
        batches = [documents[at : at + _BATCH] for at in range(0, len(documents), _BATCH)]
        found = in_processes(_of_batch, batches, wanted, processes)
        for number, name, sure in (
            (at * _BATCH + number, name, sure) for at, part in enumerate(found) for number, name, sure in part
        ):
            rows[name].append((number, sure))
        postings = {
            name: (np.array([n for n, _ in row], np.int64), np.array([sure for _, sure in row], np.float64))
            for name, row in rows.items()
        }
        return cls(names, postings)

    def scores(self, question: int, chosen: npt.NDArray[np.bool_]) -> Floats:
        """[N] what its names earn the documents chosen [N] of the first N (`outline.ranking`); 0 for all others."""
        scores, names = np.zeros(len(chosen)), self.names[question]
        share = 0.5 / math.sqrt(max(1, len(names) / 3))
        size = int(chosen.sum())
        for name in names:
            documents, sure = self.postings[name]
            documents = documents[: np.searchsorted(documents, len(chosen))]
            held, sure = chosen[documents], sure[: len(documents)]
            documents, sure = documents[held], sure[held]
            defining = int((sure == 1).sum())
            if len(documents):
                rarity = 1 - math.log(max(1, defining)) / math.log(size + 1)
                scores[documents] += share * DEFAULT_WEIGHTS.exact_name * SYMBOL_WEIGHTS["function"] * sure * rarity
        return scores


def _of_batch(documents: Sequence[Text], wanted: frozenset[str]) -> list[tuple[int, str, float]]:
    """Document within the batch, name, how surely it is meant."""
    return [
        (number, name, sure)
        for number, (header, text) in enumerate(documents)
        for name, sure in _of_document(header, text, wanted).items()
    ]


def _of_document(header: str, text: str, wanted: frozenset[str]) -> dict[str, float]:
    """How surely a document is meant by each name wanted that it defines or whose scope it stands in."""
    _, _, scope = header.strip().partition(" ")
    found = {name: _IN_SCOPE for name in map(folded, _WORD.findall(scope)) if name in wanted}
    if wanted.isdisjoint(map(folded, set(_WORD.findall(text)))):  # most documents, at a tenth of the cost
        return found
    for groups in DEFINITIONS.findall(text):
        name = folded(next(filter(None, groups)))
        if name in wanted:
            found[name] = 1.0
    return found


def mixed(memory: npt.NDArray[np.floating[Any]], named: Floats, chosen: npt.NDArray[np.bool_]) -> Floats:
    """`outline.mix.mix_files` of documents [N] instead of files, over those chosen.

    Names that many define have less than the outline's weight, because no word beside them tells here which definition
    is meant: the best document's worth over that of a name which one document defines. Below the memory's median all
    are worth the same there; here they stay a hair apart in the memory's order, so that a tie favours no one.
    """
    scores = memory.astype(np.float64)
    floor, top = float(np.median(scores[chosen])), float(scores[chosen].max())
    by_memory = (scores - floor) / (top - floor) if top > floor else np.zeros(len(scores))
    by_memory = np.where(by_memory < 0, _BELOW * by_memory, by_memory)
    best = float(named[chosen].max(initial=0.0))
    weight = OUTLINE_WEIGHT * min(1.0, best / _UNIQUE)
    return weight * (named / best if best > 0 else named) + (1 - weight) * by_memory
