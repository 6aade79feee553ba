"""Where a bank's parts lie: routing keys on the device, keys and values there too, in host memory, or on disk.

The device is the GPU, or the processor standing for one: the same code then runs with the same budgets. A kernel takes
rows from the device or from pinned host memory by itself (`kernels/gather`); from mapped files, or where it does not
serve, they are copied on a stream of their own.

Shapes: C chunks, G key heads, D head_dim, M rows fetched.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from codemem.kernels.gather import gather_pair, reads_directly
from codemem.kernels.route.keys import quantise_groups
from codemem.model.ahead import begin_copy
from codemem.model.errors import OutOfMemory
from codemem.model.pinned import PinnedBlocks, give_back_unused, taken

Tier = Literal["device", "host", "disk"]
TIERS: tuple[Tier, ...] = ("device", "host", "disk")
SPARE_DEVICE_BYTES = 2 << 30
"""Of a GPU, for activations and text, unless a budget says how much the bank may take."""
HOST_SHARE = 0.7
"""Of the host memory that is free, likewise."""

STAGED_BYTES = 32 << 10
"""Pieces smaller than this on average are joined before they are copied to a GPU: a copy takes the processor some 5 µs,
in which it moves about that much itself."""

Spans = Sequence[tuple[int, int]]
"""First and last chunk (exclusive) of each document, in order."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How much a bank may take, in bytes; None: what is free."""

    device_bytes: int | None = None
    host_bytes: int | None = None
    spill: Path | None = None
    """Folder for what fits neither; None: the system's for temporary files."""
    row_format: Literal["stored", "int8"] = "stored"
    """Keys and values of bf16 entries as they are stored, or in 8 bits with a scale a group: half the bytes."""

    def __post_init__(self) -> None:
        if any(size is not None and size < 0 for size in (self.device_bytes, self.host_bytes)):
            raise ValueError("a budget cannot be negative")


@dataclass(frozen=True, slots=True)
class Limits:
    """A budget against a machine: bytes that may be taken; None: no limit."""

    device: int | None
    host: int | None
    pinned: bool = False
    """Rows in host memory are pinned for a GPU, and take whole blocks of it (`model/pinned.py`)."""

    @classmethod
    def of(cls, budget: Budget, device: torch.device) -> "Limits":
        if device.type == "cuda":
            give_back_unused(device)
            free = max(0, torch.cuda.mem_get_info(device)[0] - SPARE_DEVICE_BYTES)
            most: int | None = free if budget.device_bytes is None else min(free, budget.device_bytes)
        else:
            most = budget.device_bytes
        host = budget.host_bytes
        if host is None and (device.type == "cuda" or budget.device_bytes is not None):
            available = available_host_bytes()
            host = None if available is None else int(HOST_SHARE * available)
        return cls(most, host, pinned=device.type == "cuda")


@dataclass(slots=True)
class Placement:
    """What lies where; what a bank reports."""

    key_format: str
    key_bytes: int
    """On the device, all layers."""
    tiers: dict[str, Tier] = field(default_factory=dict)
    """Part and layer, as 'k.11', to the tier of its rows."""
    sizes: dict[str, int] = field(default_factory=dict)
    pinned: bool = False
    """Whether rows in host memory take whole pinned blocks."""

    def in_tier(self, tier: Tier) -> list[int]:
        """Bytes of each part and layer there."""
        return [size for name, size in self.sizes.items() if self.tiers[name] == tier]

    def row_bytes(self, tier: Tier) -> int:
        return sum(self.in_tier(tier))

    @property
    def host_bytes(self) -> int:
        """What rows in host memory take of it."""
        return host_bytes(self.in_tier("host"), pinned=self.pinned)

    def blocks(self) -> PinnedBlocks | None:
        """Where rows in host memory are to be copied to; None: they stay where they are."""
        return PinnedBlocks(self.in_tier("host")) if self.pinned else None

    def as_json(self) -> dict[str, Any]:
        rows = {tier: self.row_bytes(tier) for tier in TIERS}
        return {
            "key_format": self.key_format,
            "device_bytes": self.key_bytes + rows["device"],
            "host_bytes": self.host_bytes,
            "disk_bytes": rows["disk"],
            "layers_by_tier": {t: sorted({_layer(n) for n, at in self.tiers.items() if at == t}) for t in TIERS},
        }

    def words(self) -> str:
        """'1.2 GB on the device (int8 keys), 3.4 GB in host memory, 0.0 GB on disk'."""
        sizes = self.as_json()
        device, host, disk = (f"{sizes[name] / 1e9:.2f} GB" for name in ("device_bytes", "host_bytes", "disk_bytes"))
        return f"{device} on the device ({self.key_format} keys), {host} in host memory, {disk} on disk"


def _layer(name: str) -> int:
    return int(name.partition(".")[2])


def host_bytes(sizes: Sequence[int], *, pinned: bool) -> int:
    return taken(sizes) if pinned else sum(sizes)


def place(
    key_bytes: Mapping[str, int], rows: Mapping[str, int], limits: Limits, *, prefer: Sequence[str] | None = None
) -> Placement:
    """Decides the tiers. `key_bytes`: format -> bytes of all routing keys in it, the best format first.

    `rows`: part and layer -> bytes; those named in `prefer` (by default all, in order) come to the device first.
    Routing keys must be on the device; a narrower format is taken if the best does not fit. Raises `OutOfMemory`.
    """
    fitting = [name for name, size in key_bytes.items() if limits.device is None or size <= limits.device]
    if not fitting:
        narrowest = min(key_bytes, key=lambda name: key_bytes[name])
        raise OutOfMemory(
            f"the routing keys take {key_bytes[narrowest] / 1e9:.2f} GB ({narrowest}) and the bank may take "
            f"{(limits.device or 0) / 1e9:.2f} GB of the device: raise --gpu-memory, index less, or use several GPUs "
            "(torchrun)"
        )
    placement = Placement(fitting[0], key_bytes[fitting[0]], pinned=limits.pinned)
    on_device = placement.key_bytes
    for name in rows if prefer is None else prefer:
        size, in_host = rows[name], placement.in_tier("host")
        tier: Tier = "disk"
        if limits.device is None or on_device + size <= limits.device:
            tier, on_device = "device", on_device + size
        elif limits.host is None or host_bytes([*in_host, size], pinned=limits.pinned) <= limits.host:
            tier = "host"
        placement.tiers[name], placement.sizes[name] = tier, size
    return placement


class TieredRows:
    """Rows of one part and layer in their tier: values [C, G, D], with a float16 scale a group [C, G] for int8."""

    def __init__(
        self,
        values: Tensor,
        scales: Tensor | None,
        tier: Tier,
        *,
        device: torch.device,
        dtype: torch.dtype,
        spill: Path | None = None,
        mapped: bool = False,
        blocks: PinnedBlocks | None = None,
    ) -> None:
        """`mapped`: the tensors lie in a file already, and stay there in the disk tier. `dtype`: of what is fetched.
        `blocks`: for rows in host memory beside a GPU, where many share them; None: blocks of their own."""
        # With its index, as tensors there have it: 'cuda' alone equals no tensor's device.
        self.device = torch.empty(0, device=device).device
        self.tier, self.dtype = tier, dtype
        parts = (values,) if scales is None else (values, scales)
        if tier == "host" and self.device.type == "cuda":
            placed = (blocks or PinnedBlocks([sum(x.nbytes for x in parts)])).hold(parts)
        else:
            placed = [_settle(x, tier, device, spill, mapped=mapped) for x in parts]
        self.values, self.scales = placed[0], placed[1] if scales is not None else None

    def fetch(self, spans: Spans) -> Tensor:
        """[M, G, D] on the device: the rows of these spans, one after another.

        On a GPU the copies run on another stream; the caller's stream waits for them, the processor does not.
        """
        values = self._bring(self.values, spans)
        if self.scales is None:
            return values.to(self.dtype)
        scaled: Tensor = values.to(self.dtype) * self._bring(self.scales, spans).to(self.dtype)[..., None]
        return scaled

    def _bring(self, rows: Tensor, spans: Spans) -> Tensor:
        pieces = [rows[start:end] for start, end in spans]
        if not pieces:
            return torch.empty((0, *rows.shape[1:]), dtype=rows.dtype, device=self.device)
        if rows.device == self.device:
            return torch.cat(pieces)
        return self._copy(pieces)

    def _copy(self, pieces: Sequence[Tensor]) -> Tensor:
        """From host memory or a mapped file to a GPU."""
        count = sum(len(piece) for piece in pieces)
        stream = _copy_stream(self.device)
        with torch.cuda.stream(stream):
            target = torch.empty((count, *pieces[0].shape[1:]), dtype=pieces[0].dtype, device=self.device)
            # A mapped page cannot be copied from asynchronously, and many small copies cost more than joining them.
            if self.tier == "disk" or target.nbytes < STAGED_BYTES * len(pieces):
                staging = torch.empty(target.shape, dtype=target.dtype, pin_memory=True)
                pieces = [torch.cat(list(pieces), out=staging)]
            start = 0
            for piece in pieces:
                target[start : start + len(piece)].copy_(piece, non_blocking=True)
                start += len(piece)
        current = torch.cuda.current_stream(self.device)
        current.wait_stream(stream)
        target.record_stream(current)
        return target


def fetch_pair(keys: TieredRows, values: TieredRows, spans: Spans) -> tuple[Tensor, Tensor]:
    """What both would fetch, [M, G, D] each: by one kernel where both lie in its reach, else one after the other."""
    k, v = (keys.values, keys.scales), (values.values, values.scales)
    in_reach = "disk" not in (keys.tier, values.tier) and keys.dtype == values.dtype
    if in_reach and spans and reads_directly(k, v, keys.device, keys.dtype):
        rows = torch.from_numpy(np.concatenate([np.arange(start, end) for start, end in spans]))
        return gather_pair(k, v, begin_copy(rows, keys.device), keys.dtype)
    return keys.fetch(spans), values.fetch(spans)


_streams: dict[torch.device, torch.cuda.Stream] = {}


def _copy_stream(device: torch.device) -> torch.cuda.Stream:
    if device not in _streams:
        _streams[device] = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    return _streams[device]


def _settle(x: Tensor, tier: Tier, device: torch.device, spill: Path | None, *, mapped: bool) -> Tensor:
    """The tensor in its tier."""
    if tier == "device":
        try:
            return x.to(device)
        except torch.OutOfMemoryError as error:
            raise OutOfMemory(
                f"the device has no room for {x.nbytes / 1e9:.2f} GB more of the bank: lower --gpu-memory, so that "
                "rows lie in host memory, or use several GPUs (torchrun)"
            ) from error
    return _spilled(x, spill) if tier == "disk" and not mapped else x


def _spilled(x: Tensor, folder: Path | None) -> Tensor:
    """A copy in a mapped file that is gone when the tensor is. Raises `OutOfMemory` if the disk has no room either."""
    x = x.contiguous()
    if not x.numel():
        return x
    try:
        with tempfile.NamedTemporaryFile(prefix="codemem-bank-", dir=folder) as file:
            file.write(x.view(torch.uint8).flatten().numpy().data)
            file.flush()
            mapped = torch.from_file(file.name, shared=True, size=x.numel(), dtype=x.dtype)
    except OSError as error:
        raise OutOfMemory(
            f"the bank fits neither the memory it may take nor the disk ({error.strerror}): "
            "raise --host-memory, or make room"
        ) from error
    return mapped.view(x.shape)


def quantised(x_CGD: Tensor) -> tuple[Tensor, Tensor]:
    """int8 values and float16 scales of rows; half the bytes of bf16."""
    return quantise_groups(x_CGD.float(), "int8")


def available_host_bytes() -> int | None:
    """Host memory that can be taken without swapping; None where the system does not tell."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None
