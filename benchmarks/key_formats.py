"""How much of routing's choice each format of the keys keeps, on keys that the shipped model makes of real code.

    python -m codemem.benchmarks.key_formats TREE --tokens 300000 --questions FILE

TREE is read and cut as `codemem index` does and encoded to the layers that `find` ranks by; the keys stay in float32 as
the model gives them. Each question's choice by every format, with and without the second pass, is compared with that by
float32: the share of the 16 documents that are the same, a layer, and of the 10 that `find` would list (by the sum over
layers).
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from codemem.benchmarks import measure
from codemem.config import Settings
from codemem.engines import DEFAULT_MODEL, loader
from codemem.indexer import SourceFile, index_tree, open_tree
from codemem.kernels.route import RoutingKeys, quantise_keys, route, score_documents_summed
from codemem.model.encode import PACK_TOKENS, packs
from codemem.model.engine import Engine
from codemem.model.entry import TokenisedDocument
from codemem.model.memory import EncodingContext, QuestionContext
from codemem.model.prompts import question_position

FORMATS: tuple[tuple[str, Any, int | None], ...] = (
    ("bf16", "bf16", None),
    ("int8, a scale a group of 64", "int8", 64),
    ("int8, a scale a key of 128", "int8", 128),
    ("fp8, a scale a group of 64", "fp8", 64),
    ("fp8, a scale a key of 128", "fp8", 128),
)
LISTED = 10


@dataclass(frozen=True, slots=True)
class Keys:
    """float32 routing keys [C, W] of each ranking layer, and where documents begin [N + 1]."""

    layers: dict[int, Tensor]
    offsets: Tensor


@torch.inference_mode()
def encode_keys(engine: Engine, documents: Sequence[TokenisedDocument]) -> Keys:
    """As `model/encode.py` makes them, before they are rounded."""
    memory, layers = engine._memory, engine._memory.ranking_layers
    parts: dict[int, list[Tensor]] = {layer: [] for layer in layers}
    for pack in packs(documents, PACK_TOKENS):
        lengths = [len(documents[i].ids) for i in pack]
        ids = torch.cat([torch.from_numpy(documents[i].ids.astype("int64")) for i in pack])
        context = EncodingContext(lengths, engine._routers, memory, layers)
        engine.decoder(ids, torch.cat([torch.arange(n) for n in lengths]), context, observe_only=layers[-1])
        for layer in layers:
            keys = context.pooled[layer].route.float()
            parts[layer].append((F.normalize(keys, dim=-1) if memory.cosine else keys).flatten(1))
    chunks = torch.tensor([0] + [-(-len(document.ids) // memory.chunk_tokens) for document in documents])
    return Keys({layer: torch.cat(found) for layer, found in parts.items()}, chunks.cumsum(0))


@torch.inference_mode()
def folded_queries(engine: Engine, question: str) -> dict[int, Tensor]:
    """[T, W] float32 of each ranking layer, as `Engine.rank` makes them."""
    ids = engine._prompts.question(question)
    tokens = torch.tensor([*ids.template, *ids.routing])
    positions = torch.arange(len(tokens))
    routing = positions >= len(ids.template)
    positions = torch.where(routing, positions - len(ids.template) + question_position(engine._memory), positions)
    context = QuestionContext(engine.decoder.config, engine._memory, engine._routers, routing)
    engine.decoder(tokens, positions, context, observe_only=engine._memory.ranking_layers[-1])
    return context.queries


def overlaps(keys: Keys, queries: Sequence[dict[int, Tensor]], k: int) -> list[dict[str, Any]]:
    """A row a format, and one more for each that is rescored."""
    exact = {layer: RoutingKeys(values) for layer, values in keys.layers.items()}
    rows = []
    for name, form, group in FORMATS:
        narrow = {layer: quantise_keys(values, form, group) for layer, values in keys.layers.items()}
        for second in (False, True):
            shares: dict[int, list[float]] = {layer: [] for layer in exact}
            listed: list[float] = []
            for query in queries:
                for layer, q in query.items():
                    wanted = route(q, exact[layer], keys.offsets, k)[0]
                    rescore = exact[layer] if second else None
                    got = route(q, narrow[layer], keys.offsets, k, rescore=rescore)[0]
                    shares[layer].append(_share(wanted, got))
                if not second:
                    order = list(query)
                    totals = [
                        score_documents_summed([query[i] for i in order], [of[i] for i in order], keys.offsets)
                        for of in (exact, narrow)
                    ]
                    listed.append(_share(*(total.topk(LISTED).indices for total in totals)))
            every = [share for found in shares.values() for share in found]
            rows.append(
                {
                    "format": name,
                    "second_pass": second,
                    "mean": sum(every) / len(every),
                    "worst": min(every),
                    "all_the_same": sum(share == 1 for share in every) / len(every),
                    **{f"layer_{layer}": sum(found) / len(found) for layer, found in shares.items()},
                    "first_10": sum(listed) / len(listed) if listed else None,
                }
            )
    return rows


def _share(wanted: Tensor, got: Tensor) -> float:
    return len(set(wanted.tolist()) & set(got.tolist())) / len(wanted)


def run(tree: Path, engine: Engine, questions: Sequence[str], tokens: int) -> dict[str, Any]:
    texts = []
    with open_tree(tree) as opened:
        for file in index_tree(opened):
            texts += [(d.header, d.text) for d in file.documents] if isinstance(file, SourceFile) else []
    documents: list[TokenisedDocument] = []
    held = 0
    for document in engine.tokenise(texts):
        if held + len(document.ids) > tokens:
            break
        documents.append(document)
        held += len(document.ids)
    keys = encode_keys(engine, documents)
    queries = [folded_queries(engine, question) for question in questions]
    return {
        "bench": "key_formats",
        "model": engine.name,
        "machine": measure.machine(torch.device("cpu")),
        "documents": len(documents),
        "tokens": held,
        "questions": len(questions),
        "rows": overlaps(keys, queries, engine._memory.top_k),
    }


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="key_formats", description=__doc__)
    parser.add_argument("tree", type=Path)
    parser.add_argument("--tokens", type=int, default=300_000)
    parser.add_argument("--questions", type=Path, required=True, help="one a line")
    options = parser.parse_args(arguments)
    engine = loader(Settings.load(), device="cpu")(DEFAULT_MODEL)
    assert isinstance(engine, Engine)
    questions = options.questions.read_text(encoding="utf-8").split("\n")
    result = run(options.tree, engine, [question for question in questions if question.strip()], options.tokens)
    print(json.dumps(result))
    print(measure.table(result["rows"]), file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
