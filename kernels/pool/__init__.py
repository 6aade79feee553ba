"""Pooling: packed documents to one row a chunk (README.md has the maths).

Shapes: L tokens of all documents, G groups, D head_dim, C chunks, N documents.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

from codemem.kernels.pool import cpu
from codemem.kernels.pool.chunks import chunk_table
from codemem.kernels.route.keys import DTYPES, RoutingKeys, quantise_groups

__all__ = ["Pooled", "PooledEntries", "chunk_table", "pool_chunks", "pool_entries"]

PoolFormat = Literal["fp32", "bf16", "fp16", "int8"]


@dataclass(frozen=True, slots=True)
class Pooled:
    """One row a chunk: row[c, g, d] = values[c, g, d] * scales[c, g]."""

    values: Tensor
    """[C, G, D] in the format asked for."""
    scales: Tensor | None = None
    """[C, G] float16 for int8, else None."""

    def dequantise(self) -> Tensor:
        """[C, G, D] float32."""
        values = self.values.float()
        return values if self.scales is None else values * self.scales.float()[..., None]

    def as_routing_keys(self) -> RoutingKeys:
        """The same memory as keys [C, G * D], a scale a group."""
        return RoutingKeys(self.values.flatten(1), self.scales)


@dataclass(frozen=True, slots=True)
class PooledEntries:
    """What one routed layer keeps of packed documents."""

    keys: Pooled
    values: Pooled
    routing: Pooled
    chunk_offsets: Tensor
    """int64 [N + 1] on the CPU: document n owns rows chunk_offsets[n] : chunk_offsets[n + 1]."""


def pool_chunks(x: Tensor, lengths: Tensor | Sequence[int], chunk_tokens: int = 64) -> Tensor:
    """Means [C, ...] float32 over each chunk of the packed documents x [L, ...]; short chunks by their true length.

    The bits of a document's rows do not depend on what it is packed with, in which order, or on the thread count.
    Differentiable on every device.
    """
    first, count, _ = _table(x, lengths, chunk_tokens)
    if x.device.type == "cuda" and x.dim() == 3 and not (torch.is_grad_enabled() and x.requires_grad):
        return _pool(x, first, count, chunk_tokens, normalise=False, format="fp32").values
    return cpu.pool_chunks(x, first, count, chunk_tokens)


def pool_entries(
    keys_LGD: Tensor,
    values_LGD: Tensor,
    routing_LGD: Tensor,
    lengths: Tensor | Sequence[int],
    *,
    chunk_tokens: int = 64,
    normalise: bool,
    format: PoolFormat = "fp32",
) -> PooledEntries:
    """Keys (after RoPE), values and routing keys of packed documents, pooled and rounded to a format.

    `normalise`: each group of a pooled routing key is divided by its length, after pooling. `format="int8"` has one
    float16 scale a chunk and group. Inference only.
    """
    if not len(keys_LGD) == len(values_LGD) == len(routing_LGD):
        raise ValueError(f"{len(keys_LGD)} keys, {len(values_LGD)} values and {len(routing_LGD)} routing keys")
    if format not in ("fp32", "bf16", "fp16", "int8"):
        raise ValueError(f"unknown format {format!r}: fp32, bf16, fp16 or int8")
    with torch.no_grad():
        first, count, offsets = _table(keys_LGD, lengths, chunk_tokens)
        keys, values, routing = (
            _pool(x, first, count, chunk_tokens, normalise=cosine, format=format)
            for x, cosine in ((keys_LGD, False), (values_LGD, False), (routing_LGD, normalise))
        )
        return PooledEntries(keys, values, routing, offsets)


def _table(x: Tensor, lengths: Tensor | Sequence[int], chunk_tokens: int) -> tuple[Tensor, Tensor, Tensor]:
    if isinstance(lengths, Tensor) or not torch.is_inference_mode_enabled():
        return _checked_table(x, *_table_on(lengths, chunk_tokens, x.device))
    return _checked_table(x, *_kept_table(tuple(lengths), chunk_tokens, x.device))


def _checked_table(
    x: Tensor, first: Tensor, count: Tensor, offsets: Tensor, rows: int
) -> tuple[Tensor, Tensor, Tensor]:
    if rows != len(x):
        raise ValueError(f"documents of {rows} tokens in all do not fill {len(x)} rows")
    return first, count, offsets


def _table_on(
    lengths: Tensor | Sequence[int], chunk_tokens: int, device: torch.device
) -> tuple[Tensor, Tensor, Tensor, int]:
    first, count, offsets = chunk_table(lengths, chunk_tokens)
    # From pageable memory: the host may go on once the copy is staged, and need not wait for what the GPU is doing.
    later = device.type == "cuda"
    return first.to(device, non_blocking=later), count.to(device, non_blocking=later), offsets, int(count.sum())


@lru_cache(maxsize=4)
def _kept_table(
    lengths: tuple[int, ...], chunk_tokens: int, device: torch.device
) -> tuple[Tensor, Tensor, Tensor, int]:
    """All layers of a pack ask with the same lengths, three times each. In inference mode
    alone: what is made there can serve no gradient."""
    return _table_on(lengths, chunk_tokens, device)


def _pool(
    x_LGD: Tensor, first: Tensor, count: Tensor, chunk_tokens: int, *, normalise: bool, format: PoolFormat
) -> Pooled:
    """Means, normalised and rounded: in one kernel on a GPU, one after another elsewhere."""
    if x_LGD.device.type == "cuda":
        from codemem.kernels.pool import triton

        return Pooled(*triton.pool_groups(x_LGD, first, count, chunk_tokens, normalise=normalise, format=format))
    x = cpu.pool_chunks(x_LGD, first, count, chunk_tokens)
    x = normalize(x, dim=-1) if normalise else x
    return Pooled(*quantise_groups(x, format)) if format == "int8" else Pooled(x.to(DTYPES[format]))
