"""SwiGLU's product on a GPU: reads the joint projection once and writes the product.

Shapes: T rows, I inner width. Inference only.
"""

# mypy: disable-error-code="no-untyped-call"

import torch
import triton
import triton.language as tl
from torch import Tensor

from codemem.kernels.launch import launch_kernel

BLOCK = 2048


@triton.jit
def _gated_kernel(gate_up: tl.tensor, out: tl.tensor, stride: tl.tensor, I: tl.constexpr, BI: tl.constexpr) -> None:  # noqa: E741
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * BI + tl.arange(0, BI)
    inside = column < I
    gate = tl.load(gate_up + row * stride + column, mask=inside, other=0.0)
    up = tl.load(gate_up + row * stride + I + column, mask=inside, other=0.0)
    wide = gate.to(tl.float32)
    # Rounded between the two steps, as torch's two operations do.
    silu = (wide / (1.0 + tl.exp(-wide))).to(gate.dtype)
    product = silu.to(tl.float32) * up.to(tl.float32)
    tl.store(out + row * I + column, product.to(gate.dtype), mask=inside)


def gated(gate_up_TI: Tensor) -> Tensor:
    """silu(gate) * up of [T, 2 I]; [T, I] in the same dtype."""
    x = gate_up_TI if gate_up_TI.stride(-1) == 1 else gate_up_TI.contiguous()
    rows, inner = len(x), x.shape[1] // 2
    out = torch.empty(rows, inner, dtype=x.dtype, device=x.device)
    block = min(BLOCK, triton.next_power_of_2(inner))
    grid = (rows, triton.cdiv(inner, block))
    launch_kernel(_gated_kernel, grid, x, out, x.stride(0), I=inner, BI=block, num_warps=4)
    return out
