"""Narrow matrices on a GPU: one token through a matrix, and a matrix widened for a product of many tokens.

Shapes: K inputs, N outputs, H bytes a row and G groups of a 4-bit matrix. Inference only.

One token: as in kernels/gemv, a program takes a few whole rows and reads their bytes once. An 8-bit row's scale is
applied to its sum; a 4-bit weight is widened as it is read, two from each byte.
"""

# ruff: noqa: PLR0917 - kernels take their arguments by position
# mypy: disable-error-code="no-untyped-call"

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from codemem.kernels.gemv.triton import Tile
from codemem.kernels.launch import launch_kernel
from codemem.kernels.narrow.matrix import GROUP, NarrowMatrix
from codemem.kernels.trial import milliseconds


@triton.jit
def _input(x: tl.tensor, norm: tl.tensor, column: tl.tensor, inside: tl.tensor, NORM: tl.constexpr) -> Any:
    """Inputs as they are multiplied, and as they are."""
    value = tl.load(x + column, mask=inside, other=0.0).to(tl.float32)
    weighed = value
    if NORM:
        weighed = value * tl.load(norm + column, mask=inside, other=0.0).to(tl.float32)
    return weighed, value


@triton.jit
def _widen(level: tl.tensor, scales: tl.tensor, minima: tl.tensor, group: tl.tensor, tile: tl.tensor) -> tl.tensor:
    """4-bit weights as numbers; `group` addresses the group of each."""
    scale = tl.load(scales + group, mask=tile, other=0.0).to(tl.float32)
    lowest = tl.load(minima + group, mask=tile, other=0.0).to(tl.float32)
    widened: tl.tensor = level.to(tl.float32) * scale + lowest
    return widened


@triton.jit
def _row_sums(
    x: tl.tensor,
    values: tl.tensor,
    scales: tl.tensor,
    minima: tl.tensor,
    norm: tl.tensor,
    row: tl.tensor,
    known: tl.tensor,
    K: tl.constexpr,
    H: tl.constexpr,
    G: tl.constexpr,
    GROUP_: tl.constexpr,
    BITS: tl.constexpr,
    BN: tl.constexpr,
    BK: tl.constexpr,
    NORM: tl.constexpr,
    STAGES: tl.constexpr,
) -> Any:
    """Products of whole rows [BN], and the sum of the inputs' squares."""
    wide = row.to(tl.int64)[:, None]
    lane = tl.arange(0, BK)
    products = tl.zeros([BN, BK], tl.float32)
    squares = tl.zeros([BK], tl.float32)
    for start in tl.range(0, H, BK, num_stages=STAGES):
        column = start + lane
        inside = column < H
        tile = known[:, None] & inside[None, :]
        byte = tl.load(values + wide * H + column[None, :], mask=tile, other=0, eviction_policy="evict_first")
        weighed, value = _input(x, norm, column, inside & (column < K), NORM)
        squares += value * value
        if BITS == 8:
            products += byte.to(tl.float32) * weighed[None, :]
        else:
            low = wide * G + (column // GROUP_)[None, :]
            products += _widen(byte & 15, scales, minima, low, tile) * weighed[None, :]
            other = column + H
            weighed, value = _input(x, norm, other, inside & (other < K), NORM)
            squares += value * value
            high = wide * G + (other // GROUP_)[None, :]
            products += _widen(byte >> 4, scales, minima, high, tile) * weighed[None, :]
    sums = tl.sum(products, 1)
    if BITS == 8:
        sums = sums * tl.load(scales + row, mask=known, other=0.0)
    return sums, tl.sum(squares)


@triton.jit
def _one_kernel(
    x: tl.tensor,
    values: tl.tensor,
    scales: tl.tensor,
    minima: tl.tensor,
    bias: tl.tensor,
    norm: tl.tensor,
    residual: tl.tensor,
    out: tl.tensor,
    eps: tl.tensor,
    N: tl.constexpr,
    K: tl.constexpr,
    H: tl.constexpr,
    G: tl.constexpr,
    GROUP_: tl.constexpr,
    BITS: tl.constexpr,
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
    y, squares = _row_sums(
        x, values, scales, minima, norm, row, known, K, H, G, GROUP_, BITS, BN, BK, NORM, STAGES
    )  # fmt: skip
    scale = 1.0
    if NORM:
        scale = tl.rsqrt(squares / K + eps)
    kind = x.dtype.element_ty
    # Rounded where torch's operations would have written to memory.
    y = y * scale
    if BIAS:
        y += tl.load(bias + row, mask=known, other=0.0).to(tl.float32)
    y = y.to(kind).to(tl.float32)
    if GATED:
        up, _ = _row_sums(
            x, values, scales, minima, norm, row + OUT, known, K, H, G, GROUP_, BITS, BN, BK, NORM, STAGES
        )  # fmt: skip
        up = up * scale
        if BIAS:
            up += tl.load(bias + OUT + row, mask=known, other=0.0).to(tl.float32)
        silu = (y / (1.0 + tl.exp(-y))).to(kind).to(tl.float32)
        y = (silu * up.to(kind).to(tl.float32)).to(kind).to(tl.float32)
    if ADD:
        y = (y + tl.load(residual + row, mask=known, other=0.0).to(tl.float32)).to(kind).to(tl.float32)
    tl.store(out + row, y.to(out.dtype.element_ty), mask=known)


@triton.jit
def _dense_kernel(
    values: tl.tensor,
    scales: tl.tensor,
    minima: tl.tensor,
    out: tl.tensor,
    K: tl.constexpr,
    H: tl.constexpr,
    G: tl.constexpr,
    GROUP_: tl.constexpr,
    BITS: tl.constexpr,
    BK: tl.constexpr,
) -> None:
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * BK + tl.arange(0, BK)
    inside = column < H
    byte = tl.load(values + row * H + column, mask=inside, other=0)
    kind = out.dtype.element_ty
    if BITS == 8:
        tl.store(out + row * K + column, (byte.to(tl.float32) * tl.load(scales + row)).to(kind), mask=inside)
    else:
        low = _widen(byte & 15, scales, minima, row * G + column // GROUP_, inside)
        tl.store(out + row * K + column, low.to(kind), mask=inside & (column < K))
        other = column + H
        high = _widen(byte >> 4, scales, minima, row * G + other // GROUP_, inside)
        tl.store(out + row * K + other, high.to(kind), mask=inside & (other < K))


TILES = {
    8: (Tile(4, 512, 4), Tile(8, 512, 4), Tile(4, 1024, 4, 3)),
    4: (Tile(4, 256, 4), Tile(8, 256, 4), Tile(4, 512, 8)),
}
"""Tried on the device, by bits; the first is taken where nothing can be measured."""


def multiply_one(
    x_1K: Tensor,
    matrix: NarrowMatrix,
    bias_N: Tensor | None,
    norm: tuple[Tensor, float] | None,
    gated: bool,
    residual_1N: Tensor | None,
    dtype: torch.dtype,
    *,
    tile: Tile | None = None,
) -> Tensor:
    """[1, N] in `dtype`, N halved if `gated`. `tile`: chosen by size if None."""
    tile = tile or _fastest_tile(matrix, x_1K, gated)
    outputs, half = matrix.values.shape
    made = outputs // 2 if gated else outputs
    x = x_1K.contiguous()
    out = torch.empty(1, made, dtype=dtype, device=x.device)
    launch_kernel(
        _one_kernel,
        (triton.cdiv(made, tile.rows),),
        x,
        matrix.values,
        matrix.scales,
        matrix.scales if matrix.minima is None else matrix.minima,
        x if bias_N is None else bias_N,
        x if norm is None else norm[0],
        x if residual_1N is None else residual_1N.contiguous(),
        out,
        0.0 if norm is None else norm[1],
        N=outputs,
        K=matrix.inputs,
        H=half,
        G=matrix.scales.shape[1],
        GROUP_=GROUP,
        BITS=matrix.bits,
        BN=tile.rows,
        BK=min(tile.block, max(16, triton.next_power_of_2(half))),
        BIAS=bias_N is not None,
        NORM=norm is not None,
        GATED=gated,
        ADD=residual_1N is not None,
        STAGES=tile.stages,
        num_warps=tile.warps,
    )
    return out


def dense(matrix: NarrowMatrix, dtype: torch.dtype) -> Tensor:
    """[N, K]: every byte read once, every number written once."""
    outputs, half = matrix.values.shape
    out = torch.empty(outputs, matrix.inputs, dtype=dtype, device=matrix.values.device)
    block = min(1024, max(16, triton.next_power_of_2(half)))
    launch_kernel(
        _dense_kernel,
        (outputs, triton.cdiv(half, block)),
        matrix.values,
        matrix.scales,
        matrix.scales if matrix.minima is None else matrix.minima,
        out,
        K=matrix.inputs,
        H=half,
        G=matrix.scales.shape[1],
        GROUP_=GROUP,
        BITS=matrix.bits,
        BK=block,
        num_warps=4,
    )
    return out


def _fastest_tile(matrix: NarrowMatrix, x_1K: Tensor, gated: bool) -> Tile:
    """The tile that reads a matrix of this size fastest here; measured once, while no graph is being recorded."""
    tiles = TILES[matrix.bits]
    if x_1K.device.type != "cuda":
        return tiles[0]
    key = (matrix.bits, *matrix.values.shape, gated, x_1K.dtype, x_1K.device)
    if key not in _fastest:
        if torch.cuda.is_current_stream_capturing():
            return tiles[0]
        x = torch.zeros_like(x_1K)

        def one(tile: Tile) -> Tensor:
            return multiply_one(x, matrix, None, None, gated, None, x.dtype, tile=tile)

        times = [milliseconds(lambda tile=tile: one(tile), x.device) for tile in tiles]  # type: ignore[misc]
        _fastest[key] = tiles[times.index(min(times))]
    return _fastest[key]


_fastest: dict[tuple[object, ...], Tile] = {}
