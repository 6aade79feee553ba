"""What the store takes and gives back: options, events, loaded entries, statistics and the report of a check."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]
Uint64s = npt.NDArray[np.uint64]
Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """How a store buffers, waits and checks. The defaults suit a laptop and a server alike."""

    segment_bytes: int = 64 << 20
    """A buffer of this many tensor bytes is written as a segment; also the size that compaction aims at."""
    segment_entries: int = 4096
    """A buffer of this many entries is written as a segment."""
    segment_seconds: float = 60.0
    """The next append after the buffer's first entry is this old writes a segment: the most work a kill can cost."""
    lock_timeout_s: float = 60.0
    """Seconds to wait for another process that writes, compacts or cleans, before giving up."""
    stamp_interval_s: float = 3600.0
    """An entry used again within this many seconds is not stamped again, so that reading seldom writes."""
    check_finite: bool = True
    """Refuse entries whose float tensors (bfloat16 bits in uint16 included) hold NaN or infinity."""
    small_segments: int = 32
    """So many segments below an eighth of `segment_bytes` are merged into larger ones."""

    def __post_init__(self) -> None:
        if self.segment_bytes <= 0 or self.segment_entries <= 0:
            raise ValueError("segment_bytes and segment_entries must be positive")
        if self.segment_seconds < 0 or self.lock_timeout_s < 0 or self.stamp_interval_s < 0:
            raise ValueError("times must not be negative")
        if self.small_segments < 2:
            raise ValueError("small_segments must be at least 2: fewer cannot be merged")


EventKind = Literal["rebuilt", "adopted", "removed", "corrupt", "evicted", "compacted", "cleaned"]


@dataclass(frozen=True, slots=True)
class StoreEvent:
    """Something the store did by itself, for a log line or a progress display."""

    kind: EventKind
    message: str
    keys: tuple[bytes, ...] = ()
    """The entries concerned, where there are any to name."""


@dataclass(frozen=True, slots=True)
class LoadedEntries:
    """Entries in the order asked for, each tensor as one array over all their chunks.

    The rows of `keys[i]` are `offsets[i]:offsets[i + 1]`; a missing entry has none. Arrays may be private mappings of
    segment files (`mapped`): read them, or copy before writing, for a written page becomes memory of this process.
    """

    keys: tuple[bytes, ...]
    offsets: Int64s
    """[len(keys) + 1], in chunks."""
    tokens: npt.NDArray[np.uint32]
    """[len(keys)], 0 for a missing entry."""
    chunk_ends: npt.NDArray[np.uint32]
    """[chunks], as in `Entry`."""
    tensors: Mapping[str, Array]
    """Name -> [chunks, width]."""
    missing: tuple[bytes, ...]
    """Keys not in the store, corrupt ones included, each once, in the order asked for."""
    corrupt: tuple[bytes, ...]
    """Those of `missing` that were there and failed their checksum now. They are dropped already: encode them again."""
    mapped: bool
    """Whether the tensors are mapped from one segment instead of copied."""

    @property
    def chunks(self) -> int:
        return int(self.offsets[-1])


@dataclass(frozen=True, slots=True)
class LayoutStats:
    """What the store holds of one layout."""

    fingerprint: str
    entries: int
    chunks: int
    tokens: int
    bytes: int
    """Live bytes of tensors and chunk ends, without dead rows and indexes."""
    parts: Mapping[str, int]
    """Live bytes by part: a tensor's name up to its first dot, and 'chunk_ends'."""


@dataclass(frozen=True, slots=True)
class StoreStats:
    """What lies on the disk."""

    bytes: int
    """All files of the store: segments (dead rows included) and catalogue."""
    segments: int
    entries: int
    chunks: int
    tokens: int
    layouts: tuple[LayoutStats, ...]


@dataclass(frozen=True, slots=True)
class CleanReport:
    """What `clean` removed."""

    entries: int
    bytes: int
    """Of segment files."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that `verify` found."""

    where: str
    """'catalogue' or a segment's file name."""
    message: str
    keys: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """Result of `Store.verify`. With `repaired`, what was found bad is dropped or rebuilt already."""

    entries: int
    segments: int
    bytes_read: int
    problems: tuple[Problem, ...] = field(default_factory=tuple)
    repaired: bool = False

    @property
    def ok(self) -> bool:
        return not self.problems
