"""Safetensors shards read a block at a time.

A mapped shard counts as the process's memory as soon as it is touched, so loading 8 GB through a mapping shows 8 GB.
Here a tensor goes from its file to the device through one buffer. Format:
https://github.com/huggingface/safetensors#format (8 bytes of header length, JSON header, data).
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from codemem.model.errors import WeightsCorrupt, WeightsMissing

BLOCK_BYTES = 64 << 20
INDEX = "model.safetensors.index.json"

_DTYPES = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32, "F64": torch.float64}


@dataclass(frozen=True, slots=True)
class _Place:
    path: Path
    offset: int
    """Of the first byte, in the file."""
    shape: tuple[int, ...]
    dtype: torch.dtype


class Shards(Mapping[str, Tensor]):
    """The floating-point tensors of a checkpoint folder by name."""

    def __init__(self, folder: Path) -> None:
        """Reads headers only. Raises `WeightsMissing` or `WeightsCorrupt` naming the file or tensor."""
        self._places: dict[str, _Place] = {}
        listed = _read_index(folder)
        held: dict[str, str] = {}
        for file in sorted(set(listed.values())) if listed else ["model.safetensors"]:
            places, names = _read_header(folder / file)
            self._places.update(places)
            held |= dict.fromkeys(names, file)
        for name, file in listed.items():
            if held.get(name) != file:
                raise WeightsCorrupt(f"{folder / file} lacks the tensor {name!r} that {INDEX} places there")
        self._buffer: bytearray | None = None

    def __getitem__(self, name: str) -> Tensor:
        place = self._places[name]
        tensor = torch.empty(place.shape, dtype=place.dtype)
        self.copy_into(name, tensor)
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def shape(self, name: str) -> tuple[int, ...]:
        return self._places[name].shape

    def dtype(self, name: str) -> torch.dtype:
        return self._places[name].dtype

    def file(self, name: str) -> Path:
        return self._places[name].path

    @property
    def files(self) -> list[Path]:
        """The files that hold tensors, by name."""
        return sorted({place.path for place in self._places.values()})

    def nbytes(self, name: str) -> int:
        place = self._places[name]
        return place.dtype.itemsize * torch.Size(place.shape).numel()

    def start(self, name: str, size: int = 4096) -> bytes:
        """The tensor's first bytes as stored."""
        place = self._places[name]
        with place.path.open("rb") as file:
            file.seek(place.offset)
            return file.read(min(size, self.nbytes(name)))

    def copy_into(self, name: str, target: Tensor, first: int = 0) -> None:
        """Fills `target` (contiguous, any device and floating type) with the tensor's rows from `first` on, a block at
        a time. A tensor without dimensions is one row."""
        place = self._places[name]
        rows = place.shape[0] if place.shape else 1
        count = len(target) if target.dim() else 1
        if target.shape[1:] != place.shape[1:] or target.dim() != len(place.shape) or not 0 <= first <= rows - count:
            raise ValueError(f"rows {first} to {first + count} of {name}, {list(place.shape)}, are no target")
        flat = target.view(-1)
        if self._buffer is None:
            self._buffer = bytearray(BLOCK_BYTES)
        width = place.dtype.itemsize
        numbers = BLOCK_BYTES // width
        with place.path.open("rb") as file:
            file.seek(place.offset + first * torch.Size(place.shape[1:]).numel() * width)
            for start in range(0, len(flat), numbers):
                taken = min(numbers, len(flat) - start)
                block = memoryview(self._buffer)[: taken * width]
                if file.readinto(block) != len(block):
                    raise WeightsCorrupt(f"{place.path} ends within the tensor {name!r}")
                flat[start : start + taken].copy_(torch.frombuffer(block, dtype=place.dtype))


def _read_index(folder: Path) -> dict[str, str]:
    """Tensor name -> file name; empty for a checkpoint of one file."""
    index = folder / INDEX
    if not index.is_file():
        return {}
    try:
        listed = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        wrong = [file for file in listed.values() if Path(file).name != file]
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise WeightsCorrupt(f"{index} is no index of shards ({error})") from error
    if wrong:
        raise WeightsCorrupt(f"{index} names a shard outside its folder: {wrong[0]!r}")
    return dict(listed)


def _read_header(path: Path) -> tuple[dict[str, _Place], list[str]]:
    """Where floating-point tensors lie, and the names of all: nothing of ours is stored as integers."""
    if not path.is_file():
        raise WeightsMissing(f"{path} is missing")
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= size - 8:
            raise WeightsCorrupt(f"{path} is not a whole safetensors file")
        text = file.read(length)
    try:
        header: dict[str, Any] = json.loads(text)
        header.pop("__metadata__", None)
        places = {}
        for name, entry in header.items():
            if entry["dtype"] not in _DTYPES:
                continue
            dtype, shape = _DTYPES[entry["dtype"]], tuple(int(n) for n in entry["shape"])
            start, end = entry["data_offsets"]
            if end - start != dtype.itemsize * torch.Size(shape).numel() or start < 0 or 8 + length + end > size:
                raise ValueError(f"tensor {name!r} does not lie within the file")
            places[name] = _Place(path, 8 + length + start, shape, dtype)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsCorrupt(f"{path} is not a whole safetensors file ({error})") from error
    return places, list(header)
