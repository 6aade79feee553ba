"""Routing keys in the formats that a bank keeps them in.

Shapes: C chunks, W width of a key (groups x head_dim), S = W / group scales a key.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

KeyFormat = Literal["fp32", "bf16", "fp16", "int8", "fp8"]

DTYPES: dict[str, torch.dtype] = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
    "int8": torch.int8,
    "fp8": torch.float8_e4m3fn,
}
FORMATS = {dtype: name for name, dtype in DTYPES.items()}

LARGEST = {"int8": 127.0, "fp8": 448.0}
"""The value that a group's largest magnitude is stored as."""

SMALLEST_SCALE = 2.0**-20
"""Scales are float16. Below this its subnormal steps are coarser than 1.6%, and 0 would divide by zero."""


@dataclass(frozen=True, slots=True)
class RoutingKeys:
    """The routing keys of one layer: key[c, w] = values[c, w] * scales[c, w // group]."""

    values: Tensor
    """[C, W] float32, bfloat16, float16, int8 or float8_e4m3fn."""
    scales: Tensor | None = None
    """[C, S] float16 for int8 and fp8; None for the formats that need none."""

    def __post_init__(self) -> None:
        if self.values.dim() != 2 or self.values.dtype not in FORMATS:
            raise ValueError(
                f"routing keys are [chunks, width] in one of {', '.join(DTYPES)}, "
                f"not {tuple(self.values.shape)} {self.values.dtype}"
            )
        if (self.scales is None) == (self.format in LARGEST):
            raise ValueError(f"{self.format} keys {'need' if self.scales is None else 'take no'} scales")
        if self.scales is not None:
            chunks, width = self.values.shape
            if self.scales.dim() != 2 or len(self.scales) != chunks or not self.scales.shape[1]:
                raise ValueError(f"scales are [{chunks}, groups], not {tuple(self.scales.shape)}")
            if width % self.scales.shape[1]:
                raise ValueError(f"{self.scales.shape[1]} scales do not divide keys of {width} numbers")

    def __len__(self) -> int:
        return len(self.values)

    @property
    def width(self) -> int:
        return self.values.shape[1]

    @property
    def format(self) -> str:
        return FORMATS[self.values.dtype]

    @property
    def group(self) -> int:
        """Numbers that share a scale; the whole width where there are no scales."""
        return self.width if self.scales is None else self.width // self.scales.shape[1]

    @property
    def nbytes(self) -> int:
        return self.values.nbytes + (0 if self.scales is None else self.scales.nbytes)

    def __getitem__(self, rows: slice | Tensor) -> "RoutingKeys":
        """A slice (no copy) or a choice of rows."""
        return RoutingKeys(self.values[rows], None if self.scales is None else self.scales[rows])

    def to(self, device: torch.device | str) -> "RoutingKeys":
        return RoutingKeys(self.values.to(device), None if self.scales is None else self.scales.to(device))


def quantise_keys(keys_CW: Tensor, format: KeyFormat, group: int | None = None) -> RoutingKeys:
    """Rounds keys [C, W] to a format; int8 and fp8 (e4m3) get one float16 scale for every `group` numbers of a key.

    `group` defaults to the largest divisor of W and 128. Error a number: at most half a step, that is scale / 2 for
    int8 (scale = largest magnitude of the group / 127) and 2^-4 of the number for fp8.
    """
    if format not in DTYPES:
        raise ValueError(f"unknown key format {format!r}: one of {', '.join(DTYPES)}")
    if format not in LARGEST:
        return RoutingKeys(keys_CW.to(DTYPES[format]))
    width = keys_CW.shape[1]
    group = math.gcd(width, 128) if group is None else group
    if group < 1 or width % group:
        raise ValueError(f"groups of {group} do not divide keys of {width} numbers")
    values, scales = quantise_groups(keys_CW.float().reshape(-1, width // group, group), format)
    return RoutingKeys(values.flatten(1), scales)


def quantise_groups(x: Tensor, format: str) -> tuple[Tensor, Tensor]:
    """float32 [..., S, group] to values of the same shape and float16 scales [..., S]."""
    largest = LARGEST[format]
    scales = (x.abs().amax(-1) / largest).clamp_min(SMALLEST_SCALE).to(torch.float16)
    # Divided by the scale as stored, so that rounding it costs nothing but the clamp of the largest value.
    scaled = (x / scales.float()[..., None]).clamp(-largest, largest)
    return (scaled.round() if format == "int8" else scaled).to(DTYPES[format]), scales


def dequantise(keys: RoutingKeys) -> Tensor:
    """[C, W] float32."""
    values = keys.values.float()
    if keys.scales is not None:
        values *= keys.scales.float().repeat_interleave(keys.group, 1)
    return values
