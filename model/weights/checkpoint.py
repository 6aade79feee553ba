"""Opening a checkpoint: a folder in Hugging Face's layout, or a GGUF file through its cache."""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

from codemem.model.errors import WeightsCorrupt, WeightsMissing
from codemem.model.json_file import require_json
from codemem.model.weights.cache import cached_checkpoint, check_cache, read_record
from codemem.model.weights.download import locate
from codemem.model.weights.files import Progress, file_sha256, read_json, write_json
from codemem.model.weights.registry import ModelEntry
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
    config = require_json(folder / "config.json")
    return Checkpoint(config, MappedTensors(_tensor_files(folder)))


def prepare(model: ModelEntry, directory: Path, *, local: Path | None = None, progress: Progress | None = None) -> Path:
    """The folder of a model that is on this machine, ready for `load_checkpoint` and `Tokenizer.from_folder`.

    A GGUF file is dequantised the first time, and must have its registered sha256. Raises `WeightsMissing` when the
    model was not pulled, `WeightsCorrupt` when a file is not what it should be.
    """
    path = locate(model, directory, local)
    sha256 = model.file.sha256 if model.file is not None and path.is_file() else None
    return checkpoint_folder(path, cache=directory / "dequantised", sha256=sha256, progress=progress)


def checkpoint_folder(
    path: Path, *, cache: Path | None = None, sha256: str | None = None, progress: Progress | None = None
) -> Path:
    """The folder that `load_checkpoint` opens for `path`; also what `Tokenizer.from_folder` reads."""
    if path.suffix == ".gguf":
        return cached_checkpoint(path, cache or path.parent / "dequantised", sha256=sha256, progress=progress)
    if not path.is_dir():
        raise WeightsMissing(f"{path} is neither a folder nor a .gguf file: run `codemem model pull`")
    if (path / "source.json").is_file():
        check_cache(path)
    return path


def weights_sha256(folder: Path, notes: Path) -> str:
    """Hex sha256 that stands for all tensors of a checkpoint folder: equal on every machine that holds the same bytes.

    Known without reading for a dequantised file. Otherwise the shards are hashed once and the result is noted under
    the folder `notes`, for as long as their sizes and times stay.
    """
    record = read_record(folder)
    if record is not None:
        return record.model.sha256
    shards = _tensor_files(folder)
    try:
        state = [[shard.name, shard.stat().st_size, shard.stat().st_mtime_ns] for shard in shards]
    except FileNotFoundError as error:
        raise WeightsMissing(f"{error.filename} is missing") from error
    note = notes / f"{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]}.sha256.json"
    known = read_json(note)
    if known is not None and known.get("state") == state:
        return str(known["sha256"])
    digest = hashlib.sha256()
    for shard in shards:
        digest.update(f"{shard.name} {file_sha256(shard)}\n".encode())
    notes.mkdir(parents=True, exist_ok=True)
    write_json(note, {"state": state, "sha256": digest.hexdigest()})
    return digest.hexdigest()


def _tensor_files(folder: Path) -> list[Path]:
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return [folder / "model.safetensors"]
    shards = require_json(index).get("weight_map")
    if not isinstance(shards, dict) or not shards:
        raise WeightsCorrupt(f"{index} is no index of shards")
    names = sorted({str(name) for name in shards.values()})
    for name in names:
        if Path(name).name != name:
            raise WeightsCorrupt(f"{index} names a shard outside its folder: {name!r}")
    return [folder / name for name in names]
