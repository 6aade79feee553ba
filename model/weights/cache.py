"""A GGUF file dequantised once into a folder that later starts map: model.safetensors, config.json, tokenizer.json.

Matrices are kept as float16, vectors as float32 (docs/decisions/0005-weights.md). The folder appears by one rename when
it is complete; `source.json` in it says what it was made from and what it must look like.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from filelock import FileLock

from codemem.model.errors import WeightsCorrupt, WeightsMissing
from codemem.model.weights.files import (
    Progress,
    file_sha256,
    make_folder,
    read_json,
    require_space,
    sync_folder,
    write_json,
)
from codemem.model.weights.gguf_file import GgufFile, GgufTensor
from codemem.model.weights.safetensors_file import PlannedTensor, WrittenFile, header_sha256, write_safetensors

FORMAT = 1
"""Raised when the same GGUF file would give another folder."""

_SPARE_BYTES = 64 << 20
"""For the tokenizer and what else is written beside the tensors."""


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


def cached_checkpoint(
    gguf_path: Path, cache: Path, *, sha256: str | None = None, progress: Progress | None = None
) -> Path:
    """Folder of the dequantised file, made now if it is not there yet.

    `cache` is the folder that holds all such folders, `sha256` what the file must have if that is known. Raises
    `WeightsMissing` without file and cache, `WeightsCorrupt` for a file that cannot be read or is another one.
    """
    place = hashlib.sha256(os.fsencode(gguf_path.resolve())).hexdigest()[:12]
    folder = cache / f"{gguf_path.stem}-{place}"
    if not _is_current(folder, gguf_path):
        make_folder(cache)
        with FileLock(cache / f"{folder.name}.lock"):
            if not _is_current(folder, gguf_path):
                _convert(gguf_path, folder, sha256, progress)
    record = read_record(folder)
    if sha256 is not None and (record is None or record.source_sha256 != sha256):
        raise _another_file(gguf_path, sha256)
    return folder


def read_record(folder: Path) -> CacheRecord | None:
    """The folder's source.json; none if it is no such folder or of another format."""
    fields = read_json(folder / "source.json")
    if fields is None or fields.get("format") != FORMAT:
        return None
    try:
        model = WrittenFile(**fields.pop("model"))
        return CacheRecord(model=model, **fields)
    except (KeyError, TypeError):
        return None


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


def _another_file(path: Path, sha256: str) -> WeightsCorrupt:
    return WeightsCorrupt(f"{path} fails its checksum ({sha256} is wanted): delete it and run `codemem model pull`")


def _convert(gguf_path: Path, folder: Path, sha256: str | None, progress: Progress | None) -> None:
    if not gguf_path.is_file():
        raise WeightsMissing(f"{gguf_path} is missing: run `codemem model pull`")
    state = gguf_path.stat()
    source_sha256 = file_sha256(gguf_path)
    if sha256 is not None and source_sha256 != sha256:
        raise _another_file(gguf_path, sha256)
    for stale in folder.parent.glob(f"{folder.name}.*.part"):
        shutil.rmtree(stale, ignore_errors=True)  # left by a killed run; we hold the lock
    source = GgufFile(gguf_path)
    partial = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", suffix=".part", dir=folder.parent))
    try:
        written = _write_model(source, partial / "model.safetensors", progress)
        write_json(partial / "config.json", source.config())
        write_json(partial / "generation_config.json", {"eos_token_id": source.eos_ids()})
        (partial / "tokenizer.json").write_text(source.tokenizer_json(), encoding="utf-8")
        record = CacheRecord(FORMAT, gguf_path.name, source_sha256, state.st_size, state.st_mtime_ns, written)
        write_json(partial / "source.json", asdict(record))
        if folder.exists():
            shutil.rmtree(folder)
        partial.rename(folder)
        sync_folder(folder.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_model(source: GgufFile, target: Path, progress: Progress | None) -> WrittenFile:
    done = 0

    def advance(nbytes: int) -> None:
        nonlocal done
        done += nbytes
        if progress is not None:
            progress(done, total)

    planned = [_planned(tensor, advance) for tensor in source.tensors()]
    total = sum(tensor.nbytes for tensor in planned)
    require_space(target.parent, total + _SPARE_BYTES)
    with target.open("wb") as file:
        return write_safetensors(file, planned, {"format": "pt"})


def _planned(tensor: GgufTensor, advance: Callable[[int], None]) -> PlannedTensor:
    dtype = "float32" if len(tensor.shape) == 1 else "float16"

    def rows() -> Iterator[npt.NDArray[np.float32]]:
        for block in tensor.rows():
            advance(block.size * np.dtype(dtype).itemsize)
            yield block

    return PlannedTensor(tensor.name, tensor.shape, dtype, rows())
