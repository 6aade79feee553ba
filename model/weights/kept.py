"""How a decoder's matrices may be kept in memory. Known without torch: it is part of a model's name."""

from typing import Literal, get_args

Weights = Literal["bf16", "int8", "int4"]
"""As the checkpoint has them (in the precision of the device), or rounded to 8 or 4 bits as they are loaded."""
WEIGHTS: tuple[Weights, ...] = get_args(Weights)
