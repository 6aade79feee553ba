"""JSON files that belong to weights."""

import json
from pathlib import Path
from typing import Any

from codemem.model.errors import WeightsCorrupt, WeightsMissing


def require_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises `WeightsMissing` without the file, `WeightsCorrupt` for anything else in it."""
    try:
        parsed = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise WeightsMissing(f"{path} is missing: {path.parent} is no checkpoint") from error
    except ValueError as error:
        raise WeightsCorrupt(f"{path} is not JSON ({error})") from error
    if not isinstance(parsed, dict):
        raise WeightsCorrupt(f"{path} holds no JSON object")
    return parsed
