"""An entry: what the model keeps of one document."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One tensor of an entry: a row a chunk."""

    name: str
    """e.g. 'route.11' (routing key of layer 11), 'route_scale.11', 'k.14', 'v.14'."""
    dtype: str
    """numpy's name: 'int8', 'float16', 'uint16' (bfloat16's bits), 'float32'."""
    width: int
    """Numbers a row."""


@dataclass(frozen=True, slots=True)
class EntryLayout:
    """The storage format of a model's entries. Everything that changes an entry's bytes is in `fingerprint`."""

    fingerprint: str
    """Hex sha256 over base weights, adapter, layer range, numeric mode and storage format."""
    chunk_tokens: int
    tensors: tuple[TensorSpec, ...]

    @property
    def bytes_per_chunk(self) -> int:
        return sum(t.width * np.dtype(t.dtype).itemsize for t in self.tensors)

    def key(self, token_ids: Sequence[int] | npt.NDArray[np.uint32]) -> bytes:
        """32-byte key of the entry made from exactly these token ids (header included)."""
        ids = np.asarray(token_ids, dtype="<u4")
        return hashlib.sha256(bytes.fromhex(self.fingerprint) + ids.tobytes()).digest()


@dataclass(frozen=True, slots=True)
class TokenisedDocument:
    """A document as token ids, header included.

    `chunk_ends[c]` is where chunk c's text ends, in UTF-8 bytes of the document's text counted from its start
    (0 while a chunk still lies in the header). A character cut by a chunk border belongs to both.
    """

    ids: npt.NDArray[np.uint32]
    chunk_ends: npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Entry:
    """Encoded document. Every tensor has one row a chunk: shape [chunks, width]."""

    key: bytes
    tokens: int
    chunk_ends: npt.NDArray[np.uint32]
    tensors: Mapping[str, npt.NDArray[np.generic]]

    @property
    def chunks(self) -> int:
        return len(self.chunk_ends)
