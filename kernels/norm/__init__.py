"""Residual addition and RMS normalisation in one pass (README.md has the maths).

Shapes: T tokens, E width of the residual stream.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from codemem.kernels.serving import serves, wants_kernel

__all__ = ["add_norm"]


def add_norm(x_TE: Tensor, added_TE: Tensor | None, weight_E: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """x + added (x itself if None) and its RMS normalisation (arXiv:1910.07467), [T, E] each.

    The sum is rounded to x's dtype, the normalisation computed in float32 and rounded once. Differentiable: a GPU's
    Triton kernel, which has no gradient, serves 16-bit inference, torch all else.
    """
    if added_TE is not None and added_TE.shape != x_TE.shape:
        raise ValueError(f"{tuple(added_TE.shape)} cannot be added to {tuple(x_TE.shape)}")
    if wants_kernel(x_TE, added_TE, weight_E) and _serves(x_TE, weight_E, eps):
        from codemem.kernels.norm import triton

        return triton.add_norm(x_TE, added_TE, weight_E, eps)
    return _torch(x_TE, added_TE, weight_E, eps)


def _torch(x: Tensor, added: Tensor | None, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    total = x if added is None else x + added
    return total, F.rms_norm(total, (total.shape[-1],), weight, eps)


def _serves(x: Tensor, weight: Tensor, eps: float) -> bool:
    def trial() -> tuple[Tensor, Tensor]:
        from codemem.kernels.norm import triton

        a, b = torch.randn(2, 3, x.shape[-1], device=x.device, dtype=x.dtype)
        found = (*triton.add_norm(a, b, weight, eps), *triton.add_norm(a, None, weight, eps))
        return torch.cat(found), torch.cat((*_torch(a, b, weight, eps), *_torch(a, None, weight, eps)))

    return serves("norm", (x.shape[-1], x.dtype, weight.dtype, x.device), trial)
