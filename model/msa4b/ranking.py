"""Which rule a checkpoint ranks by: the caller's, else the one that a check found better, else the engine's.

Entries serve both rules, so changing it encodes nothing again.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

from codemem.model.errors import StoreError
from codemem.model.msa4b.checkpoint import Msa4bModel
from codemem.model.msa4b.config import Ranking


def with_ranking(model: Msa4bModel, rule: Ranking) -> Msa4bModel:
    """The same weights, asked by another rule."""
    cosine = model.config.aux_loss_method == "INFONCE" if rule == "engine" else rule == "cosine"
    memory = dataclasses.replace(model.config.memory, cosine=cosine)
    return dataclasses.replace(model, config=dataclasses.replace(model.config, memory=memory))


def recorded_ranking(path: Path, fingerprint: str) -> Ranking | None:
    """What a check found better for this checkpoint; None if none has decided."""
    found = _read(path).get(fingerprint, {}).get("ranking")
    return found if found in ("cosine", "scaled") else None


def record_ranking(path: Path, fingerprint: str, ranking: Ranking, evidence: dict[str, Any]) -> None:
    """Notes the better rule, with what it was chosen by. Raises `StoreError` if it cannot be written."""
    records = _read(path)
    records[fingerprint] = {"ranking": ranking, "evidence": evidence}
    fresh = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(json.dumps(records, indent=1), encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        raise StoreError(f"the better ranking rule cannot be noted in {path} ({error.strerror})") from error


def _read(path: Path) -> dict[str, Any]:
    """By fingerprint. A file that is missing or damaged decides nothing."""
    try:
        parsed = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {k: v for k, v in parsed.items() if isinstance(v, dict)} if isinstance(parsed, dict) else {}
