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
import secrets
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
    """A segment's header or index is damaged, or the file is no segment, or it is gone."""

    def __init__(self, message: str, number: int = 0) -> None:
        super().__init__(message)
        self.number = number
        """The segment's number in the catalogue, where the raiser knows it."""


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
    """File name and bytes of a segment. Names are never used twice, even for equal columns."""
    arrays: dict[str, npt.NDArray[Any]] = {
        "entry.keys": columns.keys,
        "entry.chunks": columns.chunks,
        "entry.tokens": columns.tokens,
        "entry.checksums": columns.checksums,
        CHUNK_ENDS: columns.chunk_ends,
        **columns.tensors,
    }
    about = {
        "format": FORMAT,
        "layout": layout_to_json(layout),
        "index": _index_checksum(arrays),
        "nonce": secrets.token_hex(8),
    }
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
    """An open segment. The file may be unlinked meanwhile: what is mapped stays readable."""

    def __init__(self, path: Path, file: BinaryIO, layout: EntryLayout, places: Mapping[str, ArrayPlace]) -> None:
        """Use `open_segment` or `salvage_segment`."""
        self.path = path
        self.name = path.name
        self.layout = layout
        self.size = os.fstat(file.fileno()).st_size
        self.entries, self.chunks = places["entry.keys"].shape[0], places[CHUNK_ENDS].shape[0]
        self.index_checksum = ""
        self.damage = ""
        """What is wrong with the file although its rows can be read; empty for a sound one."""
        self._places = places
        self._map = _mapping(file)
        self._arrays = {name: self._array(self._map, place) for name, place in places.items()}
        self.checked = np.zeros((len(parts_of(layout)), self.chunks), np.bool_)
        """[parts, chunks]: at an entry's first chunk, whether this process found the part's checksum right."""

    @property
    def index_bytes(self) -> int:
        """What a check without the rows reads."""
        return self.size - sum(int(self._arrays[spec.name].nbytes) for spec in self.layout.tensors)

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
        if _index_checksum(self._arrays) != self.index_checksum:
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


def open_segment(path: Path) -> Segment:
    """Checks header and size; the index is checked when it is asked for (`columns`), rows when they are used.

    Raises FileNotFoundError, or SegmentDamagedError when the header is not what the file's name says.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        header = _read_header(file, size, path.name)
        try:
            layout, index, places = _parse(header, size)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise SegmentDamagedError(
                f"segment {path.name} has a header that codemem did not write: {error}"
            ) from error
        segment = Segment(path, file, layout, places)
    segment.index_checksum = index
    return segment


def salvage_segment(path: Path, layout: EntryLayout, entries: int, chunks: int) -> Segment:
    """Opens a segment without its header, from what the catalogue knows; its rows have their own checksums.

    Raises FileNotFoundError, or SegmentDamagedError when the file is shorter than its arrays.
    """
    shapes = _shapes(layout, entries, chunks)
    # The order of the arrays is the library's: asked of it with empty ones.
    empty = safetensors.numpy.save({name: np.empty(0, np.dtype(dtype)) for name, (dtype, _) in shapes.items()})
    fields: dict[str, Any] = json.loads(empty[8 : 8 + int.from_bytes(empty[:8], "little")])
    with path.open("rb") as file:
        at = os.fstat(file.fileno()).st_size - sum(_nbytes(*shapes[name]) for name in fields)
        if at < 8:
            raise SegmentDamagedError(f"segment {path.name} is truncated")
        places: dict[str, ArrayPlace] = {}
        for name in fields:
            dtype, shape = shapes[name]
            places[name] = ArrayPlace(dtype, shape, at)
            at += _nbytes(dtype, shape)
        segment = Segment(path, file, layout, places)
    segment.damage = "its header is damaged"
    return segment


def _nbytes(dtype: str, shape: tuple[int, ...]) -> int:
    return math.prod(shape) * np.dtype(dtype).itemsize


def _shapes(layout: EntryLayout, entries: int, chunks: int) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Name -> dtype and shape of everything in a segment."""
    shapes: dict[str, tuple[str, tuple[int, ...]]] = {
        "entry.keys": ("uint8", (entries, KEY_BYTES)),
        "entry.chunks": ("uint32", (entries,)),
        "entry.tokens": ("uint32", (entries,)),
        "entry.checksums": ("uint64", (entries, len(parts_of(layout)))),
        CHUNK_ENDS: ("uint32", (chunks,)),
    }
    return shapes | {spec.name: (spec.dtype, (chunks, spec.width)) for spec in layout.tensors}


def _parse(header: bytes, size: int) -> tuple[EntryLayout, str, dict[str, ArrayPlace]]:
    """Layout, checksum of the index and places. Raises ValueError and its like when anything is not as written."""
    fields = json.loads(header[8:])
    about = json.loads(fields.pop("__metadata__")["codemem"])
    if about["format"] != FORMAT:
        raise ValueError(f"format {about['format']}")
    layout = layout_from_json(about["layout"])
    places: dict[str, ArrayPlace] = {}
    end = len(header)
    for name, field in sorted(fields.items(), key=lambda item: int(item[1]["data_offsets"][0])):
        dtype, shape = DTYPES[field["dtype"]], tuple(int(n) for n in field["shape"])
        start, stop = (len(header) + int(at) for at in field["data_offsets"])
        if start != end or stop - start != _nbytes(dtype, shape):
            raise ValueError(f"array {name} lies wrong")
        places[name] = ArrayPlace(dtype, shape, start)
        end = stop
    if end != size:
        raise ValueError(f"{size} bytes instead of {end}")
    expected = _shapes(layout, places["entry.keys"].shape[0], places[CHUNK_ENDS].shape[0])
    if {name: (place.dtype, place.shape) for name, place in places.items()} != expected:
        raise ValueError("arrays other than its layout's")
    return layout, str(about["index"]), places


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
