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
from torch import Tensor

from codemem.evals.errors import BadCasesError
from codemem.evals.golden_case import StoredCase, read_case, rounded_off
from codemem.evals.golden_engine import BEGIN, EngineTokenizer
from codemem.evals.golden_replay import Replay
from codemem.model.errors import ModelError, WeightsMissing
from codemem.model.msa4b.checkpoint import load_msa4b
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

    A case that cannot be replayed is not ok and says why in "error"; the others are replayed all the same. Raises
    `WeightsMissing` or `WeightsCorrupt` for a folder that holds no golden vectors or a broken checkpoint.
    """
    cases = sorted((directory / "cases").glob("*.json"))
    if not cases:
        raise WeightsMissing(f"{directory} holds no golden vectors: cases/*.json is missing")
    results = {path.stem: run_case(path, device=device) for path in cases}
    return {"ok": all(result["ok"] for result in results.values()), "cases": results}


def run_case(path: Path, *, device: str = "cpu") -> dict[str, Any]:
    """Replays one case: {"ok", "worst": {tensor: largest deviation}}, and "error" if it could not be replayed."""
    try:
        case = read_case(path)
    except BadCasesError as error:
        return _failed(str(error))
    replay = _replay(case, device)
    try:
        replay.run()
    except ModelError:
        raise
    except Exception as error:  # whatever the vectors or this code did wrong, it is no fault of the weights
        return _failed(f"{path}: the replay failed: {type(error).__name__}: {error}"[:400])
    worst = {name: _deviation(name, value, replay, case.tensors) for name, value in sorted(case.tensors.items())}
    worst |= _facts(case, replay)
    return {"ok": all(deviation <= tolerance(name) for name, deviation in worst.items()), "worst": worst}


def _failed(why: str) -> dict[str, Any]:
    return {"ok": False, "worst": {}, "error": " ".join(why.split())}


def _replay(case: StoredCase, device: str) -> Replay:
    """The checkpoint under the case's own settings, which the engine was given by changing its configuration."""
    facts = case.facts
    method = facts.get("aux_loss_method")
    ranking: Ranking = "engine" if method is None else "cosine" if method == "INFONCE" else "scaled"
    model = load_msa4b(case.checkpoint, device=device, dtype=torch.float32, ranking=ranking)
    memory = dataclasses.replace(
        model.config.memory,
        top_k=facts.get("top_k_docs") or model.config.memory.top_k,
        chunk_tokens=facts.get("pooling_kernel_size") or model.config.memory.chunk_tokens,
    )
    model = dataclasses.replace(model, config=dataclasses.replace(model.config, memory=memory))
    return Replay(model, EngineTokenizer(case.checkpoint), facts, case.passes)


def _deviation(name: str, stored: Tensor, replay: Replay, all_stored: Mapping[str, Tensor]) -> float:
    """Largest absolute difference over the places that hold something, beyond what the stored type rounds off."""
    found = replay.tensors.get(name)
    leaf = name.rpartition(".")[2]
    if found is not None and leaf in ("chosen", "chosen_scores"):
        found = _as_many(found, stored, len(replay.documents))
    if found is None or found.shape != stored.shape:
        return MISSING
    difference = (found.cpu().double() - stored.double()).abs()
    difference = (difference - rounded_off(stored)).clamp_min(0)
    valid = replay.valid.get(name)
    scores = all_stored.get(name.removesuffix("_scores") + "_scores")
    if leaf in ("chosen", "chosen_scores") and scores is not None and scores.shape == stored.shape:
        valid = scores > EMPTY_SLOT
        if leaf == "chosen":
            difference = difference.where(~_ties(name, stored, found, replay), 0)
    if valid is not None:
        difference = difference[valid]
    worst = float(difference.max()) if difference.numel() else 0.0
    return worst if math.isfinite(worst) else MISSING


def _as_many(found: Tensor, stored: Tensor, documents: int) -> Tensor:
    """With fewer documents than places, vectors may hold the documents alone."""
    return found[..., :documents] if stored.shape[-1:] == (documents,) else found


def _ties(name: str, stored: Tensor, found: Tensor, replay: Replay) -> Tensor:
    """Where another document was chosen whose score is the same: which of them comes first is then nobody's."""
    scores = replay.tensors[name.removesuffix("chosen") + "doc_scores"].cpu()
    known = torch.tensor([[int(i) in replay.documents for i in row] for row in stored])
    ours, theirs = (
        scores.gather(-1, torch.tensor([[replay.documents.get(int(i), 0) for i in row] for row in chosen]))
        for chosen in (found, stored)
    )
    return known & ((ours - theirs).abs() <= TOLERANCES["scores"])


def _facts(case: StoredCase, replay: Replay) -> dict[str, float]:
    """What the case's JSON states beside the tensors: 0 where it is met."""
    ids = [document["input_ids"] for document in case.facts["documents"]]
    read = replay.facts["documents.input_ids"]
    assert isinstance(read, list)
    expected: dict[str, object] = {
        "documents.input_ids": [ours if given is None else given for given, ours in zip(ids, read, strict=True)]
    }
    if "template_ids" in case.facts and "template_ids" in replay.facts:
        expected["template_ids"] = case.facts["template_ids"]
    worst = {}
    for index, call in enumerate(case.facts["calls"]):
        name = f"call{index}."
        if call.get("transcripts"):
            expected[f"{name}transcripts"] = [text[max(0, text.find(BEGIN)) :] for text in call["transcripts"]]
        if f"{name}kv_lengths" in replay.facts and "kv_lengths" in call:
            lengths = call["kv_lengths"]
            expected[f"{name}kv_lengths"] = (
                {str(layer): n for layer, n in enumerate(lengths)} if isinstance(lengths, list) else lengths
            )
        for layer, route in (call.get("route") or {}).items():
            if "attended_chunks" in route:
                expected[f"{name}route.{layer}.attended_chunks"] = route["attended_chunks"]
        if call.get("argmax") and f"{name}decode.logits" in replay.tensors:
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
