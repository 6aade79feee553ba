"""Opening a checkpoint: a folder in Hugging Face's layout, or a GGUF file through its cache."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from codemem.model.errors import WeightsCorrupt, WeightsMissing
from codemem.model.weights.cache import Progress, cached_checkpoint, check_cache
from codemem.model.weights.safetensors_file import MappedTensors


class Checkpoint(NamedTuple):
    """Shape and tensors of a model."""

    config: dict[str, Any]
    """config.json as it stands."""
    tensors: MappedTensors
    """Name -> tensor, mapped when asked for."""


def load_checkpoint(path: Path, *, cache: Path | None = None, progress: Progress | None = None) -> Checkpoint:
    """Opens a folder (config.json and safetensors, one file or shards with an index) or a .gguf file.

    A .gguf file is dequantised at first into a folder under `cache` (by default one beside the file) and mapped from
    there later. Raises `WeightsMissing` or `WeightsCorrupt`.
    """
    folder = checkpoint_folder(path, cache=cache, progress=progress)
    config_file = folder / "config.json"
    if not config_file.is_file():
        raise WeightsMissing(f"{config_file} is missing: {folder} is no checkpoint")
    try:
        config = json.loads(config_file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WeightsCorrupt(f"{config_file} is not JSON ({error})") from error
    return Checkpoint(config, MappedTensors(_tensor_files(folder)))


def checkpoint_folder(path: Path, *, cache: Path | None = None, progress: Progress | None = None) -> Path:
    """The folder that `load_checkpoint` opens for `path`; also what `Tokenizer.from_folder` reads."""
    if path.suffix == ".gguf":
        return cached_checkpoint(path, cache or path.parent / "dequantised", progress)
    if not path.is_dir():
        raise WeightsMissing(f"{path} is neither a folder nor a .gguf file: run `codemem model pull`")
    if (path / "source.json").is_file():
        check_cache(path)
    return path


def _tensor_files(folder: Path) -> list[Path]:
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return [folder / "model.safetensors"]
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, AttributeError) as error:
        raise WeightsCorrupt(f"{index} is no index of shards ({error})") from error
    for name in names:
        if Path(name).name != name:
            raise WeightsCorrupt(f"{index} names a shard outside its folder: {name!r}")
    return [folder / name for name in names]
