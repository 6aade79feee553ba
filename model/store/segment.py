"""A segment: an immutable safetensors file with many entries of one layout.

Every tensor of the layout is one contiguous array [chunks, width]. Beside them stand `entry.keys`, `entry.chunks`,
`entry.tokens`, `entry.checksums` and `entry.chunk_ends`, so that the catalogue can be rebuilt from segments alone. Each
byte of the file is covered: the header by the file's name (its XXH3-128), the index by a checksum in the header, the
rows by the entries' checksums in the index.
"""

import json
import math
import mmap
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import safetensors.numpy
import xxhash

from codemem.model.entry import EntryLayout, TensorSpec
from codemem.model.errors import StoreError
from codemem.model.store.columns import KEY_BYTES, Columns, offsets_of, parts_of
from codemem.model.store.records import Array

FORMAT = 1
SUFFIX = ".safetensors"
INDEX_PREFIX = "entry."
INDEX = ("entry.keys", "entry.chunks", "entry.tokens", "entry.checksums")
CHUNK_ENDS = "entry.chunk_ends"
LONGEST_HEADER = 16 << 20
DTYPES = {
    "U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16", "F16": "float16",
    "U32": "uint32", "I32": "int32", "F32": "float32", "U64": "uint64", "I64": "int64", "F64": "float64",
}  # fmt: skip


class SegmentDamagedError(StoreError):
    """A segment's header or index is damaged, or the file is no segment."""


def layout_to_json(layout: EntryLayout) -> str:
    """Canonical text of a layout."""
    tensors = [[t.name, t.dtype, t.width] for t in layout.tensors]
    value = {"fingerprint": layout.fingerprint, "chunk_tokens": layout.chunk_tokens, "tensors": tensors}
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def layout_from_json(text: str) -> EntryLayout:
    """Raises ValueError, KeyError or TypeError when the text is none of `layout_to_json`."""
    value = json.loads(text)
    tensors = tuple(TensorSpec(str(name), str(dtype), int(width)) for name, dtype, width in value["tensors"])
    return EntryLayout(str(value["fingerprint"]), int(value["chunk_tokens"]), tensors)


def check_layout(layout: EntryLayout) -> None:
    """Raises StoreError when entries of this layout cannot be stored."""
    names = [spec.name for spec in layout.tensors]
    if not names or len(set(names)) != len(names):
        raise StoreError("a layout has at least one tensor, and each name once")
    for spec in layout.tensors:
        if spec.name.startswith(INDEX_PREFIX) or spec.name == "__metadata__":
            raise StoreError(f"a tensor cannot be named {spec.name}: the store's own arrays are")
        if spec.dtype not in DTYPES.values() or spec.width <= 0:
            raise StoreError(f"tensor {spec.name}: {spec.dtype}[{spec.width}] cannot be stored")


def serialise(layout: EntryLayout, columns: Columns) -> tuple[str, bytes]:
    """File name and bytes of a segment. Equal columns give equal names."""
    arrays: dict[str, npt.NDArray[Any]] = {
        "entry.keys": columns.keys,
        "entry.chunks": columns.chunks,
        "entry.tokens": columns.tokens,
        "entry.checksums": columns.checksums,
        CHUNK_ENDS: columns.chunk_ends,
        **columns.tensors,
    }
    about = {"format": FORMAT, "layout": layout_to_json(layout), "index": _index_checksum(arrays)}
    data = safetensors.numpy.save(arrays, {"codemem": json.dumps(about, separators=(",", ":"), sort_keys=True)})
    return _name_of(data[: 8 + int.from_bytes(data[:8], "little")]), data


def _index_checksum(arrays: Mapping[str, Array]) -> str:
    digest = xxhash.xxh3_64()
    for name in INDEX:
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


def _name_of(header: bytes) -> str:
    return xxhash.xxh3_128(header).hexdigest() + SUFFIX


@dataclass(frozen=True, slots=True)
class ArrayPlace:
    """Where an array lies in the file."""

    dtype: str
    shape: tuple[int, ...]
    start: int


class Segment:
    """An open segment. The file may be unlinked meanwhile: what is mapped stays readable.

    Opening checks the header and the file's size; the index is checked when `index` is first asked for.
    """

    def __init__(self, path: Path) -> None:
        """Raises FileNotFoundError, or SegmentDamagedError when header or size are not what the name says."""
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            header = _read_header(file, size, path.name)
            self.path = path
            self.name = path.name
            self.size = size
            try:
                self._parse(header)
            except (ValueError, KeyError, TypeError, IndexError) as error:
                raise SegmentDamagedError(
                    f"segment {path.name} has a header that codemem did not write: {error}"
                ) from error
            self._map = _mapping(file)
        self._arrays = {name: self._array(self._map, place) for name, place in self._places.items()}
        self.checked = np.zeros((len(parts_of(self.layout)), self.chunks), np.bool_)
        """[parts, chunks]: at an entry's first chunk, whether this process found the part's checksum right."""

    def _parse(self, header: bytes) -> None:
        fields = json.loads(header[8:])
        about = json.loads(fields.pop("__metadata__")["codemem"])
        if about["format"] != FORMAT:
            raise ValueError(f"format {about['format']}")
        self.layout = layout_from_json(about["layout"])
        self._index = str(about["index"])
        self._places: dict[str, ArrayPlace] = {}
        end = len(header)
        for name, field in sorted(fields.items(), key=lambda item: int(item[1]["data_offsets"][0])):
            dtype, shape = DTYPES[field["dtype"]], tuple(int(n) for n in field["shape"])
            start, stop = (len(header) + int(at) for at in field["data_offsets"])
            if start != end or stop - start != math.prod(shape) * np.dtype(dtype).itemsize:
                raise ValueError(f"array {name} lies wrong")
            self._places[name] = ArrayPlace(dtype, shape, start)
            end = stop
        if end != self.size:
            raise ValueError(f"{self.size} bytes instead of {end}")
        self.entries, self.chunks = self._places["entry.keys"].shape[0], self._places[CHUNK_ENDS].shape[0]
        expected: dict[str, tuple[str, tuple[int, ...]]] = {
            spec.name: (spec.dtype, (self.chunks, spec.width)) for spec in self.layout.tensors
        }
        expected |= {
            "entry.keys": ("uint8", (self.entries, KEY_BYTES)),
            "entry.chunks": ("uint32", (self.entries,)),
            "entry.tokens": ("uint32", (self.entries,)),
            "entry.checksums": ("uint64", (self.entries, len(parts_of(self.layout)))),
            CHUNK_ENDS: ("uint32", (self.chunks,)),
        }
        if {name: (place.dtype, place.shape) for name, place in self._places.items()} != expected:
            raise ValueError("arrays other than its layout's")

    @staticmethod
    def _array(mapping: mmap.mmap, place: ArrayPlace) -> Array:
        count = math.prod(place.shape)
        flat: Array = np.frombuffer(mapping, np.dtype(place.dtype), count, place.start)
        return flat.reshape(place.shape)

    def array(self, name: str) -> Array:
        """A tensor of the layout, or CHUNK_ENDS, over all chunks; shared by all readers of this process."""
        return self._arrays[name]

    def private_arrays(self, names: Sequence[str]) -> dict[str, Array]:
        """Arrays on a mapping of their own, which a caller may keep. FileNotFoundError once the file is unlinked."""
        with self.path.open("rb") as file:
            mapping = _mapping(file)
        return {name: self._array(mapping, self._places[name]) for name in names}

    def will_need(self) -> None:
        """Asks the kernel to read ahead; worth it before rows are gathered from a cold file."""
        if hasattr(self._map, "madvise"):
            self._map.madvise(mmap.MADV_WILLNEED)

    def columns(self) -> Columns:
        """All entries, alive or not. Raises SegmentDamagedError when the index does not match its checksum."""
        if _index_checksum(self._arrays) != self._index:
            raise SegmentDamagedError(f"segment {self.name}: its index does not match its checksum")
        chunks = self._arrays["entry.chunks"].astype(np.uint32, copy=False)
        if offsets_of(chunks)[-1] != self.chunks:
            raise SegmentDamagedError(f"segment {self.name}: its entries have other chunks than its tensors")
        return Columns(
            keys=self._arrays["entry.keys"].astype(np.uint8, copy=False),
            chunks=chunks,
            tokens=self._arrays["entry.tokens"].astype(np.uint32, copy=False),
            chunk_ends=self._arrays[CHUNK_ENDS].astype(np.uint32, copy=False),
            tensors={spec.name: self._arrays[spec.name] for spec in self.layout.tensors},
            checksums=self._arrays["entry.checksums"].astype(np.uint64, copy=False),
        )


def _mapping(file: BinaryIO) -> mmap.mmap:
    # Private and writable: torch warns about read-only arrays, and a stray write never reaches the file.
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)


def _read_header(file: BinaryIO, size: int, name: str) -> bytes:
    """Length and JSON of a safetensors file, checked against the name."""
    prefix = file.read(8)
    length = int.from_bytes(prefix, "little")
    if length > min(size - 8, LONGEST_HEADER):
        raise SegmentDamagedError(f"segment {name} is truncated or no segment")
    header = prefix + file.read(length)
    if _name_of(header) != name:
        raise SegmentDamagedError(f"segment {name}: its header does not match its name")
    return header
