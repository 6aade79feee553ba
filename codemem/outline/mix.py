"""How the outline's and the memory's rankings become one (`--router both`): the one rule, measured in docs/outline.md.

    mixed(file) = w * outline(file) / max outline  +  (1 - w) * max(0, memory(file) - median) / (max memory - median)

Both sides keep their margins, which ranks would lose: where one definition fits far better than all else the outline
decides, where it names nothing or many alike the memory does. The memory's scores have no zero of their own, so its
median file stands for "not meant". With nothing from one side the other's order is kept.
"""

from collections.abc import Iterable, Mapping

import numpy as np

OUTLINE_WEIGHT = 0.6
"""w above; anything from 0.55 to 0.7 ranks alike on the development sets."""


def best_of_files(places: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Highest score of each path."""
    best: dict[str, float] = {}
    for path, score in places:
        if score > best.get(path, -np.inf):
            best[path] = score
    return best


def mix_files(
    memory: Mapping[str, float], outline: Mapping[str, float], *, weight: float = OUTLINE_WEIGHT
) -> dict[str, float]:
    """Score of every file that either side knows, in 0..1, by falling score.

    `memory` holds the best document of every file in the bank, not of the first few alone: its median is used.
    `outline` may hold only the files that match; the others count as 0. `weight` is the outline's share.
    """
    if not 0 <= weight <= 1:
        raise ValueError(f"the outline's weight is a share between 0 and 1, not {weight}")
    by_outline = _above(outline, 0.0)
    by_memory = _above(memory, float(np.median(list(memory.values()))) if memory else 0.0)
    mixed = {
        path: weight * by_outline.get(path, 0.0) + (1 - weight) * by_memory.get(path, 0.0)
        for path in memory.keys() | outline.keys()
    }
    return dict(sorted(mixed.items(), key=lambda item: (-item[1], item[0])))


def _above(scores: Mapping[str, float], floor: float) -> dict[str, float]:
    """Scores as a share of the way from `floor` to the highest; all 0 if none is above it."""
    top = max(scores.values(), default=floor)
    if top <= floor:
        return dict.fromkeys(scores, 0.0)
    return {path: max(0.0, score - floor) / (top - floor) for path, score in scores.items()}
