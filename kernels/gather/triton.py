"""Gathering on a GPU, from its own memory or from pinned host memory: one program a row, keys and values in one launch.

Shapes: M rows, G groups, D head_dim, W = G * D numbers a row. Inference only.
"""

# ruff: noqa: PLR0917 - kernels take their arguments by position
# mypy: disable-error-code="no-untyped-call"

import torch
import triton
import triton.language as tl
from torch import Tensor

from codemem.kernels.launch import launch_kernel


@triton.jit
def _gather_kernel(
    rows: tl.tensor,
    k: tl.tensor,
    k_scales: tl.tensor,
    v: tl.tensor,
    v_scales: tl.tensor,
    out_k: tl.tensor,
    out_v: tl.tensor,
    W: tl.constexpr,
    D: tl.constexpr,
    BW: tl.constexpr,
    K_SCALED: tl.constexpr,
    V_SCALED: tl.constexpr,
) -> None:
    place = tl.program_id(0).to(tl.int64)
    row = tl.load(rows + place)
    column = tl.arange(0, BW)
    inside = column < W
    # Scales are rounded to the type that is asked for, then the product: as torch does it.
    key = tl.load(k + row * W + column, mask=inside, other=0).to(tl.float32)
    if K_SCALED:
        scale = tl.load(k_scales + row * (W // D) + column // D, mask=inside, other=0.0)
        key = key * scale.to(out_k.dtype.element_ty).to(tl.float32)
    tl.store(out_k + place * W + column, key.to(out_k.dtype.element_ty), mask=inside)
    value = tl.load(v + row * W + column, mask=inside, other=0).to(tl.float32)
    if V_SCALED:
        scale = tl.load(v_scales + row * (W // D) + column // D, mask=inside, other=0.0)
        value = value * scale.to(out_v.dtype.element_ty).to(tl.float32)
    tl.store(out_v + place * W + column, value.to(out_v.dtype.element_ty), mask=inside)


def gather_pair(
    k: tuple[Tensor, Tensor | None], v: tuple[Tensor, Tensor | None], rows_M: Tensor, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Keys and values [M, G, D] where `rows_M` is; `k` and `v` are values [C, G, D] and scales [C, G] each."""
    groups, head_dim = k[0].shape[1:]
    out_k, out_v = (torch.empty((len(rows_M), groups, head_dim), dtype=dtype, device=rows_M.device) for _ in range(2))
    launch_kernel(
        _gather_kernel,
        (len(rows_M),),
        rows_M,
        k[0],
        k[0] if k[1] is None else k[1],
        v[0],
        v[0] if v[1] is None else v[1],
        out_k,
        out_v,
        W=groups * head_dim,
        D=head_dim,
        BW=triton.next_power_of_2(groups * head_dim),
        K_SCALED=k[1] is not None,
        V_SCALED=v[1] is not None,
    )
    return out_k, out_v
