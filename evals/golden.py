"""Golden vectors: replays what the public MSA engine computed, step by step, and measures the distance.

A folder holds checkpoints in the published layout and `cases/NAME.json` with `cases/NAME.safetensors`. A case is
replayed from its documents, its questions and the choices it forced, by the code that serves users (float32, its causal
rule for the appended question replaced by the engine's), and every tensor is compared with the stored one.
"""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from codemem.evals.golden_engine import BEGIN, EngineTokenizer
from codemem.evals.golden_replay import Replay
from codemem.model.errors import WeightsCorrupt, WeightsMissing
from codemem.model.msa4b.checkpoint import load_msa4b, read_json
from codemem.model.msa4b.config import Ranking

TOLERANCES: dict[str, float] = {"memory": 1e-4, "template": 1e-4, "hidden": 1e-4, "scores": 2e-5, "logits": 3e-4}
"""Absolute, float32, as the vectors' own documentation suggests; what is counted or chosen must be equal."""

MISSING = 3.4e38
"""The deviation of a tensor that was not computed or has another shape: beyond any tolerance, and still JSON."""
EMPTY_SLOT = -1e30
"""The engine fills up too few documents with id 0 at about -3.4e38; such places hold no document."""


def tolerance(name: str) -> float:
    """Largest deviation allowed for a tensor of this name."""
    leaf = name.rpartition(".")[2]
    if leaf == "logits":
        return TOLERANCES["logits"]
    if "score" in leaf:
        return TOLERANCES["scores"]
    if name.startswith("template."):
        return TOLERANCES["template"]
    if name.startswith("memory."):
        return 0.0 if leaf in ("doc", "tokens") else TOLERANCES["memory"]
    if leaf in ("final", "query") or ".prompt.layer." in name:
        return TOLERANCES["hidden"]
    return TOLERANCES["logits"] if leaf == "argmax" else 0.0


def run_golden(directory: Path, *, device: str = "cpu") -> dict[str, Any]:
    """Replays every case of a folder: {"ok": ..., "cases": {name: {"ok": ..., "worst": {tensor: deviation}}}}.

    Raises `WeightsMissing` or `WeightsCorrupt` for a folder that holds no golden vectors or a broken checkpoint.
    """
    cases = sorted((directory / "cases").glob("*.json"))
    if not cases:
        raise WeightsMissing(f"{directory} holds no golden vectors: cases/*.json is missing")
    results = {path.stem: run_case(path, device=device) for path in cases}
    return {"ok": all(result["ok"] for result in results.values()), "cases": results}


def run_case(path: Path, *, device: str = "cpu") -> dict[str, Any]:
    """Replays one case: {"ok", "worst": {tensor: largest deviation}}."""
    case = read_json(path)
    try:
        stored = load_file(path.with_suffix(".safetensors"))
        replay = _replay(path.parent.parent, case, stored, device)
        replay.run()
    except (SafetensorError, FileNotFoundError) as error:
        raise WeightsMissing(f"{path.with_suffix('.safetensors')} cannot be read ({error})") from error
    except KeyError as error:
        raise WeightsCorrupt(f"{path} lacks {error}") from error
    worst = {name: _deviation(name, value, replay, stored) for name, value in sorted(stored.items())}
    worst |= _facts(case, stored, replay)
    return {"ok": all(deviation <= tolerance(name) for name, deviation in worst.items()), "worst": worst}


def _replay(directory: Path, case: dict[str, Any], stored: Mapping[str, Tensor], device: str) -> Replay:
    """The checkpoint under the case's own settings, which the engine was given by changing its configuration."""
    folder = directory / case["checkpoint"]
    ranking: Ranking = "cosine" if case["aux_loss_method"] == "INFONCE" else "scaled"
    model = load_msa4b(folder, device=device, dtype=torch.float32, ranking=ranking)
    memory = dataclasses.replace(
        model.config.memory, top_k=case["top_k_docs"], chunk_tokens=case["pooling_kernel_size"]
    )
    model = dataclasses.replace(model, config=dataclasses.replace(model.config, memory=memory))
    passes = [len(stored.get(f"call{i}.decode.splits", ())) for i in range(len(case["calls"]))]
    return Replay(model, EngineTokenizer(folder), case, passes)


def _deviation(name: str, stored: Tensor, replay: Replay, all_stored: Mapping[str, Tensor]) -> float:
    """Largest absolute difference over the places that hold something."""
    found = replay.tensors.get(name)
    if found is None or found.shape != stored.shape:
        return MISSING
    difference = (found.cpu().double() - stored.double()).abs()
    valid = replay.valid.get(name)
    if name.rpartition(".")[2] in ("chosen", "chosen_scores"):
        valid = all_stored[name.removesuffix("_scores") + "_scores"] > EMPTY_SLOT
    if valid is not None:
        difference = difference[valid]
    worst = float(difference.max()) if difference.numel() else 0.0
    return worst if math.isfinite(worst) else MISSING


def _facts(case: dict[str, Any], stored: Mapping[str, Tensor], replay: Replay) -> dict[str, float]:
    """What the case's JSON states beside the tensors: 0 where it is met."""
    expected: dict[str, object] = {"documents.input_ids": [document["input_ids"] for document in case["documents"]]}
    if "template_ids" in case:
        expected["template_ids"] = case["template_ids"]
    worst = {}
    for index, call in enumerate(case["calls"]):
        name = f"call{index}."
        if "transcripts" in call:
            expected[f"{name}transcripts"] = [text[max(0, text.find(BEGIN)) :] for text in call["transcripts"]]
        if f"{name}kv_lengths" in replay.facts and "kv_lengths" in call:
            expected[f"{name}kv_lengths"] = call["kv_lengths"]
        for layer, route in call.get("route", {}).items():
            if "attended_chunks" in route:
                expected[f"{name}route.{layer}.attended_chunks"] = route["attended_chunks"]
        if "argmax" in call and f"{name}decode.logits" in replay.tensors:
            worst[f"{name}argmax"] = _argmax_deviation(name, call["argmax"], replay)
    return worst | {name: float(replay.facts.get(name) != value) for name, value in expected.items()}


def _argmax_deviation(name: str, argmax: list[list[int]], replay: Replay) -> float:
    """How far our greedy choice lies above the stored one, in logits: 0 where it is the same."""
    logits = replay.tensors[f"{name}decode.logits"].cpu()
    chosen = torch.tensor(argmax)
    if chosen.shape != logits.shape[:2]:
        return MISSING
    behind = logits.amax(-1) - logits.gather(-1, chosen[..., None])[..., 0]
    valid = replay.valid.get(f"{name}decode.logits")
    return float((behind if valid is None else behind[valid]).max())
