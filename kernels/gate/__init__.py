"""SwiGLU's product from one joint projection (README.md has the maths).

Shapes: T tokens, I inner width.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from codemem.kernels.serving import serves, wants_kernel

__all__ = ["gated"]


def gated(gate_up_TI: Tensor) -> Tensor:
    """silu(gate) * up of [T, 2 I], gate first; [T, I] (arXiv:2002.05202).

    Differentiable: a GPU's Triton kernel, which has no gradient, serves 16-bit inference, torch all else.
    """
    if wants_kernel(gate_up_TI) and _serves(gate_up_TI):
        from codemem.kernels.gate import triton

        return triton.gated(gate_up_TI)
    return _torch(gate_up_TI)


def _torch(gate_up: Tensor) -> Tensor:
    gate, up = gate_up.chunk(2, dim=-1)
    return F.silu(gate) * up if torch.is_grad_enabled() else F.silu(gate).mul_(up)


def _serves(like: Tensor) -> bool:
    def trial() -> tuple[Tensor, Tensor]:
        from codemem.kernels.gate import triton

        x = torch.randn(3, like.shape[-1], device=like.device, dtype=like.dtype)
        return triton.gated(x), _torch(x)

    return serves("gate", (like.shape[-1], like.dtype, like.device), trial)
