"""SwiGLU's product in float64."""

import torch
from torch import Tensor


def gated(gate_up_TI: Tensor) -> Tensor:
    """silu(gate) * up of [T, 2 I], gate first; [T, I] float64."""
    gate, up = gate_up_TI.double().chunk(2, -1)
    return gate * torch.sigmoid(gate) * up
