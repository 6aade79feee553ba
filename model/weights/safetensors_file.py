"""Safetensors: written a block of rows at a time, read by mapping.

Format: https://github.com/huggingface/safetensors#format (8 bytes of header length, JSON header, data).
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open

from codemem.model.errors import WeightsCorrupt, WeightsMissing

_CODES = {"float16": "F16", "float32": "F32"}


@dataclass(frozen=True, slots=True)
class PlannedTensor:
    """A tensor to be written: its rows are asked for when its turn comes."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    """'float16' or 'float32'."""
    rows: Iterable[npt.NDArray[np.float32]]
    """Values in row order, in blocks of any height."""

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """What was written, for a later check."""

    bytes: int
    sha256: str
    header_sha256: str


def write_safetensors(file: BinaryIO, tensors: Iterable[PlannedTensor], metadata: Mapping[str, str]) -> WrittenFile:
    """Writes and fsyncs one safetensors file; at no time does more than one block of rows lie in memory."""
    planned = list(tensors)
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    for tensor in planned:
        span = [end, end + tensor.nbytes]
        header[tensor.name] = {"dtype": _CODES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": span}
        end = span[1]
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 8) % 64)
    digest = hashlib.sha256()
    written = 0
    for block in _blocks(text, planned):
        digest.update(block)
        file.write(block)
        written += len(block)
    if written != 8 + len(text) + end:
        raise WeightsCorrupt(f"{file.name}: tensors hold other sizes than their shapes say")
    file.flush()
    os.fsync(file.fileno())
    return WrittenFile(written, digest.hexdigest(), hashlib.sha256(text).hexdigest())


def _blocks(header: bytes, planned: list[PlannedTensor]) -> Iterator[bytes]:
    yield len(header).to_bytes(8, "little") + header
    for tensor in planned:
        for rows in tensor.rows:
            yield np.ascontiguousarray(rows, dtype=np.dtype(tensor.dtype).newbyteorder("<")).tobytes()


def header_sha256(path: Path) -> str:
    """Hash of the header of a safetensors file: names, shapes, types and places of all tensors, and its metadata."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > path.stat().st_size:
                raise WeightsCorrupt(f"{path} is not a safetensors file")
            return hashlib.sha256(file.read(length)).hexdigest()
    except FileNotFoundError as error:
        raise WeightsMissing(f"{path} is missing") from error


class MappedTensors(Mapping[str, torch.Tensor]):
    """Tensors of one or several safetensors files by name, mapped from disk when asked for and copied by nobody."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._files: dict[str, Any] = {}
        self._paths: dict[str, Path] = {}
        for path in files:
            if not path.is_file():
                raise WeightsMissing(f"{path} is missing")
            try:
                opened: Any = safe_open(path, framework="pt")
            except (SafetensorError, OSError) as error:
                raise WeightsCorrupt(f"{path} is not a whole safetensors file ({error})") from error
            for name in opened.keys():  # noqa: SIM118 (a safe_open is not iterable)
                self._files[name] = opened
                self._paths[name] = path

    def __getitem__(self, name: str) -> torch.Tensor:
        tensor: torch.Tensor = self._files[name].get_tensor(name)
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, from the header alone."""
        return tuple(self._files[name].get_slice(name).get_shape())

    def validate(self, expected: Mapping[str, tuple[int, ...]]) -> None:
        """Raises `WeightsCorrupt` naming the first tensor missing or of another shape. Further tensors are fine."""
        for name, shape in expected.items():
            if name not in self._files:
                raise WeightsCorrupt(f"the checkpoint lacks the tensor {name!r} of shape {list(shape)}")
            if self.shape(name) != tuple(shape):
                raise WeightsCorrupt(
                    f"{self._paths[name]}: tensor {name!r} has shape {list(self.shape(name))}, expected {list(shape)}"
                )
