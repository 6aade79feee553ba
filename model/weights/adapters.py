"""Where a model's adapter lies: with the package, or beside the user's own model."""

from pathlib import Path

from codemem.model.errors import WeightsMissing
from codemem.model.weights.registry import ModelEntry

SHIPPED = Path(__file__).parent.parent / "adapters"
OWN_NAME = "codemem-adapter.safetensors"
"""Name of an adapter beside a user's own weights."""


def adapter_path(model: ModelEntry, checkpoint: Path) -> Path:
    """The adapter file of a model. Raises `WeightsMissing` where there is none."""
    if model.adapter is not None:
        path = SHIPPED / model.adapter
        if not path.is_file():
            raise WeightsMissing(f"this release of codemem ships no adapter for {model.name!r}: choose another model")
        return path
    folder = checkpoint.parent if checkpoint.is_file() else checkpoint
    if not (folder / OWN_NAME).is_file():
        raise WeightsMissing(f"{folder} holds no {OWN_NAME}: train one with `codemem train`")
    return folder / OWN_NAME
