"""Rows of pooled keys and values, gathered from the GPU's memory or from pinned host memory (README.md has the maths).

Shapes: C chunks, M rows, G groups, D head_dim.
"""

import torch
from torch import Tensor

from codemem.kernels.gather.reference import gather_rows
from codemem.kernels.serving import SIXTEEN_BITS, serves

__all__ = ["Stored", "gather_pair", "gather_rows", "reads_directly"]

Stored = tuple[Tensor, Tensor | None]
"""Values [C, G, D], and for int8 their scales [C, G] float16, in the same memory."""


def reads_directly(k: Stored, v: Stored, device: torch.device, dtype: torch.dtype) -> bool:
    """Whether the kernel serves: both parts lie on this GPU or pinned in host memory, and 16 bits are asked for."""
    if device.type != "cuda" or dtype not in SIXTEEN_BITS:
        return False
    tensors = [x for x in (*k, *v) if x is not None]
    if not all(
        (x.device == device or (x.device.type == "cpu" and x.is_pinned())) and x.is_contiguous() for x in tensors
    ):
        return False
    widths = (*k[0].shape[1:], *(_kind(part) for part in (k, v)), dtype, device)
    return serves("gather", widths, lambda: _trial(k, v, device, dtype))


def gather_pair(k: Stored, v: Stored, rows_M: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Keys and values [M, G, D] in `dtype` on the GPU of `rows_M` (int64). Ask `reads_directly` first."""
    from codemem.kernels.gather import triton

    return triton.gather_pair(k, v, rows_M, dtype)


def _kind(part: Stored) -> tuple[torch.dtype, bool, str]:
    return part[0].dtype, part[1] is not None, part[0].device.type


def _trial(k: Stored, v: Stored, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """A few rows that lie as those asked for."""
    parts = [_like(part) for part in (k, v)]
    rows = torch.tensor([2, 0, 3], device=device)
    found = torch.cat(gather_pair(parts[0], parts[1], rows, dtype))
    return found, torch.cat([gather_rows(*part, rows, dtype).to(device) for part in parts])


def _like(part: Stored) -> Stored:
    values, scales = part
    some = torch.randint(-127, 128, (5, *values.shape[1:])).to(values.dtype)
    factors = None if scales is None else torch.rand(5, scales.shape[1]).half()
    # Without the first row: rows may begin within a block that others share.
    if values.device.type == "cpu":
        return some.pin_memory()[1:], None if factors is None else factors.pin_memory()[1:]
    return some.to(values.device)[1:], None if factors is None else factors.to(values.device)[1:]
