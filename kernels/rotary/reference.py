"""Normalisation of heads and rotary position embedding in float64."""

import torch
from torch import Tensor


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
    """Queries [T, H, D], keys [T, G, D] and values [T, G, D], float64."""
    head_dim = qkv_TW.shape[1] // (heads + 2 * kv_heads)
    q, k, v = qkv_TW.double().view(len(qkv_TW), -1, head_dim).split((heads, kv_heads, kv_heads), 1)  # type: ignore[no-untyped-call]
    cos, sin = cos_T1D.double(), sin_T1D.double()
    turned = []
    for heads_, weight in ((q, q_norm_D), (k, k_norm_D)):
        x = heads_
        if weight is not None:
            x = x / torch.sqrt((x * x).mean(-1, keepdim=True) + eps) * weight.double()
        half = head_dim // 2
        pair = torch.cat((-x[..., half:], x[..., :half]), -1)
        turned.append(x * cos + pair * sin)
    return turned[0], turned[1], v
