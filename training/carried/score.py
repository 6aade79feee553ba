"""Every layer's score of every document for every question, on the machine that trained.

    python -m codemem.training.carried.score --base BASE --adapter FILE --worlds FOLDER --out FOLDER [--part 0 ...]

Writes `scores-PART.npz`: for each world the best chunk's score of each document by layer, in float16. Which layers are
used and how they are joined is decided where it is judged, so that such comparisons cost no more device time.
`--document-tokens` cuts documents, `--keys int8` rounds routing keys as a smaller memory would hold them,
`--chunk-tokens` and `--aligned` pool other chunks than the product's.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from codemem.model.losses import chunk_scores_to_documents
from codemem.training.carried.aligned import encode_aligned, line_ends, share_of_chunks
from codemem.training.carried.worlds import part_of, read_documents, read_worlds
from codemem.training.corpus import QUESTION_TOKENS, Ids
from codemem.training.evaluate import QUESTIONS_A_PASS, encode_pool, load_trained
from codemem.training.network import Network


def rounded(keys: Tensor, form: str) -> Tensor:
    """Keys as they come back from a form of storage: 'float', 'int8' (a scale a key) or 'fp8' (e4m3)."""
    if form == "int8":
        scale = keys.abs().amax(-1, keepdim=True).clamp_min(1e-12) / 127
        return (keys / scale).round() * scale
    if form == "fp8":
        scale = keys.abs().amax(-1, keepdim=True).clamp_min(1e-12) / torch.finfo(torch.float8_e4m3fn).max
        return (keys / scale).to(torch.float8_e4m3fn).to(keys.dtype) * scale
    return keys


@torch.no_grad()
def scores_of(
    network: Network,
    documents: Sequence[Ids],
    questions: Sequence[Ids],
    *,
    keys: str = "float",
    ends: npt.NDArray[np.bool_] | None = None,
) -> npt.NDArray[np.float16]:
    """[questions, documents, layers], layers in the order of the memory's. With `ends` (which tokens end a line) chunks
    are whole lines."""
    layers = network.recipe.memory.routed_layers
    encoded = encode_pool(network, documents) if ends is None else encode_aligned(network, documents, ends)
    pool = {layer: (rounded(route, keys), exists) for layer, (route, exists) in encoded.items()}
    parts = []
    for start in range(0, len(questions), QUESTIONS_A_PASS):
        asked, routes = network.encode_questions(questions[start : start + QUESTIONS_A_PASS])
        found = [chunk_scores_to_documents(asked[layer], routes, *pool[layer]) for layer in layers]
        parts.append(torch.stack(found, -1).to(torch.float16).cpu().numpy())
    return np.concatenate(parts)


def main(arguments: Sequence[str] | None = None) -> None:
    """Scores one part of the worlds; times as a JSON object to stdout."""
    parser = argparse.ArgumentParser(
        prog="python -m codemem.training.carried.score",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    for name in ("--base", "--adapter", "--worlds", "--out"):
        add(name, type=Path, required=True)
    add("--part", type=int, default=0)
    add("--parts", type=int, default=1)
    add("--chunk-tokens", type=int, help="another size of chunks than the adapter was trained with")
    add("--aligned", action="store_true", help="chunks of whole lines, as many as their tokens hold")
    add("--document-tokens", type=int, default=640)
    add("--keys", choices=("float", "int8", "fp8"), default="float")
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args(arguments)
    network, tokenizer = load_trained(options.base, options.adapter, device=torch.device(options.device))
    if options.chunk_tokens:
        memory = replace(network.recipe.memory, chunk_tokens=options.chunk_tokens)
        network.recipe = replace(network.recipe, memory=memory)

    def ids(texts: list[str], most: int) -> list[Ids]:
        return [np.asarray(found[:most], np.uint32) for found in tokenizer.encode_batch(texts)]

    began = time.perf_counter()
    found: dict[str, npt.NDArray[np.float16]] = {}
    chunks: list[float] = []
    for world in part_of(read_worlds(options.worlds), options.worlds, options.part, options.parts):
        documents = [d.header + d.text for d in read_documents(options.worlds, world)]
        questions = ids([text for _, text in world.questions], QUESTION_TOKENS)
        texts = ids(documents, options.document_tokens)
        ends = line_ends(tokenizer, texts) if options.aligned else None
        if ends is not None:
            chunks.append(share_of_chunks(texts, ends, network.recipe.memory.chunk_tokens))
        found[f"{world.kind} {world.name}"] = scores_of(network, texts, questions, keys=options.keys, ends=ends)
    options.out.mkdir(parents=True, exist_ok=True)
    layers = np.asarray(network.recipe.memory.routed_layers)
    np.savez_compressed(options.out / f"scores-{options.part}.npz", layers=layers, **found)  # type: ignore[arg-type]
    told: dict[str, float] = {"worlds": len(found), "seconds": round(time.perf_counter() - began, 1)}
    if chunks:
        told["chunks of whole lines for one of the product's"] = round(float(np.mean(chunks)), 3)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
