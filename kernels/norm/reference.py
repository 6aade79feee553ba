"""Residual addition and RMS normalisation in float64."""

import torch
from torch import Tensor


def add_norm(x_TE: Tensor, added_TE: Tensor | None, weight_E: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """The sum, rounded to x's dtype, and that sum normalised, [T, E] each; the second is float64."""
    total = x_TE if added_TE is None else (x_TE.double() + added_TE.double()).to(x_TE.dtype)
    wide = total.double()
    return total, wide / torch.sqrt((wide * wide).mean(-1, keepdim=True) + eps) * weight_E.double()
