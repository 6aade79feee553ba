"""Checkpoint folders in Hugging Face's layout: one file, shards, and everything that can be wrong with them."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from codemem.model.errors import WeightsCorrupt, WeightsMissing
from codemem.model.weights import load_checkpoint, weights_sha256

TENSORS = {
    "model.norm.weight": torch.arange(4.0),
    "model.layers.0.mlp.up_proj.weight": torch.arange(12.0, dtype=torch.bfloat16).reshape(3, 4),
}
SHAPES = {name: tuple(tensor.shape) for name, tensor in TENSORS.items()}


@pytest.fixture
def single(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text('{"model_type": "qwen3"}')
    save_file(TENSORS, tmp_path / "model.safetensors")
    return tmp_path


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text('{"model_type": "msa"}')
    shards = {name: f"model-0000{i}-of-00002.safetensors" for i, name in enumerate(TENSORS, start=1)}
    for name, shard in shards.items():
        save_file({name: TENSORS[name]}, tmp_path / shard)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": shards}))
    return tmp_path


@pytest.mark.parametrize("kind", ["single", "sharded"])
def test_tensors_are_read_as_stored(kind: str, request: pytest.FixtureRequest) -> None:
    config, tensors = load_checkpoint(request.getfixturevalue(kind))
    assert config["model_type"] == ("qwen3" if kind == "single" else "msa")
    assert set(tensors) == set(TENSORS)
    assert len(tensors) == 2
    for name, expected in TENSORS.items():
        assert torch.equal(tensors[name], expected)
        assert tensors[name].dtype == expected.dtype
    tensors.validate(SHAPES)


def test_the_first_missing_or_misshapen_tensor_is_named(single: Path) -> None:
    tensors = load_checkpoint(single).tensors
    tensors.validate({"model.norm.weight": (4,)})
    with pytest.raises(WeightsCorrupt, match=r"lacks the tensor 'model\.layers\.1\.x' of shape \[2, 3\]"):
        tensors.validate(SHAPES | {"model.layers.1.x": (2, 3), "model.layers.2.x": (2, 3)})
    with pytest.raises(WeightsCorrupt, match=r"'model\.norm\.weight' has shape \[4\], expected \[5\]"):
        tensors.validate({"model.norm.weight": (5,), "model.layers.1.x": (2, 3)})
    with pytest.raises(KeyError):
        tensors["model.layers.1.x"]


def test_a_missing_shard_is_named(sharded: Path) -> None:
    (sharded / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(WeightsMissing, match=r"model-00002-of-00002\.safetensors is missing"):
        load_checkpoint(sharded)
    with pytest.raises(WeightsMissing, match=r"model-00002-of-00002\.safetensors is missing"):
        weights_sha256(sharded, sharded / "notes")


def test_a_truncated_shard_is_named(sharded: Path) -> None:
    shard = sharded / "model-00001-of-00002.safetensors"
    shard.write_bytes(shard.read_bytes()[:-4])
    with pytest.raises(WeightsCorrupt, match=r"model-00001-of-00002\.safetensors is not a whole"):
        load_checkpoint(sharded)


@pytest.mark.parametrize("index", ["not json", "[]", "{}", '{"weight_map": {"a": "../model.safetensors"}}'])
def test_a_wrong_index_is_refused(sharded: Path, index: str) -> None:
    (sharded / "model.safetensors.index.json").write_text(index)
    with pytest.raises(WeightsCorrupt, match="index"):
        load_checkpoint(sharded)


@pytest.mark.parametrize("config", ["not json", "[]"])
def test_a_wrong_configuration_is_refused(single: Path, config: str) -> None:
    (single / "config.json").write_text(config)
    with pytest.raises(WeightsCorrupt, match=r"config\.json"):
        load_checkpoint(single)


def test_a_folder_without_configuration_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="no checkpoint"):
        load_checkpoint(tmp_path)


def test_the_hash_of_a_folder_follows_its_bytes_alone(sharded: Path, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    first = weights_sha256(sharded, notes)
    assert weights_sha256(sharded, notes) == first
    assert len(list(notes.iterdir())) == 1
    assert weights_sha256(sharded, tmp_path / "other-notes") == first
    save_file({"model.norm.weight": torch.zeros(4)}, sharded / "model-00001-of-00002.safetensors")
    assert weights_sha256(sharded, notes) != first
