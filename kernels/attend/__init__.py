"""Attention of active tokens over routed memory and the text so far (README.md has the maths).

Shapes: T active tokens, H query heads, G key heads, D head_dim, M memory rows, S local rows (the active tokens last).
"""

import torch
from torch import Tensor

from codemem.kernels.attend import cpu

__all__ = ["attend"]

TENSOR_CORE_DTYPES = (torch.float16, torch.bfloat16)
"""What the Triton kernel is for; float32 gains nothing from it."""


def attend(
    q_THD: Tensor,
    memory_k_MGD: Tensor,
    memory_v_MGD: Tensor,
    local_k_SGD: Tensor,
    local_v_SGD: Tensor,
    *,
    causal: bool = True,
) -> Tensor:
    """[T, H, D]: each token over all M memory rows and, bottom-right aligned, the local rows s <= S - T + t.

    Softmax is plain, over both parts together, scaled by D^-0.5; head h reads group h // (H / G). `causal=False` lets
    the active tokens see each other in both directions. M and T may be 0.
    Differentiable: a GPU's Triton kernel, which has no gradient, serves 16-bit inference, torch all else.
    """
    _check(q_THD, (memory_k_MGD, memory_v_MGD), (local_k_SGD, local_v_SGD))
    if not len(q_THD):
        return q_THD
    tensors = (q_THD, memory_k_MGD, memory_v_MGD, local_k_SGD, local_v_SGD)
    wants_gradient = torch.is_grad_enabled() and any(x.requires_grad for x in tensors)
    if q_THD.device.type == "cuda" and q_THD.dtype in TENSOR_CORE_DTYPES and not wants_gradient:
        from codemem.kernels.attend import triton

        return triton.attend(*tensors, causal=causal)
    return cpu.attend(*tensors, causal=causal)


def _check(q: Tensor, memory: tuple[Tensor, Tensor], local: tuple[Tensor, Tensor]) -> None:
    tokens, heads, head_dim = q.shape
    groups = local[0].shape[1]
    for name, (k, v) in {"memory": memory, "local": local}.items():
        if k.shape != v.shape or k.shape[1:] != (groups, head_dim) or heads % groups:
            raise ValueError(
                f"{name} keys {tuple(k.shape)} and values {tuple(v.shape)} do not fit queries {tuple(q.shape)}"
            )
    if tokens > len(local[0]):
        raise ValueError(f"{tokens} active tokens need their own rows at the end of the {len(local[0])} local ones")
