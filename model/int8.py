"""8-bit linear layers for processors: int8 weights, a scale an output row; activations quantised a token at a time.

y[t, n] = s[t] w[n] sum_k a[t, k] W[n, k] (+ bias). A token's result depends on that token alone: its own scale, and
integer sums that are exact in any order. So an entry's bytes do not depend on what its document was packed with.

Activations use 7 bits (-63..63, stored unsigned around 64): without VNNI, oneDNN adds pairs of products in 16 bits,
and 127 * 127 * 2 just fits where 255 * 127 * 2 saturates silently (docs/decisions/0008-kernels.md).
"""

from typing import Self

import torch
from torch import Tensor, nn

from codemem.model.adapter import quantise_rows

ZERO = 64
LARGEST = 63.0


class Int8Linear(nn.Module):
    """Stands in for `nn.Linear` at inference, float32 in and out, on the CPU."""

    def __init__(self, values: Tensor, scale: Tensor, bias: Tensor | None) -> None:
        """`values` int8 [N, K], `scale` float32 [N], `bias` float32 [N]. `from_linear` makes them."""
        super().__init__()
        self.out_features, self.in_features = values.shape
        self.values, self.scale, self.bias = values, scale, bias
        self._zero = torch.zeros(self.out_features, dtype=torch.int64)
        self._packed: Tensor | None = None

    @classmethod
    def from_linear(cls, linear: nn.Linear) -> Self:
        values, scale = quantise_rows(linear.weight.detach().float())
        return cls(values, scale.float(), None if linear.bias is None else linear.bias.detach().float())

    def forward(self, x: Tensor) -> Tensor:
        if self._packed is None:  # at first use: `find` never runs the upper half of the layers, nor the output matrix
            self._packed = torch.ops.onednn.qlinear_prepack(self.values, None)
        x = x.float()
        length = x.abs().amax(-1, keepdim=True).clamp_min(1e-30)
        quantised = (x * (LARGEST / length)).round_().add_(ZERO).to(torch.uint8)
        y: Tensor = torch.ops.onednn.qlinear_pointwise(
            quantised, 1.0, ZERO, self._packed, self.scale, self._zero, None, 1.0, 0, torch.float32, "none", [], ""
        )
        y.mul_(length / LARGEST)
        return y if self.bias is None else y.add_(self.bias)


def quantise_linears(module: nn.Module) -> None:
    """Replaces every `nn.Linear` below `module` in place. A matrix shared with an embedding is quantised by itself."""
    for name, child in list(module.named_children()):
        if isinstance(child, nn.Linear):
            setattr(module, name, Int8Linear.from_linear(child))
        else:
            quantise_linears(child)
