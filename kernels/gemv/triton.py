"""One token through a matrix on a GPU: the weights are read once, at the rate of the memory.

Shapes: K inputs, N outputs. Inference only.

A program takes a few whole rows, so that no sum is joined between programs and thousands of them keep many reads under
way. The normalisation's sum of squares is gathered beside the product, and its factor applied to the result: no program
waits for a row's length before it begins to read weights.
"""

# ruff: noqa: PLR0917 - kernels take their arguments by position
# mypy: disable-error-code="no-untyped-call"

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from codemem.kernels.launch import launch_kernel
from codemem.kernels.trial import milliseconds


@triton.jit
def _gemv_kernel(
    x: tl.tensor,
    weight: tl.tensor,
    bias: tl.tensor,
    norm: tl.tensor,
    residual: tl.tensor,
    out: tl.tensor,
    eps: tl.tensor,
    N: tl.constexpr,
    K: tl.constexpr,
    BN: tl.constexpr,
    BK: tl.constexpr,
    BIAS: tl.constexpr,
    NORM: tl.constexpr,
    GATED: tl.constexpr,
    ADD: tl.constexpr,
    STAGES: tl.constexpr,
) -> None:
    OUT: tl.constexpr = N // 2 if GATED else N
    row = tl.program_id(0) * BN + tl.arange(0, BN)
    known = row < OUT
    lane = tl.arange(0, BK)
    first_row = weight + row.to(tl.int64)[:, None] * K
    products = tl.zeros([BN, BK], tl.float32)
    ups = tl.zeros([BN, BK], tl.float32)
    squares = tl.zeros([BK], tl.float32)
    for start in tl.range(0, K, BK, num_stages=STAGES):
        column = start + lane
        inside = column < K
        tile = known[:, None] & inside[None, :]
        w = tl.load(first_row + column[None, :], mask=tile, other=0.0, eviction_policy="evict_first")
        if GATED:
            u = tl.load(first_row + OUT * K + column[None, :], mask=tile, other=0.0, eviction_policy="evict_first")
        value = tl.load(x + column, mask=inside, other=0.0).to(tl.float32)
        if NORM:
            squares += value * value
            value = value * tl.load(norm + column, mask=inside, other=0.0).to(tl.float32)
        products += w.to(tl.float32) * value[None, :]
        if GATED:
            ups += u.to(tl.float32) * value[None, :]
    scale = 1.0
    if NORM:
        scale = tl.rsqrt(tl.sum(squares, 0) / K + eps)
    kind = x.dtype.element_ty
    # Rounded where torch's operations would have written to memory.
    y = tl.sum(products, 1) * scale
    if BIAS:
        y += tl.load(bias + row, mask=known, other=0.0).to(tl.float32)
    y = y.to(kind).to(tl.float32)
    if GATED:
        up = tl.sum(ups, 1) * scale
        if BIAS:
            up += tl.load(bias + OUT + row, mask=known, other=0.0).to(tl.float32)
        silu = (y / (1.0 + tl.exp(-y))).to(kind).to(tl.float32)
        y = (silu * up.to(kind).to(tl.float32)).to(kind).to(tl.float32)
    if ADD:
        y = (y + tl.load(residual + row, mask=known, other=0.0).to(tl.float32)).to(kind).to(tl.float32)
    tl.store(out + row, y.to(out.dtype.element_ty), mask=known)


@dataclass(frozen=True, slots=True)
class Tile:
    """Rows a program and inputs a step, its threads in warps, and steps read ahead into shared memory (1: none)."""

    rows: int
    block: int
    warps: int
    stages: int = 1


TILES = (Tile(4, 512, 4), Tile(4, 1024, 4, 3), Tile(8, 512, 4, 4))
"""Tried on the device; the first is taken where nothing can be measured."""


def gemv(
    x_1K: Tensor,
    weight_NK: Tensor,
    bias_N: Tensor | None,
    norm: tuple[Tensor, float] | None,
    gated: bool,
    residual_1N: Tensor | None,
    dtype: torch.dtype,
    *,
    tile: Tile | None = None,
) -> Tensor:
    """[1, N] in `dtype`; the matrix is contiguous. `tile`: chosen by size if None."""
    outputs, inputs = weight_NK.shape
    tile = tile or fastest_tile(weight_NK, gated=gated)
    block = min(tile.block, max(16, triton.next_power_of_2(inputs)))
    made = outputs // 2 if gated else outputs
    x = x_1K.contiguous()
    out = torch.empty(1, made, dtype=dtype, device=x.device)
    launch_kernel(
        _gemv_kernel,
        (triton.cdiv(made, tile.rows),),
        x,
        weight_NK,
        x if bias_N is None else bias_N,
        x if norm is None else norm[0],
        x if residual_1N is None else residual_1N.contiguous(),
        out,
        0.0 if norm is None else norm[1],
        N=outputs,
        K=inputs,
        BN=tile.rows,
        BK=block,
        BIAS=bias_N is not None,
        NORM=norm is not None,
        GATED=gated,
        ADD=residual_1N is not None,
        STAGES=tile.stages,
        num_warps=tile.warps,
    )
    return out


def fastest_tile(weight_NK: Tensor, *, gated: bool) -> Tile:
    """The tile that reads a matrix of this size fastest here; measured once, while no graph is being recorded."""
    if weight_NK.device.type != "cuda":
        return TILES[0]
    key = (*weight_NK.shape, gated, weight_NK.dtype, weight_NK.device)
    if key not in _fastest:
        if torch.cuda.is_current_stream_capturing():
            return TILES[0]
        x = torch.zeros(1, weight_NK.shape[1], dtype=weight_NK.dtype, device=weight_NK.device)

        def one(tile: Tile) -> Tensor:
            return gemv(x, weight_NK, None, None, gated, None, x.dtype, tile=tile)

        times = [milliseconds(lambda tile=tile: one(tile), x.device) for tile in TILES]  # type: ignore[misc]
        _fastest[key] = TILES[times.index(min(times))]
    return _fastest[key]


_fastest: dict[tuple[object, ...], Tile] = {}
