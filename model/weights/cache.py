"""A GGUF file dequantised once into a folder that later starts map: model.safetensors, config.json, tokenizer.json.

Matrices are kept as float16, vectors as float32 (docs/decisions/0005-weights.md). The folder appears by one rename when
it is complete; `source.json` in it says what it was made from and what it must look like.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from filelock import FileLock

from codemem.model.errors import WeightsCorrupt, WeightsMissing
from codemem.model.weights.gguf_file import GgufFile, GgufTensor
from codemem.model.weights.safetensors_file import PlannedTensor, WrittenFile, header_sha256, write_safetensors

FORMAT = 1
"""Raised when the same GGUF file would give another folder."""

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all."""


@dataclass(frozen=True, slots=True)
class CacheRecord:
    """Contents of source.json."""

    format: int
    source: str
    """Name of the GGUF file."""
    source_sha256: str
    source_bytes: int
    source_mtime_ns: int
    model: WrittenFile


def cached_checkpoint(gguf_path: Path, cache: Path, progress: Progress | None = None) -> Path:
    """Folder of the dequantised file, made now if it is not there yet.

    `cache` is the folder that holds all such folders. Raises `WeightsMissing` without file and cache, `WeightsCorrupt`
    for a file that cannot be read.
    """
    place = hashlib.sha256(os.fsencode(gguf_path.resolve())).hexdigest()[:12]
    folder = cache / f"{gguf_path.stem}-{place}"
    if _is_current(folder, gguf_path):
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / f"{folder.name}.lock"):
        if not _is_current(folder, gguf_path):
            _convert(gguf_path, folder, progress)
    return folder


def read_record(folder: Path) -> CacheRecord | None:
    """The folder's source.json; none if it is no such folder or of another format."""
    try:
        fields = json.loads((folder / "source.json").read_text(encoding="utf-8"))
        model = WrittenFile(**fields.pop("model"))
        record = CacheRecord(model=model, **fields)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return record if record.format == FORMAT else None


def check_cache(folder: Path) -> None:
    """Raises `WeightsCorrupt` when the model file is not as it was written: by size and header, which takes no time."""
    record = read_record(folder)
    model = folder / "model.safetensors"
    if record is None or not model.is_file():
        raise WeightsCorrupt(f"{folder} is no complete cache of weights: delete it, it will be made again")
    if model.stat().st_size != record.model.bytes or header_sha256(model) != record.model.header_sha256:
        raise WeightsCorrupt(f"{model} is not what was written there: delete {folder}, it will be made again")


def _is_current(folder: Path, gguf_path: Path) -> bool:
    record = read_record(folder)
    if record is None:
        return False
    try:
        check_cache(folder)
    except WeightsCorrupt:
        return False
    try:
        now = gguf_path.stat()
    except FileNotFoundError:
        return True  # the download was deleted to save space: the cache is all that is needed
    if (now.st_size, now.st_mtime_ns) == (record.source_bytes, record.source_mtime_ns):
        return True
    return now.st_size == record.source_bytes and file_sha256(gguf_path) == record.source_sha256


def _convert(gguf_path: Path, folder: Path, progress: Progress | None) -> None:
    if not gguf_path.is_file():
        raise WeightsMissing(f"{gguf_path} is missing: run `codemem model pull`")
    state = gguf_path.stat()
    source = GgufFile(gguf_path)
    tensors = list(source.tensors())
    total = sum(_planned(t, lambda n: None).nbytes for t in tensors)
    require_space(folder.parent, total + (64 << 20))
    done = 0

    def advance(elements: int) -> None:
        nonlocal done
        done += elements
        if progress is not None:
            progress(min(done, total), total)

    for stale in folder.parent.glob(f"{folder.name}.*.part"):
        shutil.rmtree(stale, ignore_errors=True)  # left by a killed run; we hold the lock
    partial = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", suffix=".part", dir=folder.parent))
    try:
        with (partial / "model.safetensors").open("wb") as file:
            written = write_safetensors(file, [_planned(t, advance) for t in tensors], {"format": "pt"})
        eos = source.eos_ids()
        _write_json(partial / "config.json", source.config())
        _write_json(partial / "generation_config.json", {"eos_token_id": eos})
        (partial / "tokenizer.json").write_text(source.tokenizer_json(), encoding="utf-8")
        record = CacheRecord(FORMAT, gguf_path.name, file_sha256(gguf_path), state.st_size, state.st_mtime_ns, written)
        _write_json(partial / "source.json", asdict(record))
        if folder.exists():
            shutil.rmtree(folder)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _planned(tensor: GgufTensor, advance: Callable[[int], None]) -> PlannedTensor:
    dtype = "float32" if len(tensor.shape) == 1 else "float16"

    def rows() -> Iterator[npt.NDArray[np.float32]]:
        for block in tensor.rows():
            advance(block.size * np.dtype(dtype).itemsize)
            yield block

    return PlannedTensor(tensor.name, tensor.shape, dtype, rows())


def _write_json(path: Path, value: dict[str, Any]) -> None:
    with path.open("w", encoding="utf-8") as file:
        json.dump(value, file, indent=1)
        file.flush()
        os.fsync(file.fileno())


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_space(folder: Path, needed: int) -> None:
    """Raises `WeightsMissing` when the disk of `folder` has fewer than `needed` bytes left."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise WeightsMissing(
            f"{folder} has {free / 1e9:.1f} GB free, {needed / 1e9:.1f} GB are needed: make room or set another folder"
        )
