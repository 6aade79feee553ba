"""The update of a wide projection, in one product, equals the plain formula and its gradients."""

import pytest
import torch
from torch import nn

from codemem.model.adapter import LowRank


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("inputs", "outputs"), [(6, 20), (20, 6)])
def test_value_and_gradients(inputs: int, outputs: int, *, bias: bool) -> None:
    torch.manual_seed(0)
    layer = LowRank(nn.Linear(inputs, outputs, bias=bias), rank=3).double()
    nn.init.normal_(layer.b)
    x = torch.randn(7, inputs, dtype=torch.float64, requires_grad=True)
    against = torch.randn(7, outputs, dtype=torch.float64)
    found = torch.autograd.grad((layer(x) * against).sum(), (x, layer.a, layer.b))
    plain = layer.base(x) + (x @ layer.a.T) @ layer.b.T
    expected = torch.autograd.grad((plain * against).sum(), (x, layer.a, layer.b))
    torch.testing.assert_close(layer(x), plain)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), plain)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)
