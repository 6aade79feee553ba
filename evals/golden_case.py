"""A case of golden vectors as it was stored: its JSON checked and filled up, its tensors.

Vectors are made by others, so what a case leaves out is taken from its checkpoint or left uncompared, and what makes no
sense is said in one line that names the file. None of this is a fault of the checkpoint.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from codemem.evals.errors import BadCasesError
from codemem.model.errors import WeightsCorrupt
from codemem.model.msa4b.checkpoint import read_json


@dataclass(frozen=True, slots=True)
class StoredCase:
    """One case, ready to be replayed."""

    path: Path
    checkpoint: Path
    """Folder."""
    facts: dict[str, Any]
    """The JSON; `documents` and `calls` are lists of objects, `submitted` and `forced_output_ids` a list a prompt."""
    tensors: dict[str, Tensor]

    @property
    def passes(self) -> list[int]:
        """Per call, how many passes follow the prompt's: as many as there is something to compare with."""
        return [self._passes(f"call{index}.decode.") for index in range(len(self.facts["calls"]))]

    def _passes(self, name: str) -> int:
        if name + "splits" in self.tensors:
            return len(self.tensors[name + "splits"])
        if name + "logits" in self.tensors:
            return self.tensors[name + "logits"].shape[1] - 1
        return self.tensors[name + "input_ids"].shape[1] if name + "input_ids" in self.tensors else 0


def read_case(path: Path) -> StoredCase:
    """Reads `cases/NAME.json` and the tensors beside it. Raises `BadCasesError` saying what is wrong with the case."""
    try:
        facts = read_json(path)
        tensors = load_file(path.with_suffix(".safetensors"))
    except (WeightsCorrupt, SafetensorError, OSError, UnicodeDecodeError) as error:
        raise BadCasesError(f"{path} cannot be read ({error})") from error
    facts["documents"] = [_document(path, number, d) for number, d in enumerate(_objects(path, facts, "documents"))]
    facts["calls"] = [_call(path, number, call) for number, call in enumerate(_objects(path, facts, "calls"))]
    if not facts["documents"]:
        raise BadCasesError(f"{path} names no documents")
    numbers = [document["id"] for document in facts["documents"]]
    if sorted(set(numbers)) != numbers:
        raise BadCasesError(f"{path}: the ids of documents must ascend, they are {numbers}")
    for name in ("top_k_docs", "pooling_kernel_size", "first_prompt_position"):
        if facts.get(name) is not None and not (_whole(facts[name]) and facts[name] > 0):
            raise BadCasesError(f"{path}: {name} {facts[name]!r} is no positive whole number")
    return StoredCase(path, _checkpoint(path, facts), facts, tensors)


def _checkpoint(path: Path, facts: dict[str, Any]) -> Path:
    """The folder that the case names, or the only one there is."""
    root = path.parent.parent
    named = facts.get("checkpoint")
    if named is not None:
        return root / str(named)
    found = sorted(config.parent for config in root.glob("*/config.json"))
    if len(found) != 1:
        raise BadCasesError(f"{path} does not say which checkpoint it is of, and {root} holds {len(found)}")
    return found[0]


def _objects(path: Path, facts: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = facts.get(name) or []
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise BadCasesError(f"{path}: {name!r} is no list of objects")
    return [dict(item) for item in found]


def _document(path: Path, number: int, document: dict[str, Any]) -> dict[str, Any]:
    """With an id; documents without ids are counted."""
    ids, text = document.get("input_ids"), document.get("text")
    if ids is None and text is None:
        raise BadCasesError(f"{path}: document {number} has neither text nor input_ids")
    if text is not None and not isinstance(text, str):
        raise BadCasesError(f"{path}: the text of document {number} is no string")
    if ids is not None and not (_whole_numbers(ids) and ids):
        raise BadCasesError(f"{path}: the input_ids of document {number} are no token ids")
    given = document.get("id", number)
    if not _whole(given) or given < 0:
        raise BadCasesError(f"{path}: document {number} has the id {given!r}")
    return document | {"id": given, "text": text, "input_ids": ids}


def _call(path: Path, number: int, call: dict[str, Any]) -> dict[str, Any]:
    """With a list of prompts, and what each was made to say."""
    submitted = call.get("submitted")
    prompts = [submitted] if isinstance(submitted, str) else submitted
    if not isinstance(prompts, list) or not prompts or not all(isinstance(text, str) for text in prompts):
        raise BadCasesError(f"{path}: call {number} does not say what was submitted")
    forced = call.get("forced_output_ids") or [None] * len(prompts)
    if len(prompts) == 1 and _whole_numbers(forced):
        forced = [forced]
    if len(forced) != len(prompts) or not all(ids is None or _whole_numbers(ids) for ids in forced):
        raise BadCasesError(f"{path}: the forced_output_ids of call {number} are no list of token ids a prompt")
    return call | {"submitted": prompts, "forced_output_ids": forced}


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _whole_numbers(values: object) -> bool:
    return isinstance(values, list) and all(_whole(value) and value >= 0 for value in values)


def rounded_off(stored: Tensor) -> Tensor | float:
    """How far a float32 number may lie from each stored one and still be stored as it: half a step of its type."""
    if stored.dtype not in (torch.float16, torch.bfloat16):
        return 0.0
    limits = torch.finfo(stored.dtype)
    return stored.double().abs() * limits.eps / 2 + limits.smallest_normal * limits.eps / 2
