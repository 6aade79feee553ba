"""How the outline's and the memory's rankings become one (`--router both`): the one rule, measured in docs/outline.md.

    side(file)  = max(0, score(file) - floor) / (max score - floor)
    mixed(file) = (1 - u) * (w * outline(file) + (1 - w) * memory(file)) + u * words(file)

Each side keeps its margins, which ranks would lose: where one definition fits far better than all else the outline
decides, where it names nothing or many alike the memory does. The floor of the outline's names is 0; scores of the
memory and of the words of bodies have no zero of their own (every long document holds some word of a question), so
their median file stands for "not meant". With nothing from one side the others' order is kept.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from codemem.indexer.document import FILE_KINDS
from codemem.outline.query import understand
from codemem.outline.ranking import FILE_WEIGHTS
from codemem.outline.words import identifiers

OUTLINE_WEIGHT, PROSE_WEIGHT = 0.55, 0.3
"""w above, where a question spells a name, and where it is prose alone. Above a half, so that a name that the outline
alone knows outweighs whatever the memory likes best."""
LITTLE_TOLD, MUCH_TOLD = 0.2, 0.6
"""How much of the question the outline's best file must say (`Scores.told`) for w to begin, and to be whole: functions
that nobody documented are found by what they do, which the memory knows, and a word that some name shares with the
question is no reason to prefer it (docs/outline.md)."""
WORDS_WEIGHT = 0.35
"""u above, the share of the words of bodies, in `ask` and where there is no memory, as both were measured."""
FEW_WORDS, FEW_WEIGHT, MANY_WORDS, MANY_WEIGHT = 6, 0.15, 28, 0.55
"""u of a question to `find` that has so few words or fewer, and so many or more: half a dozen words stand in many a
file by chance, twenty hardly (docs/outline.md)."""

PARTS, PART_SHARE = 5, 0.5
"""So many documents of a file count, each half as much as the one before."""
KIND_SHARE = 0.5
"""Power of the outline's weights of kinds of files that the memory's scores are multiplied by: 0.55 for a test."""


def kind_weight(kind: str, asked: Collection[str]) -> float:
    """How likely a file of a kind is meant, at most 1, where it is not the outline alone that says so."""
    return 1.0 if kind in asked else FILE_WEIGHTS[kind] ** KIND_SHARE


def weigh_documents(
    scores: npt.NDArray[np.floating[Any]],
    kinds: npt.NDArray[np.integer[Any]],
    files: npt.NDArray[np.integer[Any]],
    asked: Collection[str] = (),
) -> npt.NDArray[np.float32]:
    """The memory's scores of documents [N], as they are ranked and mixed: what they have above their median changes.

    `kinds` are places in FILE_KINDS, `files` numbers of files, `asked` kinds that the question names. That part is
    made less where a question seldom means such a file: a test speaks of the same things as what it tests, and routing
    alone cannot tell which of the two is meant. The best document of a file gains by the others: what a file is for
    shows in many of its parts.
    """
    finite = np.isfinite(scores)
    if not finite.any():
        return scores.astype(np.float32)
    floor = float(np.median(scores[finite]))
    weights = np.array([kind_weight(kind, asked) for kind in FILE_KINDS])
    above = np.where(finite, np.maximum(scores - floor, 0.0), 0.0) * weights[kinds]
    order = np.lexsort((-above, files))
    firsts = np.flatnonzero(np.concatenate(([True], np.diff(files[order]) != 0)))
    place = np.arange(len(order)) - np.repeat(firsts, np.diff(np.append(firsts, len(order))))
    parts = np.where(place < PARTS, above[order] * PART_SHARE**place, 0.0)
    above[order[firsts]] = np.add.reduceat(parts, firsts)
    weighed: npt.NDArray[np.float32] = (np.minimum(scores, floor) + above).astype(np.float32)
    return weighed


def outline_weight(query: str, told: float) -> float:
    """w for a question, of which the outline's best file says as much as `Scores.told`."""
    most = OUTLINE_WEIGHT if understand(query, ()).names else PROSE_WEIGHT
    return most * float(np.interp(told, (LITTLE_TOLD, MUCH_TOLD), (0.0, 1.0)))


def words_weight(query: str) -> float:
    """u for a question, by how many words it has."""
    return float(np.interp(len(identifiers(query)), (FEW_WORDS, MANY_WORDS), (FEW_WEIGHT, MANY_WEIGHT)))


def best_of_files(places: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Highest score of each path."""
    best: dict[str, float] = {}
    for path, score in places:
        if score > best.get(path, -np.inf):
            best[path] = score
    return best


def mix_files(
    memory: Mapping[str, float],
    outline: Mapping[str, float],
    words: Mapping[str, float] | None = None,
    *,
    weight: float = OUTLINE_WEIGHT,
    by_words: float = WORDS_WEIGHT,
) -> dict[str, float]:
    """Score of every file that any side knows, in 0..1, by falling score.

    `memory` holds the best document of every file in the bank, not of the first few alone, and `words` that of every
    file that was read: their medians are used. `outline` may hold only the files that match; the others count as 0.
    `weight` is the outline's share beside the memory; without `words` these two are all there is, with them `by_words`
    is theirs.
    """
    if not (0 <= weight <= 1 and 0 <= by_words <= 1):
        raise ValueError(f"a weight is a share between 0 and 1, not {weight} (outline) or {by_words} (words)")
    by_outline, by_memory = _above(outline, 0.0), _above(memory, _median(memory.values()))
    # A file that holds none is thought beside those that are there: the only file of a tree may be meant, too.
    worded = _above(words or {}, _median([0.0, *(words or {}).values()]))
    share = by_words if words else 0.0
    mixed = {
        path: (1 - share) * (weight * by_outline.get(path, 0.0) + (1 - weight) * by_memory.get(path, 0.0))
        + share * worded.get(path, 0.0)
        for path in memory.keys() | outline.keys() | worded.keys()
    }
    return dict(sorted(mixed.items(), key=lambda item: (-item[1], item[0])))


def mix_without_memory(outline: Mapping[str, float], words: Mapping[str, float]) -> dict[str, float]:
    """`mix_files` of the files that something speaks for, where there is no memory."""
    mixed = mix_files({}, outline, words, weight=1.0)
    return {path: score for path, score in mixed.items() if path in outline or words.get(path, 0.0) > 0}


def _median(scores: Iterable[float]) -> float:
    values = list(scores)
    return float(np.median(values)) if values else 0.0


def _above(scores: Mapping[str, float], floor: float) -> dict[str, float]:
    """Scores as a share of the way from `floor` to the highest; all 0 if none is above it."""
    top = max(scores.values(), default=floor)
    if top <= floor:
        return dict.fromkeys(scores, 0.0)
    return {path: max(0.0, score - floor) / (top - floor) for path, score in scores.items()}
