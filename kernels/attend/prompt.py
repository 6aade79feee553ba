"""Several tokens over a cache that ends where the device says: what a recorded prompt pass attends with.

Shapes: T tokens (the last ones may be padding), H query heads, G key heads, D head_dim, S rows of the cache.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from codemem.kernels.serving import serves, wants_kernel


def attend_prompt(q_THD: Tensor, cache_k_SGD: Tensor, cache_v_SGD: Tensor, span_2: Tensor) -> Tensor:
    """[T, H, D]: token t over the cache's rows s <= span[0] + t that lie before span[1].

    `span_2` int64 on the device: the row of the first token, which the cache holds already, and the row behind the last
    one that counts (at least 1). Tokens behind that are padding: their result means nothing, and what rows from span[1]
    on hold is never seen, not even NaN. Inference only.
    """
    if wants_kernel(q_THD, cache_k_SGD) and cache_k_SGD.dtype == q_THD.dtype and _serves(q_THD, cache_k_SGD):
        from codemem.kernels.attend import triton_prompt

        return triton_prompt.attend_prompt(q_THD, cache_k_SGD, cache_v_SGD, span_2)
    return _torch(q_THD, cache_k_SGD, cache_v_SGD, span_2)


def _torch(q: Tensor, cache_k: Tensor, cache_v: Tensor, span_2: Tensor) -> Tensor:
    place = torch.arange(len(cache_k), device=q.device)
    counts, first = place < span_2[1:], span_2[:1]
    seen = (place <= first + torch.arange(len(q), device=q.device)[:, None]) & counts
    # A masked row is still multiplied, by 0.
    masked = counts.logical_not()[:, None, None]
    k, v = (x.masked_fill(masked, 0).transpose(0, 1)[None] for x in (cache_k, cache_v))
    out = F.scaled_dot_product_attention(q.transpose(0, 1)[None], k, v, attn_mask=seen, enable_gqa=True)
    return out[0].transpose(0, 1)


def _serves(q: Tensor, cache: Tensor) -> bool:
    def trial() -> tuple[Tensor, Tensor]:
        from codemem.kernels.attend import triton_prompt

        some = torch.randn(70, *q.shape[1:], device=q.device, dtype=q.dtype)
        caches = torch.randn(2, 700, *cache.shape[1:], device=q.device, dtype=q.dtype)
        found, expected = [], []
        for first, end in ((0, 61), (577, 640)):
            span = torch.tensor([first, end], device=q.device)
            real = end - first
            found.append(triton_prompt.attend_prompt(some, caches[0], caches[1], span)[:real])
            expected.append(_torch(some, caches[0], caches[1], span)[:real])
        return torch.cat(found), torch.cat(expected)

    return serves("attend a prompt", (*q.shape[1:], cache.shape[1], q.dtype, q.device), trial)
