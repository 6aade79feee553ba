"""Attention over memory and text with torch on any device, differentiable.

Shapes: T active tokens, H heads, G groups, D head_dim, M memory rows, S local rows.
"""

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

FEW_TOKENS = 8
"""Up to here the logits are small beside the cache, and copying the cache to join memory to it would cost more."""


def attend(
    q_THD: Tensor,
    memory_k_MGD: Tensor,
    memory_v_MGD: Tensor,
    local_k_SGD: Tensor,
    local_v_SGD: Tensor,
    *,
    causal: bool,
) -> Tensor:
    """[T, H, D] in q's dtype."""
    if not len(memory_k_MGD):
        return _attend_joined(q_THD, local_k_SGD, local_v_SGD, 0, causal)
    if len(q_THD) <= FEW_TOKENS:
        return _attend_apart(q_THD, memory_k_MGD, memory_v_MGD, local_k_SGD, local_v_SGD, causal=causal)
    keys = torch.cat((memory_k_MGD, local_k_SGD))
    values = torch.cat((memory_v_MGD, local_v_SGD))
    return _attend_joined(q_THD, keys, values, len(memory_k_MGD), causal)


def _visible(tokens: int, memory_rows: int, local_rows: int, device: torch.device) -> Tensor:
    """Boolean [T, M + S], True where token t sees the row."""
    seen = torch.ones(tokens, memory_rows + local_rows, dtype=torch.bool, device=device)
    return seen.tril_(memory_rows + local_rows - tokens)


def _attend_joined(q_THD: Tensor, keys: Tensor, values: Tensor, memory_rows: int, causal: bool) -> Tensor:
    """Memory rows come first in keys and values [M + S, G, D], so one lower triangle covers both."""
    tokens, rows = len(q_THD), len(keys)
    square = causal and tokens == rows
    masked = causal and tokens > 1 and not square
    mask = _visible(tokens, memory_rows, rows - memory_rows, q_THD.device) if masked else None
    q, k, v = (x.transpose(0, 1)[None] for x in (q_THD, keys, values))
    attended = scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=square, enable_gqa=True)
    return attended[0].transpose(0, 1)


def _attend_apart(
    q_THD: Tensor, memory_k: Tensor, memory_v: Tensor, local_k: Tensor, local_v: Tensor, *, causal: bool
) -> Tensor:
    """One softmax over the two parts' logits, in float32; the two caches stay where they are."""
    tokens, heads, head_dim = q_THD.shape
    groups, memory_rows = local_k.shape[1], len(memory_k)
    # [G, heads of a group x T, D]: one product a group serves all its heads.
    q = q_THD.reshape(tokens, groups, -1, head_dim).permute(1, 2, 0, 3).reshape(groups, -1, head_dim)
    parts = [(q @ k.permute(1, 2, 0)).float() for k in (memory_k, local_k)]
    logits = torch.cat(parts, -1).view(groups, heads // groups, tokens, -1) * head_dim**-0.5
    if causal and tokens > 1:
        logits = logits.masked_fill(~_visible(tokens, memory_rows, len(local_k), q.device), -torch.inf)
    weights = logits.softmax(-1).to(q.dtype).flatten(1, 2)
    attended = weights[..., :memory_rows] @ memory_v.transpose(0, 1)
    attended = attended + weights[..., memory_rows:] @ local_v.transpose(0, 1)
    out: Tensor = attended.view(groups, -1, tokens, head_dim).permute(2, 0, 1, 3).reshape(tokens, heads, head_dim)
    return out
