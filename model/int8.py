"""8-bit linear layers for processors: int8 weights, a scale an output row; activations quantised a token at a time.

y[t, n] = s[t] w[n] sum_k a[t, k] W[n, k] (+ bias). A token's result depends on that token alone: its own scale, and
integer sums that are exact in any order. So an entry's bytes do not depend on what its document was packed with.

Activations use 7 bits (-63..63, stored unsigned around 64): without VNNI, oneDNN adds pairs of products in 16 bits,
and 127 * 127 * 2 just fits where 255 * 127 * 2 saturates silently (docs/decisions/0008-kernels.md).

A single token, which is what decoding computes, goes through FBGEMM's product of the same integers where this torch has
it: four times as fast as oneDNN's on AVX2 (benchmarks/results/2026-11-23-encode-cpu-llama.md), with the same sums. Its
packed matrices take as long to make as some 50 tokens of an answer save, so each is made once it has served a while,
and not all at the same token.
"""

import itertools
import warnings
from typing import Any, Self

import torch
from torch import Tensor, nn

from codemem.model.adapter import quantise_rows

ZERO = 64
LARGEST = 63.0
PATIENCE, SPREAD = 64, 64
"""Single tokens that a layer computes before it packs its matrix for them: from PATIENCE on, one after another."""
_numbers = itertools.count()


class Int8Linear(nn.Module):
    """Stands in for `nn.Linear` at inference, float32 in and out, on the CPU."""

    def __init__(self, values: Tensor, scale: Tensor, bias: Tensor | None) -> None:
        """`values` int8 [N, K], `scale` float32 [N], `bias` float32 [N]. `from_linear` makes them."""
        super().__init__()
        self.out_features, self.in_features = values.shape
        self.values, self.scale, self.bias = values, scale, bias
        self._zero = torch.zeros(self.out_features, dtype=torch.int64)
        self._packed: Tensor | None = None
        self._packed_for_one: Any = None
        self._patience = PATIENCE + next(_numbers) % SPREAD

    @classmethod
    def from_linear(cls, linear: nn.Linear) -> Self:
        values, scale = quantise_rows(linear.weight.detach().float())
        return cls(values, scale.float(), None if linear.bias is None else linear.bias.detach().float())

    def forward(self, x: Tensor) -> Tensor:
        x = x.float()
        length = x.abs().amax(-1, keepdim=True).clamp_min(1e-30)
        whole = (x * (LARGEST / length)).round_()
        y = self._one(whole) if len(whole) == 1 and _HAS_ONE else self._several(whole)
        y.mul_(length / LARGEST)
        return y if self.bias is None else y.add_(self.bias)

    def _several(self, whole: Tensor) -> Tensor:
        """Products of whole numbers [T, K] with the scaled rows, [T, N]."""
        if self._packed is None:  # at first use: `find` never runs the upper half of the layers, nor the output matrix
            self._packed = torch.ops.onednn.qlinear_prepack(self.values, None)
        quantised = whole.add_(ZERO).to(torch.uint8)
        y: Tensor = torch.ops.onednn.qlinear_pointwise(
            quantised, 1.0, ZERO, self._packed, self.scale, self._zero, None, 1.0, 0, torch.float32, "none", [], ""
        )
        return y

    def _one(self, whole: Tensor) -> Tensor:
        """The same of one row [1, K]. Its numbers are whole already, so the scale of 1 changes none of them."""
        if self._packed_for_one is None:
            if self._patience > 0:
                self._patience -= 1
                return self._several(whole)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # of a later torch without this; `_HAS_ONE` sees to that
                rows = torch._make_per_channel_quantized_tensor(self.values, self.scale.double(), self._zero, 0)
            self._packed_for_one = torch.ops.quantized.linear_prepack(rows, None)
        product = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32
        y: Tensor = product(whole, 1.0, ZERO, self._packed_for_one)
        return y


def _has_one() -> bool:
    """Whether this torch has FBGEMM's product, and runs it."""
    return (
        torch.backends.quantized.engine in ("x86", "fbgemm")
        and hasattr(torch, "_make_per_channel_quantized_tensor")
        and hasattr(torch.ops.quantized, "linear_prepack")
        and hasattr(torch.ops.quantized, "linear_with_input_q_dq_qweight_dq_output_fp32")
    )


_HAS_ONE = _has_one()


def quantise_linears(module: nn.Module) -> None:
    """Replaces every `nn.Linear` below `module` in place. A matrix shared with an embedding is quantised by itself."""
    for name, child in list(module.named_children()):
        if isinstance(child, nn.Linear):
            setattr(module, name, Int8Linear.from_linear(child))
        else:
            quantise_linears(child)
