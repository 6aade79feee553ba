"""One token's matrix products in float64."""

import torch
from torch import Tensor


def gemv(
    x_1K: Tensor,
    weight_NK: Tensor,
    bias_N: Tensor | None = None,
    *,
    norm: tuple[Tensor, float] | None = None,
    gated: bool = False,
    residual_1N: Tensor | None = None,
) -> Tensor:
    """[1, N] float64, N halved if `gated`."""
    x = x_1K.double()
    if norm is not None:
        x = x / torch.sqrt((x * x).mean(-1, keepdim=True) + norm[1]) * norm[0].double()
    y = x @ weight_NK.double().T
    if bias_N is not None:
        y = y + bias_N.double()
    if gated:
        gate, up = y.chunk(2, -1)
        y = gate * torch.sigmoid(gate) * up
    return y if residual_1N is None else residual_1N.double() + y
