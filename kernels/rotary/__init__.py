"""Queries and keys of a joint projection: normalised by head if asked for, and rotated (README.md has the maths).

Shapes: T tokens, H query heads, G key heads, D head_dim, W = (H + 2 G) D.
"""

# ruff: noqa: PLR0917 - the same arguments go to either side

import torch
from torch import Tensor
from torch.nn import functional as F

from codemem.kernels.serving import serves, wants_kernel

__all__ = ["rotate", "rotate_heads"]

_Heads = tuple[int, int, Tensor | None, Tensor | None, float]
"""Query heads, key heads, weights of their normalisation, eps."""


def rotate_heads(
    qkv_TW: Tensor,
    cos_T1D: Tensor,
    sin_T1D: Tensor,
    *,
    heads: int,
    kv_heads: int,
    q_norm_D: Tensor | None = None,
    k_norm_D: Tensor | None = None,
    eps: float = 0.0,
) -> tuple[Tensor, Tensor, Tensor]:
    """Rotated queries [T, H, D] and keys [T, G, D], values [T, G, D] of [T, W]: queries, keys, values side by side.

    With weights given, each head of q and k is first RMS-normalised. Consumes `qkv_TW`: the three may be views of it,
    and q and k written over what they came from. Differentiable: a GPU's Triton kernel, which has no gradient, serves
    16-bit inference, torch all else.
    """
    if (q_norm_D is None) != (k_norm_D is None):
        raise ValueError("queries and keys are normalised both or neither")
    options: _Heads = (heads, kv_heads, q_norm_D, k_norm_D, eps)
    wanted = wants_kernel(qkv_TW, cos_T1D, sin_T1D, q_norm_D, k_norm_D) and qkv_TW.stride(-1) == 1
    if wanted and _serves(qkv_TW, cos_T1D, options):
        from codemem.kernels.rotary import triton

        return triton.rotate_heads(qkv_TW, cos_T1D, sin_T1D, *options)
    return _torch(qkv_TW, cos_T1D, sin_T1D, *options)


def rotate(x_THD: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Applies RoPE in the half-split convention (arXiv:2104.09864) to [T, heads, D]."""
    first, second = x_THD.chunk(2, dim=-1)
    return x_THD * cos + torch.cat((-second, first), dim=-1) * sin


def _torch(
    qkv: Tensor,
    cos: Tensor,
    sin: Tensor,
    heads: int,
    kv_heads: int,
    q_norm: Tensor | None,
    k_norm: Tensor | None,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    by_head = qkv.view(len(qkv), heads + 2 * kv_heads, qkv.shape[-1] // (heads + 2 * kv_heads))
    q, k, v = by_head.split((heads, kv_heads, kv_heads), dim=1)  # type: ignore[no-untyped-call]
    if q_norm is not None and k_norm is not None:
        q, k = (F.rms_norm(x, (x.shape[-1],), weight, eps) for x, weight in ((q, q_norm), (k, k_norm)))
    return rotate(q, cos, sin), rotate(k, cos, sin), v


def _serves(like: Tensor, table: Tensor, options: _Heads) -> bool:
    heads, kv_heads, weight, _, _ = options

    def trial() -> tuple[Tensor, Tensor]:
        from codemem.kernels.rotary import triton

        x = torch.randn(3, like.shape[-1], device=like.device, dtype=like.dtype)
        angle = torch.randn(3, 1, table.shape[-1] // 2, device=like.device)
        angle = torch.cat((angle, angle), -1)
        cos, sin = angle.cos().to(table.dtype), angle.sin().to(table.dtype)
        expected = torch.cat(_torch(x, cos, sin, *options), 1)
        return torch.cat(triton.rotate_heads(x, cos, sin, *options), 1), expected

    widths = (heads, kv_heads, like.shape[-1], weight is not None, like.dtype, table.dtype, like.device)
    return serves("rotary", widths, trial)
