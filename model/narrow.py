"""Weight-only quantisation: a decoder whose matrices hold 8 or 4 bits a weight, for cards that bf16 does not fit.

Activations, norms, biases and caches stay as they are, and so do the routers, which decide what is read. In 4 bits the
embedding and the output matrix keep 8: they are a tenth of the weights and next to every token.

Shapes: T tokens, E hidden, V vocabulary.
"""

import torch
from torch import Tensor, nn

from codemem.kernels.narrow import Bits, NarrowMatrix, multiply, narrow_bytes
from codemem.model.weights.kept import Weights

FORMAT = 1
"""Raised when the same checkpoint would be rounded to other numbers."""
_BITS: dict[Weights, Bits] = {"int8": 8, "int4": 4}
_TABLES = ("embed_tokens.weight", "lm_head.weight")


class NarrowLinear(nn.Module):
    """Stands in for `nn.Linear` at inference."""

    def __init__(self, matrix: NarrowMatrix, bias: Tensor | None) -> None:
        super().__init__()
        self.out_features, self.in_features = matrix.outputs, matrix.inputs
        self.matrix, self.bias = matrix, bias

    def forward(self, x_TE: Tensor) -> Tensor:
        return multiply(x_TE, self.matrix, self.bias)


class NarrowEmbedding(nn.Module):
    """Stands in for `nn.Embedding`: only the rows asked for are widened."""

    def __init__(self, matrix: NarrowMatrix, dtype: torch.dtype) -> None:
        super().__init__()
        self.matrix, self.dtype = matrix, dtype

    def forward(self, ids_T: Tensor) -> Tensor:
        return self.matrix.rows(ids_T).dense(self.dtype)


def bits_of(parameter: str, dimensions: int, weights: Weights) -> Bits | None:
    """Bits a number of a decoder's parameter; None for those that stay as they are."""
    if weights == "bf16" or dimensions != 2:
        return None
    return 8 if parameter in _TABLES else _BITS[weights]


def parameter_bytes(parameter: str, shape: tuple[int, ...], weights: Weights, dtype: torch.dtype) -> int:
    """Bytes that a decoder's parameter takes once it is loaded."""
    bits = bits_of(parameter, len(shape), weights)
    if bits is None:
        return torch.Size(shape).numel() * dtype.itemsize
    outputs, inputs = shape
    return narrow_bytes(outputs, inputs, bits)


def format_name(weights: Weights) -> str:
    """What goes into a fingerprint: names the rounding, not only the bits."""
    return f"{weights}-{FORMAT}"
