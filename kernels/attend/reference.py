"""Attention over memory and text as one masked softmax, in float64."""

import torch
from torch import Tensor


def attend(
    q_THD: Tensor,
    memory_k_MGD: Tensor,
    memory_v_MGD: Tensor,
    local_k_SGD: Tensor,
    local_v_SGD: Tensor,
    *,
    causal: bool = True,
) -> Tensor:
    """[T, H, D]: token t sees every memory row and, if causal, the local rows s <= S - T + t."""
    tokens, heads, head_dim = q_THD.shape
    rows = len(local_k_SGD)
    keys = torch.cat((memory_k_MGD, local_k_SGD)).double()
    values = torch.cat((memory_v_MGD, local_v_SGD)).double()
    group_of_head = torch.arange(heads, device=q_THD.device) // (heads // keys.shape[1])
    logits = torch.einsum("thd,shd->hts", q_THD.double(), keys[:, group_of_head]) * head_dim**-0.5
    if causal:
        place = torch.arange(-len(memory_k_MGD), rows, device=q_THD.device)
        hidden = place > rows - tokens + torch.arange(tokens, device=q_THD.device)[:, None]
        logits = logits.masked_fill(hidden, -torch.inf)
    return torch.einsum("hts,shd->thd", logits.softmax(-1), values[:, group_of_head])
