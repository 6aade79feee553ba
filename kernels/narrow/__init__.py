"""Products with matrices of 8 or 4 bits a weight; activations stay as they are (README.md has the maths).

Shapes: T tokens, K inputs, N outputs.
"""

# ruff: noqa: PLR0917 - the same arguments go to either side

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from codemem.kernels.gemv import Norm
from codemem.kernels.narrow.matrix import GROUP, Bits, NarrowMatrix, narrow_bytes
from codemem.kernels.serving import serves, wants_kernel

__all__ = ["GROUP", "Bits", "NarrowMatrix", "dense", "multiply", "multiply_one", "narrow_bytes", "serves_one"]

DENSE_BYTES = 256 << 20
"""A matrix is widened in pieces of at most so many bytes: a vocabulary's takes 0.8 GB at the 4B's size."""
TRIAL_NUMBERS = 1 << 21
"""Weights that a kernel's trial widens at once, some 30 bytes of temporary memory each: a card that the model just fits
has no room for more, and a trial that runs out of memory costs the kernel."""


def multiply(x_TK: Tensor, matrix: NarrowMatrix, bias_N: Tensor | None = None) -> Tensor:
    """[T, N]: x W^T + b in x's dtype. Inference only.

    One token on a GPU reads the narrow weights once; several get the matrix widened first, which they then share.
    """
    if x_TK.shape[-1] != matrix.inputs:
        raise ValueError(f"{tuple(x_TK.shape)} does not fit a matrix of {matrix.outputs} by {matrix.inputs}")
    if len(x_TK) == 1 and serves_one(x_TK, matrix, bias_N):
        return multiply_one(x_TK, matrix, bias_N)
    return _product(x_TK, matrix, bias_N, DENSE_BYTES // x_TK.element_size(), dense)


def multiply_one(
    x_1K: Tensor,
    matrix: NarrowMatrix,
    bias_N: Tensor | None = None,
    *,
    norm: Norm | None = None,
    gated: bool = False,
    residual_1N: Tensor | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """[1, N]: what `codemem.kernels.gemv.gemv` computes, of a narrow matrix and with the same options."""
    if x_1K.dim() != 2 or len(x_1K) != 1 or x_1K.shape[1] != matrix.inputs:
        raise ValueError(f"{tuple(x_1K.shape)} is no single row for a matrix {(matrix.outputs, matrix.inputs)}")
    if gated and residual_1N is not None:
        raise ValueError("a gated product has no residual")
    dtype = x_1K.dtype if dtype is None else dtype
    if serves_one(x_1K, matrix, bias_N, norm=norm, gated=gated, residual_1N=residual_1N):
        from codemem.kernels.narrow import triton

        return triton.multiply_one(x_1K, matrix, bias_N, norm, gated, residual_1N, dtype)
    pieces = DENSE_BYTES // x_1K.element_size()
    return _torch(x_1K, matrix, bias_N, norm, gated, residual_1N, dtype, numbers=pieces)


def serves_one(
    x_1K: Tensor,
    matrix: NarrowMatrix,
    bias_N: Tensor | None = None,
    *,
    norm: Norm | None = None,
    gated: bool = False,
    residual_1N: Tensor | None = None,
) -> bool:
    """Whether the kernel serves this product."""
    weight = None if norm is None else norm[0]
    if not wants_kernel(x_1K, bias_N, weight, residual_1N):
        return False

    def trial() -> tuple[Tensor, Tensor]:
        """Every row, by torch a few at a time."""
        from codemem.kernels.narrow import triton

        x = torch.randn_like(x_1K)
        rest = (bias_N, norm, gated, residual_1N, x_1K.dtype)
        return triton.multiply_one(x, matrix, *rest), _torch(x, matrix, *rest, numbers=TRIAL_NUMBERS)

    options = (bias_N is not None, norm is not None, gated, residual_1N is not None)
    return serves("narrow", (matrix.bits, matrix.outputs, matrix.inputs, *options, x_1K.dtype, x_1K.device), trial)


def dense(matrix: NarrowMatrix, dtype: torch.dtype) -> Tensor:
    """[N, K] as it is multiplied with: a kernel in 16 bits on a GPU, torch elsewhere. The numbers are the same."""
    like = torch.empty(0, dtype=dtype, device=matrix.values.device)
    if not wants_kernel(like):
        return matrix.dense(dtype)

    def trial() -> tuple[Tensor, Tensor]:
        """The first and the last rows, where they lie: the kernel widens each row in programs of its own, all alike."""
        from codemem.kernels.narrow import triton

        ends = _ends(matrix, TRIAL_NUMBERS)
        return torch.cat([triton.dense(end, dtype) for end in ends]), torch.cat([end.dense(dtype) for end in ends])

    if not serves("widen", (matrix.bits, *matrix.values.shape, dtype, like.device), trial):
        return matrix.dense(dtype)
    from codemem.kernels.narrow import triton

    return triton.dense(matrix, dtype)


def _torch(
    x: Tensor,
    matrix: NarrowMatrix,
    bias: Tensor | None,
    norm: Norm | None,
    gated: bool,
    residual: Tensor | None,
    dtype: torch.dtype,
    *,
    numbers: int,
) -> Tensor:
    """`numbers`: weights that are widened at once."""
    if norm is not None:
        x = F.rms_norm(x, (x.shape[-1],), *norm)
    y = _product(x, matrix, bias, numbers, NarrowMatrix.dense)
    if gated:
        gate, up = y.chunk(2, dim=-1)
        y = F.silu(gate) * up
    if residual is not None:
        y = residual + y
    return y.to(dtype)


def _product(
    x_TK: Tensor,
    matrix: NarrowMatrix,
    bias_N: Tensor | None,
    numbers: int,
    widen: Callable[[NarrowMatrix, torch.dtype], Tensor],
) -> Tensor:
    """[T, N]: x W^T + b by the library, of at most `numbers` widened weights at a time, but of a row at least."""
    rows = _rows(matrix, numbers)
    if matrix.outputs <= rows:
        return F.linear(x_TK, widen(matrix, x_TK.dtype), bias_N)
    out = torch.empty(len(x_TK), matrix.outputs, dtype=x_TK.dtype, device=x_TK.device)
    for start in range(0, matrix.outputs, rows):
        part = slice(start, start + rows)
        bias = None if bias_N is None else bias_N[part]
        out[:, part] = F.linear(x_TK, widen(matrix.rows(part), x_TK.dtype), bias)
    return out


def _ends(matrix: NarrowMatrix, numbers: int) -> list[NarrowMatrix]:
    """The first and the last rows, about `numbers` weights in all; the whole matrix if it has no more."""
    if matrix.outputs <= _rows(matrix, numbers):
        return [matrix]
    rows = _rows(matrix, numbers // 2)
    return [matrix.rows(slice(rows)), matrix.rows(slice(matrix.outputs - rows, None))]


def _rows(matrix: NarrowMatrix, numbers: int) -> int:
    return max(1, numbers // max(1, matrix.inputs))
