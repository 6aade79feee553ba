"""Adapters that come with the package, each made for the model whose name it bears."""

from pathlib import Path

import pytest

from codemem.model.adapter import AdapterFile
from codemem.model.errors import WeightsMissing
from codemem.model.weights.adapters import adapter_path
from codemem.model.weights.registry import ModelEntry, find_model

HIDDEN = {"small": 896, "medium": 1536}
"""Width of the base's states (its config.json)."""


@pytest.mark.parametrize("name", sorted(HIDDEN))
def test_a_shipped_adapter_is_of_its_base_and_routes_by_its_states(name: str) -> None:
    model = find_model(name)
    path = adapter_path(model, Path("nowhere"))
    adapter = AdapterFile(path)
    assert model.file is not None
    assert adapter.base == model.file.sha256
    assert adapter.memory.bidirectional
    assert not adapter.memory.names
    for layer in adapter.memory.routed_layers:
        assert adapter.matrix(f"routers.{layer}.q_proj.weight").shape[1] == HIDDEN[name]
    assert path.stat().st_size < 27e6, "what ships travels with every clone"


def test_a_model_without_an_adapter_in_this_release_says_so() -> None:
    entry = find_model("small")
    other = ModelEntry(**{field: getattr(entry, field) for field in entry.__slots__} | {"adapter": "none.safetensors"})
    with pytest.raises(WeightsMissing, match="ships no adapter for 'small'"):
        adapter_path(other, Path("nowhere"))
