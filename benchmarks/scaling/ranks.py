"""Ranks of the documents that answer, in every memory and by every system.

The rank of a question's step is 1 + the documents that answer nothing of it and score higher than the best that states
the step; the question's rank is that of its worst step.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from codemem.benchmarks.scaling.pool import Memory
from codemem.benchmarks.scaling.questions import Asked
from codemem.evals.functions import measures

FUSION_K = 60
"""Of reciprocal rank fusion (Cormack, Clarke and Buettcher 2009)."""
TOP = 40
"""Documents that a reader may be given, best first."""


@dataclass(frozen=True, slots=True)
class Top:
    """What a system ranks first, best first."""

    documents: list[int]
    worth: list[float]
    """Its score for each."""


Scores = Callable[[int, Memory], Tensor]
"""float32 [N] of one question for the documents of one memory; what the others score is of no account."""


def rank_of(scores: Tensor, asked: Asked, held: Tensor) -> int:
    """The worst step's rank among the documents held [N]."""
    gold = torch.tensor([d for step in asked.gold for d in step], device=scores.device)
    rivals = held.clone()
    rivals[gold] = False
    others = scores[rivals]
    best = [scores[torch.tensor(step, device=scores.device)].max() for step in asked.gold]
    return 1 + max(int((others > score).sum()) for score in best)


def fused(parts: Sequence[Tensor], held: Tensor) -> Tensor:
    """Reciprocal rank fusion over the documents held; equals of one system share its rank, so no order favours any."""
    total = torch.zeros(held.shape, device=held.device)
    for scores in parts:
        own = scores[held].contiguous()
        ordered = own.sort().values
        higher = len(own) - torch.searchsorted(ordered, own, right=True)
        total[held] += 1 / (FUSION_K + 1 + higher)
    return total


def best_documents(scores: Tensor, held: Tensor, k: int = TOP) -> Top:
    """The first ones by score, of those held."""
    best = scores.masked_fill(~held, -torch.inf).topk(min(k, int(held.sum())))
    return Top(best.indices.tolist(), [round(worth, 6) for worth in best.values.tolist()])  # at once each: a GPU waits


def rank_all(
    asked: Sequence[Asked],
    every: Sequence[Memory],
    systems: Mapping[str, Scores],
    fusions: Mapping[str, tuple[str, ...]],
    device: torch.device,
    *,
    wanted: Collection[str] | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """A row a question, memory size and system or fusion, of all or of those wanted: rank and the first documents."""
    found = []
    for memory in every:
        # The documents behind the last one held are the corpus' rest.
        held = torch.from_numpy(memory.chosen).to(device)
        for index, question in enumerate(asked):
            if not memory.asks(question.world):
                continue
            scores = {name: score(index, memory) for name, score in systems.items()}
            for name, of in fusions.items():
                if all(part in scores for part in of):
                    scores[name] = fused([scores[part] for part in of], held)
            for name, values in scores.items():
                if wanted is not None and name not in wanted:
                    continue
                row = {"size": memory.size, "question": question.identifier, "kind": question.kind, "system": name}
                best = best_documents(values, held)
                found.append(
                    row | {"rank": rank_of(values, question, held), "top": best.documents, "worth": best.worth}
                )
        name = "all worlds" if memory.world is None else f"world {memory.world}"
        progress(f"ranked {memory.size:,} tokens, {name}: {int(memory.chosen.sum()):,} documents")
    return found


def table_rows(found: Sequence[dict[str, Any]], held: dict[int, dict[str, int]]) -> list[dict[str, Any]]:
    """A row a size, system and kind of question: means of R@1, R@10, R@100 and MRR. `held`: by size, what it holds."""
    groups: dict[tuple[int, str, str], list[int]] = {}
    for row in found:
        groups.setdefault((row["size"], row["system"], row["kind"]), []).append(row["rank"])
    rows = []
    for (size, system, kind), ranks in groups.items():
        means = {name: sum(values) / len(values) for name, values in measures(ranks).items()}
        place = {"memory_tokens": size, **held[size], "system": system, "questions": kind}
        rows.append({**place, "asked": len(ranks), **means})
    return rows


def scores_of(values: npt.NDArray[np.float32], device: torch.device) -> Scores:
    """Of scores [Q, N] that do not depend on what else is held."""
    return lambda index, _: torch.from_numpy(values[index]).to(device)
