"""A matrix in 8 or 4 bits a weight: how numbers are rounded, packed and read again.

Shapes: N outputs (rows), K inputs, G groups of inputs, H bytes a row of a 4-bit matrix.
"""

from dataclasses import dataclass
from typing import Literal, Self

import torch
from torch import Tensor

Bits = Literal[8, 4]
GROUP = 32
"""Inputs that share a scale and a smallest value in a 4-bit matrix."""
_LARGEST_8, _LEVELS_4 = 127, 15
_TINY_8, _TINY_4 = 1e-30, 2.0**-24
"""Scales at least: a row of zeros must not divide by zero. The second is float16's smallest number."""


@dataclass(frozen=True, slots=True)
class NarrowMatrix:
    """[N, K] rounded to 8 or 4 bits. All tensors lie on one device; rows can be written after it was made."""

    bits: Bits
    inputs: int
    """K."""
    values: Tensor
    """8 bits: int8 [N, K]. 4 bits: uint8 [N, H], input j in the low half of byte j, input H + j in the high half."""
    scales: Tensor
    """8 bits: float32 [N, 1]. 4 bits: float16 [N, G]."""
    minima: Tensor | None
    """4 bits: float16 [N, G], what a zero stands for. 8 bits: None, a zero is a zero."""

    @classmethod
    def empty(cls, outputs: int, inputs: int, bits: Bits, device: torch.device | str = "cpu") -> Self:
        """Room for a matrix; `set_rows` fills it."""
        if bits == 8:
            values = torch.empty(outputs, inputs, dtype=torch.int8, device=device)
            return cls(8, inputs, values, torch.empty(outputs, 1, device=device), None)
        half = half_row(inputs)
        values = torch.empty(outputs, half, dtype=torch.uint8, device=device)
        scales, minima = (torch.empty(outputs, 2 * half // GROUP, dtype=torch.float16, device=device) for _ in range(2))
        return cls(4, inputs, values, scales, minima)

    @classmethod
    def of(cls, matrix_NK: Tensor, bits: Bits) -> Self:
        """A matrix of any floating type, rounded."""
        outputs, inputs = matrix_NK.shape
        made = cls.empty(outputs, inputs, bits, matrix_NK.device)
        made.set_rows(0, matrix_NK)
        return made

    def set_rows(self, first: int, rows_RK: Tensor) -> None:
        """Rounds rows of any floating type and puts them at `first`. Rows do not depend on one another."""
        place = slice(first, first + len(rows_RK))
        if self.minima is None:
            self.values[place], self.scales[place] = _round_8(rows_RK.float())
        else:
            self.values[place], self.scales[place], self.minima[place] = _round_4(rows_RK.float())

    @property
    def outputs(self) -> int:
        return len(self.values)

    @property
    def nbytes(self) -> int:
        return self.values.nbytes + self.scales.nbytes + (0 if self.minima is None else self.minima.nbytes)

    def rows(self, chosen: slice | Tensor) -> "NarrowMatrix":
        """Some of the rows: views for a slice, copies for indices."""
        minima = None if self.minima is None else self.minima[chosen]
        return NarrowMatrix(self.bits, self.inputs, self.values[chosen], self.scales[chosen], minima)

    def dense(self, dtype: torch.dtype) -> Tensor:
        """[N, K] as it is multiplied with, in torch's operations: computed in float32, then rounded to `dtype`."""
        if self.minima is None:
            return (self.values * self.scales).to(dtype)
        levels = torch.cat((self.values & 15, self.values >> 4), 1).float()
        x: Tensor = levels.view(len(levels), -1, GROUP)
        x.mul_(self.scales.float()[..., None]).add_(self.minima.float()[..., None])
        return x.flatten(1)[:, : self.inputs].to(dtype)


def half_row(inputs: int) -> int:
    """Bytes a row of a 4-bit matrix: half of its inputs, filled up to whole groups."""
    return -(-inputs // (2 * GROUP)) * GROUP


def narrow_bytes(outputs: int, inputs: int, bits: Bits) -> int:
    """Bytes that a matrix of this size takes."""
    if bits == 8:
        return outputs * (inputs + 4)
    half = half_row(inputs)
    return outputs * (half + 2 * half // GROUP * 4)


def _round_8(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Symmetric, a scale a row: the error of a weight is at most half a 127th of its row's largest."""
    scales = (rows.abs().amax(1, keepdim=True) / _LARGEST_8).clamp_min_(_TINY_8)
    return (rows / scales).round_().to(torch.int8), scales


def _round_4(rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Between the smallest and the largest of each group, 16 levels: off by at most half a 15th of that distance."""
    half = half_row(rows.shape[1])
    missing = 2 * half - rows.shape[1]
    if missing:  # nothing multiplies these, and their group must not grow wider by them
        rows = torch.cat((rows, rows[:, -1:].expand(-1, missing)), 1)
    groups = rows.reshape(len(rows), -1, GROUP)
    minima = groups.amin(2).to(torch.float16)
    lowest = minima.float()[..., None]
    scales = ((groups.amax(2, keepdim=True) - lowest) / _LEVELS_4).clamp_min_(_TINY_4).to(torch.float16)
    levels = ((groups - lowest) / scales.float()).round_().clamp_(0, _LEVELS_4).to(torch.uint8).flatten(1)
    return levels[:, :half] | (levels[:, half:] << 4), scales[..., 0], minima
