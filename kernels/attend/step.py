"""One token's attention over a cache that ends where the device says, with its own key and value put there.

Shapes: H query heads, G key heads, D head_dim, S rows of the cache.
"""

# ruff: noqa: PLR0917 - the same arguments go to either side

import torch
from torch import Tensor

from codemem.kernels.serving import serves, wants_kernel


def attend_step(
    q_1HD: Tensor, k_1GD: Tensor, v_1GD: Tensor, cache_k_SGD: Tensor, cache_v_SGD: Tensor, end_1: Tensor, *, rows: int
) -> Tensor:
    """[1, H, D]: the token over the cache's rows before `end_1` and itself; its key and value become that row.

    `end_1` int64 [1] on the device, so that a recorded graph serves while the cache grows. `rows`: how many rows torch
    reads, masked or not, at least end + 1; a kernel reads those in use and no more. Inference only.
    """
    if runs_kernel(q_1HD, cache_k_SGD):
        from codemem.kernels.attend import triton_step

        return triton_step.attend_step(q_1HD, k_1GD, v_1GD, cache_k_SGD, cache_v_SGD, end_1)
    return _torch(q_1HD, k_1GD, v_1GD, cache_k_SGD, cache_v_SGD, end_1, rows)


def runs_kernel(q_1HD: Tensor, cache_SGD: Tensor) -> bool:
    """Whether a kernel serves these, so that `rows` has no meaning."""
    return wants_kernel(q_1HD, cache_SGD) and cache_SGD.dtype == q_1HD.dtype and _serves(q_1HD, cache_SGD)


def _torch(q_1HD: Tensor, k: Tensor, v: Tensor, cache_k: Tensor, cache_v: Tensor, end_1: Tensor, rows: int) -> Tensor:
    cache_k.index_copy_(0, end_1, k)
    cache_v.index_copy_(0, end_1, v)
    heads, head_dim = q_1HD.shape[1:]
    groups = k.shape[1]
    q = q_1HD.reshape(groups, heads // groups, head_dim)
    # One product a group serves all its heads: keys and values are read once.
    logits = (q @ cache_k[:rows].permute(1, 2, 0)).float() * head_dim**-0.5
    places = torch.arange(rows, device=q.device)
    logits = logits.masked_fill(places > end_1, -torch.inf)
    out = logits.softmax(-1).to(q.dtype) @ cache_v[:rows].transpose(0, 1)
    attended: Tensor = out.reshape(1, heads, head_dim)
    return attended


def _serves(q: Tensor, cache: Tensor) -> bool:
    def trial() -> tuple[Tensor, Tensor]:
        from codemem.kernels.attend import triton_step

        one = torch.randn_like(q)
        k, v = torch.randn(2, 1, *cache.shape[1:], device=q.device, dtype=q.dtype)
        caches = torch.randn(2, 300, *cache.shape[1:], device=q.device, dtype=q.dtype)
        copies, end = caches.clone(), torch.tensor([277], device=q.device)
        found = triton_step.attend_step(one, k, v, caches[0], caches[1], end)
        expected = _torch(one, k, v, copies[0], copies[1], end, 300)
        if not torch.equal(caches, copies):
            raise ValueError("the cache's rows differ from torch's")
        return found, expected

    return serves("attend one token", (*q.shape[1:], cache.shape[1], q.dtype, q.device), trial)
