"""Golden vectors on a GPU: float32 within their tolerances, bfloat16 within what its rounding explains.

    python -m codemem.benchmarks.golden_gpu FOLDER [--device cuda]

Prints one JSON object; the exit code is 1 if anything is out of bounds.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from codemem.benchmarks import measure
from codemem.evals.golden import run_golden
from codemem.model.msa4b import Conversation, Msa4bMemory, load_msa4b
from codemem.model.msa4b.memory import encode
from codemem.model.msa4b.tokens import NumberedDocument

BF16_EPSILON = 2.0**-7


def bf16_errors(folder: Path, name: str, device: str) -> dict[str, Any]:
    """Relative errors against the stored float32 tensors, and the bound (derived in tests/msa4b/test_msa4b_golden.py).

    sqrt(8 layers) epsilon for what documents leave behind; three times that behind a prompt.
    """
    case = json.loads((folder / "cases" / f"{name}.json").read_text(encoding="utf-8"))
    stored = load_file(folder / "cases" / f"{name}.safetensors")
    rule = "cosine" if case["aux_loss_method"] == "INFONCE" else "scaled"
    model = load_msa4b(folder / case["checkpoint"], device=device, dtype=torch.bfloat16, ranking=rule)  # type: ignore[arg-type]
    chunk = model.config.memory.chunk_tokens
    documents = [
        NumberedDocument(
            d["id"], np.array(d["input_ids"], np.uint32), np.zeros(-(-len(d["input_ids"]) // chunk), np.uint32)
        )
        for d in case["documents"]
    ]
    memory = Msa4bMemory.of(model)
    memory.append(documents, encode(model, documents))
    found: dict[str, float] = {}
    for layer in model.config.memory.routed_layers:
        entries = memory.layer(layer)
        rows = {"k": entries.k, "v": entries.v, "router": entries.route.view_as(entries.k)}
        for part, tensor in rows.items():
            found[f"memory.{layer}.{part}"] = _relative(tensor, stored[f"memory.{layer}.{part}"])
    conversation = Conversation(model, memory)
    hidden = conversation.feed(model.protocol.question(case["calls"][0]["submitted"][0]))
    found["prompt.final"] = _relative(hidden, stored["call0.prompt.final"][0]) / 3
    bound = (8 * model.config.decoder.layers) ** 0.5 * BF16_EPSILON
    return {"bound": bound, "errors": found, "ok": all(error < bound for error in found.values())}


def _relative(found: Tensor, expected: Tensor) -> float:
    difference = found.float().cpu() - expected.float()
    return float(difference.square().mean().sqrt() / expected.float().square().mean().sqrt())


def run(folder: Path, device: str) -> dict[str, Any]:
    torch.backends.cuda.matmul.allow_tf32 = False  # float32 is then float32
    exact = run_golden(folder, device=device)
    worst = {name: max(case["worst"].values(), default=0.0) for name, case in exact["cases"].items()}
    narrow = {
        path.stem: bf16_errors(folder, path.stem, device)
        for path in sorted((folder / "cases").glob("*.json"))
        if not path.stem.startswith("batch")  # several prompts in one pass: the product answers one at a time
    }
    return {
        "bench": "golden",
        "ok": exact["ok"] and all(case["ok"] for case in narrow.values()),
        "float32": {"ok": exact["ok"], "worst": worst, "wrong": _wrong(exact)},
        "bfloat16": narrow,
        "machine": measure.machine(torch.device(device)),
    }


def _wrong(exact: dict[str, Any]) -> dict[str, Any]:
    return {name: case.get("error") or case["worst"] for name, case in exact["cases"].items() if not case["ok"]}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--device", default="cuda")
    options = parser.parse_args(arguments)
    result = run(options.folder, options.device)
    print(json.dumps(result))
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
