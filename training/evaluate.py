"""Retrieval figures of a model in training, on the device that it trains on."""

from collections.abc import Sequence

import torch
from torch import Tensor

from codemem.model.losses import chunk_scores_to_documents
from codemem.training.corpus import Ids
from codemem.training.network import EncodedDocuments, Network

DOCUMENTS_A_PASS = 2048
QUESTIONS_A_PASS = 32


@torch.no_grad()
def encode_pool(network: Network, documents: Sequence[Ids]) -> dict[int, tuple[Tensor, Tensor]]:
    """Routing keys [N, C, W] and existing chunks [N, C] by layer, C the most chunks of any document."""
    encoded: list[EncodedDocuments] = []
    for start in range(0, len(documents), DOCUMENTS_A_PASS):
        encoded.append(network.encode_documents(documents[start : start + DOCUMENTS_A_PASS]))
    widest = max(e.chunks.shape[1] for e in encoded)

    def grown(x: Tensor) -> Tensor:
        room = widest - x.shape[1]
        return torch.nn.functional.pad(x, (0, 0, 0, room) if x.dim() == 3 else (0, room))

    exists = torch.cat([grown(e.chunks) for e in encoded])
    layers = network.recipe.memory.routed_layers
    return {layer: (torch.cat([grown(e.layers[layer].route) for e in encoded]), exists) for layer in layers}


@torch.no_grad()
def ranks(
    network: Network, pool: dict[int, tuple[Tensor, Tensor]], questions: Sequence[Ids], gold: Sequence[Sequence[int]]
) -> dict[str, Tensor]:
    """Rank (1 + documents scored strictly higher) of each question's best gold document, by way of ranking:
    each layer alone, 'find' (the lower layers' sum) and 'all'."""
    memory = network.recipe.memory
    found: dict[str, list[int]] = {name: [] for name in ("find", "all", *map(str, memory.routed_layers))}
    for start in range(0, len(questions), QUESTIONS_A_PASS):
        queries, routes = network.encode_questions(questions[start : start + QUESTIONS_A_PASS])
        scores = {
            layer: chunk_scores_to_documents(queries[layer], routes, *pool[layer]) for layer in memory.routed_layers
        }
        ways = {str(layer): s for layer, s in scores.items()}
        ways["find"] = torch.stack([scores[layer] for layer in memory.ranking_layers]).sum(0)
        ways["all"] = torch.stack(list(scores.values())).sum(0)
        for name, way in ways.items():
            for row, answers in enumerate(gold[start : start + QUESTIONS_A_PASS]):
                best = way[row, list(answers)].max()
                found[name].append(1 + int((way[row] > best).sum()))
    return {name: torch.tensor(values) for name, values in found.items()}


def figures(rank: Tensor) -> dict[str, float]:
    """R@1, R@10, R@100 and mean reciprocal rank."""
    real = rank.float()
    recall = {f"R@{k}": round(float((real <= k).float().mean()), 4) for k in (1, 10, 100)}
    return {**recall, "MRR": round(float((1 / real).mean()), 4)}
