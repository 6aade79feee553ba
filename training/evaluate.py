"""Retrieval figures of a trained adapter, in the batches that it was trained in, on the device that it was trained on.

    python -m codemem.training.evaluate --base FOLDER --adapter FILE --pool FOLDER

`--pool` holds documents.jsonl (header, text) and queries.jsonl (query, gold), as codemem.evals.functions_pool makes
them; `--out` keeps each question's best documents, to be mixed with other rankings. On a GPU 22,859 functions take half
a minute; `codemem eval functions` measures the same through the product.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from codemem.model.adapter import AdapterFile
from codemem.model.config import DecoderConfig
from codemem.model.load import load_decoder
from codemem.model.losses import chunk_scores_to_documents
from codemem.model.prompts import Prompts
from codemem.model.tokenizer import Tokenizer
from codemem.model.weights import checkpoint_folder, load_checkpoint
from codemem.training.corpus import QUESTION_TOKENS, Ids
from codemem.training.network import EncodedDocuments, Network
from codemem.training.recipe import Recipe

DOCUMENTS_A_PASS = 2048
QUESTIONS_A_PASS = 32
DOCUMENT_TOKENS = 640
KEPT = 300
"""Documents of a question that `--out` keeps."""


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
    network: Network,
    pool: dict[int, tuple[Tensor, Tensor]],
    questions: Sequence[Ids],
    gold: Sequence[Sequence[int]],
    *,
    out: Path | None = None,
) -> dict[str, Tensor]:
    """Rank (1 + documents scored strictly higher) of each question's best gold document, by way of ranking:
    each layer alone, 'find' (the lower layers' sum) and 'all'. `out` (.npz) keeps the best of 'find': `documents` and
    `scores`, [questions, KEPT]."""
    memory = network.recipe.memory
    found: dict[str, list[int]] = {name: [] for name in ("find", "all", *map(str, memory.routed_layers))}
    best_of_find: list[tuple[Tensor, Tensor]] = []
    for start in range(0, len(questions), QUESTIONS_A_PASS):
        queries, routes = network.encode_questions(questions[start : start + QUESTIONS_A_PASS])
        scores = {
            layer: chunk_scores_to_documents(queries[layer], routes, *pool[layer]) for layer in memory.routed_layers
        }
        ways = {str(layer): s for layer, s in scores.items()}
        ways["find"] = torch.stack([scores[layer] for layer in memory.ranking_layers]).sum(0)
        ways["all"] = torch.stack(list(scores.values())).sum(0)
        best_of_find.append(ways["find"].topk(min(KEPT, ways["find"].shape[1])))
        for name, way in ways.items():
            for row, answers in enumerate(gold[start : start + QUESTIONS_A_PASS]):
                best = way[row, list(answers)].max()
                found[name].append(1 + int((way[row] > best).sum()))
    if out is not None:
        values, documents = (torch.cat(kept).cpu().numpy() for kept in zip(*best_of_find, strict=True))
        np.savez(out, documents=documents.astype(np.int32), scores=values.astype(np.float32))
    return {name: torch.tensor(values) for name, values in found.items()}


def figures(rank: Tensor) -> dict[str, float]:
    """R@1, R@10, R@100 and mean reciprocal rank."""
    real = rank.float()
    recall = {f"R@{k}": round(float((real <= k).float().mean()), 4) for k in (1, 10, 100)}
    return {**recall, "MRR": round(float((1 / real).mean()), 4)}


def load_trained(base: Path, adapter: Path, *, device: torch.device) -> tuple[Network, Tokenizer]:
    """The network with the adapter merged in; bf16 on a GPU, float32 elsewhere."""
    checkpoint, tokenizer = load_checkpoint(base), Tokenizer.from_folder(checkpoint_folder(base))
    file = AdapterFile(adapter)
    config = DecoderConfig.from_huggingface(checkpoint.config)
    decoder = load_decoder(config, checkpoint.tensors, device=device, dtype=torch.float32)
    file.merge_into(decoder)
    decoder.to(torch.bfloat16 if device.type == "cuda" else torch.float32)
    network = Network(decoder, Prompts(tokenizer), Recipe(memory=file.memory), device=device)
    file.load_routers(network.routers)
    return network, tokenizer


def evaluate(
    network: Network, tokenizer: Tokenizer, pool: Path, *, out: Path | None = None
) -> dict[str, dict[str, float]]:
    """`figures` by way of ranking, over a pool's folder; `out` as in `ranks`."""

    def lines(name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (pool / name).read_text(encoding="utf-8").splitlines()]

    def ids(texts: list[str], most: int) -> list[Ids]:
        return [np.asarray(found[:most], np.uint32) for found in tokenizer.encode_batch(texts)]

    queries = lines("queries.jsonl")
    documents = encode_pool(
        network, ids([row["header"] + row["text"] for row in lines("documents.jsonl")], DOCUMENT_TOKENS)
    )
    questions = ids([row["query"] for row in queries], QUESTION_TOKENS)
    found = ranks(network, documents, questions, [[row["gold"]] for row in queries], out=out)
    return {name: figures(rank) for name, rank in found.items()}


def main(arguments: list[str] | None = None) -> None:
    """Figures as one JSON object to stdout."""
    parser = argparse.ArgumentParser(
        prog="python -m codemem.training.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for name in ("--base", "--adapter", "--pool"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--out", type=Path, help="an .npz file")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args(arguments)
    network, tokenizer = load_trained(options.base, options.adapter, device=torch.device(options.device))
    print(json.dumps(evaluate(network, tokenizer, options.pool, out=options.out)))


if __name__ == "__main__":
    main()
