"""Attention over padded batches, differentiable: what training runs in place of the product's packed contexts.

Shapes: B sequences, n tokens each (right-padded), H query heads, G key heads, D head_dim, C chunks, M memory rows.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from codemem.model.config import MemoryConfig
from codemem.model.packed import attend_within
from codemem.model.routers import Routers


@dataclass(slots=True)
class PaddedMemory:
    """One layer's pooled documents: `k` and `v` [N, C, G, D], `route` [N, C, G*D] normalised."""

    k: Tensor
    v: Tensor
    route: Tensor


def in_the_dtype_of(x: Tensor) -> torch.autocast:
    """Router weights are trained in float32 and multiplied in the activations' precision."""
    return torch.autocast(x.device.type, torch.bfloat16, enabled=x.dtype == torch.bfloat16)


def pool_padded(x_BnGD: Tensor, mask_Bn: Tensor, chunk: int) -> Tensor:
    """Means over chunks by their true lengths, [B, n/chunk, G, D]; n is a multiple of `chunk`."""
    b, n = mask_Bn.shape
    weight = mask_Bn.view(b, n // chunk, chunk, 1, 1).to(x_BnGD.dtype)
    total = (x_BnGD.view(b, n // chunk, chunk, *x_BnGD.shape[2:]) * weight).sum(2, dtype=torch.float32)
    return total / weight.sum(2, dtype=torch.float32).clamp_min(1)


class DocumentBatch:
    """Encodes [B, n] documents; positions restart in each. Right padding is harmless under a causal mask, and left out
    of one in both directions."""

    def __init__(self, mask_Bn: Tensor, routers: Routers, memory: MemoryConfig) -> None:
        self.mask, self.routers, self.memory = mask_Bn, routers, memory
        self.pooled: dict[int, PaddedMemory] = {}
        self._real: tuple[Tensor, list[int]] | None = None
        """Rows that are no padding, and each document's length."""

    def attend(self, layer: int, hidden_TE: Tensor, q_THD: Tensor, k_TGD: Tensor, v_TGD: Tensor) -> Tensor:
        b, n = self.mask.shape
        k, v = k_TGD.view(b, n, *k_TGD.shape[1:]), v_TGD.view(b, n, *v_TGD.shape[1:])
        if layer in self.memory.routed_layers:
            with in_the_dtype_of(hidden_TE):
                keys = self.routers.at(layer).key(hidden_TE).view(b, n, *k_TGD.shape[1:])
            route = F.normalize(self.pool(keys), dim=-1).flatten(2)
            self.pooled[layer] = PaddedMemory(self.pool(k), self.pool(v), route)
        if not len(q_THD):
            return q_THD
        if self.memory.bidirectional:
            return self._both_ways(q_THD, k_TGD, v_TGD)
        q = q_THD.view(b, n, *q_THD.shape[1:])
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        return out.transpose(1, 2).reshape(b * n, *q_THD.shape[1:])

    def _both_ways(self, q_THD: Tensor, k_TGD: Tensor, v_TGD: Tensor) -> Tensor:
        """Without the padding, which every token would see. Padded and masked, gradients were not finite on a GPU."""
        if self._real is None:
            self._real = self.mask.flatten().nonzero()[:, 0], self.mask.sum(1).tolist()
        rows, lengths = self._real
        each = q_THD.shape[1] // k_TGD.shape[1]
        k, v = (x[rows].repeat_interleave(each, 1) for x in (k_TGD, v_TGD))
        return torch.zeros_like(q_THD).index_copy(0, rows, attend_within(q_THD[rows], k, v, lengths, causal=False))

    def pool(self, x_BnGD: Tensor) -> Tensor:
        """Means over each document's chunks, [B, C, G, D]."""
        return pool_padded(x_BnGD, self.mask, self.memory.chunk_tokens)


@dataclass(slots=True)
class TextMemory:
    """What a batch of texts attends to in one layer: `k`, `v` [B, M, G, D] and `mask` [B, M]."""

    k: Tensor
    v: Tensor
    mask: Tensor


class TextBatch:
    """[B, n] texts with memory in front; keeps the folded routing queries of the tokens that route."""

    def __init__(
        self,
        mask_Bn: Tensor,
        routes_Bn: Tensor,
        routers: Routers,
        memory: MemoryConfig,
        stored: dict[int, TextMemory],
        *,
        branch_Bn: Tensor | None = None,
    ) -> None:
        """`branch_Bn`: 0 for tokens that all behind them see; tokens of another number see those and their own."""
        self.mask, self.routes, self.routers, self.memory, self.stored = mask_Bn, routes_Bn, routers, memory, stored
        self.branch = branch_Bn
        self.queries: dict[int, Tensor] = {}
        self._visible: dict[int, tuple[Tensor | None, Tensor]] = {}
        """By a memory's rows, its mask and what was made of it: the layers share one."""

    def attend(self, layer: int, hidden_TE: Tensor, q_THD: Tensor, k_TGD: Tensor, v_TGD: Tensor) -> Tensor:
        b, n = self.mask.shape
        if layer in self.memory.routed_layers:
            with in_the_dtype_of(hidden_TE):
                q = self.routers.at(layer).query(hidden_TE)
            q = F.normalize(q.float(), dim=-1)
            heads, groups = q.shape[1], k_TGD.shape[1]
            folded = q.view(b, n, groups, heads // groups, -1).sum(3) / heads
            self.queries[layer] = folded.flatten(2)
        if not len(q_THD):
            return q_THD
        q = q_THD.view(b, n, *q_THD.shape[1:]).transpose(1, 2)
        k = k_TGD.view(b, n, *k_TGD.shape[1:])
        v = v_TGD.view(b, n, *v_TGD.shape[1:])
        stored = self.stored.get(layer)
        if stored is None and self.branch is None:
            k, v = k.transpose(1, 2), v.transpose(1, 2)
            out = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        else:
            # With a mask, CUDA's kernels that keep no [n, M + n] scores take as many key heads as query heads.
            each = q.shape[1] // k.shape[2]
            if stored is not None:
                k, v = torch.cat((stored.k.to(k.dtype), k), 1), torch.cat((stored.v.to(v.dtype), v), 1)
            k, v = (x.repeat_interleave(each, 2).transpose(1, 2) for x in (k, v))
            bias = self._bias(stored.mask if stored is not None else None, q.dtype)
            out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        return out.transpose(1, 2).reshape(b * n, *q_THD.shape[1:])

    def _bias(self, memory_BM: Tensor | None, dtype: torch.dtype) -> Tensor:
        """What is added to scores [B, 1, n, M + n]: 0 where memory exists or visible text went before, else -inf."""
        rows = 0 if memory_BM is None else memory_BM.shape[1]
        known = self._visible.get(rows)
        if known is None or known[0] is not memory_BM:
            b, n = self.mask.shape
            visible = torch.ones(n, n, dtype=torch.bool, device=self.mask.device).tril_().expand(b, n, n)
            if self.branch is not None:
                shared = self.branch[:, None, :] == 0
                visible = visible & (shared | (self.branch[:, None, :] == self.branch[:, :, None]))
            if memory_BM is not None:
                visible = torch.cat((memory_BM[:, None, :].expand(b, n, -1), visible), 2)
            bias = torch.zeros(visible.shape, dtype=dtype, device=visible.device).masked_fill_(~visible, -torch.inf)
            known = self._visible[rows] = memory_BM, bias[:, None]
        return known[1]
