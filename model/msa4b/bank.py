"""Entries of the store as a memory that is asked, not changed: placed over GPU, host memory and disk.

Shapes: N documents, C chunks, G key heads, D head_dim, W = G x D.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import normalize

from codemem.kernels.gather import gather_pair, gather_rows, reads_directly
from codemem.kernels.route import RoutingKeys, quantise_keys
from codemem.model.memory import PooledLayer
from codemem.model.msa4b.checkpoint import Msa4bModel
from codemem.model.msa4b.memory import LayerEntries, Msa4bMemory
from codemem.model.msa4b.tokens import NumberedDocument
from codemem.model.pinned import PinnedBlocks
from codemem.model.store import LoadedEntries
from codemem.model.tiers import Budget, Limits, Placement, TieredRows, fetch_pair, place, quantised

_ROWS = ("k", "v")
_SCALE_BYTES = 2


class Msa4bBank(Msa4bMemory):
    """Documents in the order of their entries."""

    placement: Placement

    @classmethod
    def from_entries(
        cls, model: Msa4bModel, entries: LoadedEntries, numbers: Sequence[int], budget: Budget
    ) -> "Msa4bBank":
        """`numbers`: a document's number each. Entries may have been loaded without keys and values, to be ranked.

        Raises `OutOfMemory` if the routing keys do not fit the budget's share of the device.
        """
        bank = cls(model.config, model.fingerprint, device=model.device, dtype=model.dtype)
        nothing = np.zeros(0, dtype=np.uint32)
        spans = zip(entries.offsets.tolist(), entries.offsets[1:].tolist(), strict=False)
        bank.restore_documents(
            [
                NumberedDocument(number, nothing, np.asarray(entries.chunk_ends[start:end]))
                for number, (start, end) in zip(numbers, spans, strict=True)
            ],
            next_number=max(numbers, default=-1) + 1,
        )
        bank._place(entries, budget)
        return bank

    def _place(self, entries: LoadedEntries, budget: Budget) -> None:
        layers = self.config.memory.routed_layers
        groups, width = self.config.decoder.kv_heads, self.config.decoder.kv_heads * self.config.decoder.head_dim
        keys = {
            _name(self.dtype): self.chunks * width * self.dtype.itemsize * len(layers),
            "int8": self.chunks * (width + _SCALE_BYTES * groups) * len(layers),
        }
        parts = [f"{part}.{layer}" for layer in layers for part in _ROWS if f"{part}.{layer}" in entries.tensors]
        narrow = budget.row_format == "int8"
        row = width + _SCALE_BYTES * groups if narrow else width * 2
        rows = dict.fromkeys(parts, self.chunks * row)
        self.placement = place(keys, rows, Limits.of(budget, self.device))
        self._keys = {layer: self._routing_keys(entries.tensors[f"route.{layer}"]) for layer in layers}
        blocks = self.placement.blocks()
        self._rows = {part: self._tiered(entries, part, budget, blocks, narrow=narrow) for part in parts}

    def _routing_keys(self, bits: npt.NDArray[np.generic]) -> RoutingKeys:
        keys = from_bf16_bits(bits).to(self.device)
        groups = self.config.decoder.kv_heads
        if self.config.memory.cosine:
            keys = normalize(keys.float().view(len(keys), groups, -1), dim=-1).flatten(1)
        if self.placement.key_format == "int8":
            return quantise_keys(keys.float(), "int8", self.config.decoder.head_dim)
        return RoutingKeys(keys.to(self.dtype))

    def _tiered(
        self, entries: LoadedEntries, part: str, budget: Budget, blocks: PinnedBlocks | None, *, narrow: bool
    ) -> TieredRows:
        decoder = self.config.decoder
        # Rows that stay in their mapped file are viewed, all others copied: a mapping may be shared with others.
        stays = entries.mapped and self.placement.tiers[part] == "disk" and not narrow
        bits = entries.tensors[part]
        x = torch.from_numpy(bits).view(torch.bfloat16) if stays else from_bf16_bits(bits)
        x = x.view(-1, decoder.kv_heads, decoder.head_dim)
        values, scales = quantised(x) if narrow else (x, None)
        return TieredRows(
            values,
            scales,
            self.placement.tiers[part],
            device=self.device,
            dtype=self.dtype,
            spill=budget.spill,
            mapped=stays,
            blocks=blocks,
        )

    @property
    def attendable(self) -> bool:
        return len(self._rows) == len(_ROWS) * len(self._keys)

    @property
    def nbytes(self) -> int:
        return self.placement.key_bytes + sum(self.placement.sizes.values())

    def layer(self, layer: int) -> LayerEntries:
        """A bank's layers lie in several places."""
        raise ValueError("a bank is asked, not changed: its layers are in no one piece")

    def append(self, documents: Sequence[NumberedDocument], pooled: dict[int, PooledLayer]) -> None:
        raise ValueError("a bank is asked, not changed: add to the store")

    def remove(self, numbers: Sequence[int]) -> None:
        raise ValueError("a bank is asked, not changed: load the entries that are left")

    def routing_keys(self, layer: int) -> RoutingKeys:
        return self._keys[layer]

    def fetch(self, layer: int, documents: Tensor) -> tuple[Tensor, Tensor]:
        offsets = self.host_offsets
        spans = [(int(offsets[d]), int(offsets[d + 1])) for d in sorted(documents.tolist())]
        return fetch_pair(*self._pair(layer), spans)

    @cached_property
    def takes_rows(self) -> bool:
        return self.attendable and None not in self._takers.values()

    def take(self, layer: int, rows_M: Tensor) -> tuple[Tensor, Tensor]:
        k, v = self._pair(layer)
        if self._takers[layer] == "kernel":
            return gather_pair((k.values, k.scales), (v.values, v.scales), rows_M, self.dtype)
        return gather_rows(k.values, k.scales, rows_M, self.dtype), gather_rows(v.values, v.scales, rows_M, self.dtype)

    def _pair(self, layer: int) -> tuple[TieredRows, TieredRows]:
        return self._rows[f"k.{layer}"], self._rows[f"v.{layer}"]

    @cached_property
    def _takers(self) -> dict[int, Literal["kernel", "torch"] | None]:
        """By layer. Asked once: a recording must not try a kernel."""
        return {layer: self._taken_by(layer) for layer in self._keys}

    def _taken_by(self, layer: int) -> Literal["kernel", "torch"] | None:
        """What takes rows listed on the device from where they lie; None: the processor has to copy them."""
        k, v = self._pair(layer)
        in_reach = "disk" not in (k.tier, v.tier)
        # The rows' device, which has an index: a model's may be 'cuda' alone, which equals no tensor's device.
        if in_reach and reads_directly((k.values, k.scales), (v.values, v.scales), k.device, self.dtype):
            return "kernel"
        return "torch" if k.values.device == v.values.device == k.device else None


def bf16_bits(x: Tensor) -> npt.NDArray[np.uint16]:
    """Rounded to bf16, as its bits."""
    bits: npt.NDArray[np.uint16] = x.to(torch.bfloat16).contiguous().view(torch.uint16).cpu().numpy()
    return bits


def from_bf16_bits(bits: npt.NDArray[np.generic]) -> Tensor:
    """bf16, copied: entries may be mapped from a file."""
    return torch.from_numpy(np.array(bits, dtype=np.uint16)).view(torch.bfloat16)


def numbers_of(entries: LoadedEntries, tensor: str) -> list[int]:
    """A number a document, from the tensor of this name; -1 where it was not loaded or the entry is missing."""
    if tensor not in entries.tensors:
        return [-1] * len(entries.keys)
    numbers = np.ascontiguousarray(entries.tensors[tensor]).view("<u4")[:, 0]
    spans = zip(entries.offsets.tolist(), entries.offsets[1:].tolist(), strict=False)
    return [int(numbers[start]) if start < end else -1 for start, end in spans]


def _name(dtype: torch.dtype) -> str:
    return {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}[dtype]
