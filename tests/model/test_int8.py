"""8-bit layers: close to the layer that they stand for, a token at a time, by whichever product."""

import pytest
import torch

from codemem.model import int8
from codemem.model.config import DecoderConfig
from codemem.model.decoder import Mlp
from codemem.model.int8 import Int8Linear, quantise_linears


@pytest.fixture(params=["at once", "later"])
def patience(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a layer takes the product for single tokens from the first one on."""
    monkeypatch.setattr(int8, "PATIENCE", 0 if request.param == "at once" else 9)
    monkeypatch.setattr(int8, "SPREAD", 1)


@torch.inference_mode()
def test_close_to_the_layer_that_it_stands_for() -> None:
    torch.manual_seed(2)
    linear = torch.nn.Linear(512, 64)
    x = torch.randn(7, 512)
    error = Int8Linear.from_linear(linear)(x) - linear(x)
    assert error.norm() / linear(x).norm() < 0.03


@pytest.mark.usefixtures("patience")
@torch.inference_mode()
def test_a_token_gives_the_same_bits_alone_and_among_others() -> None:
    torch.manual_seed(1)
    layer = Int8Linear.from_linear(torch.nn.Linear(96, 200))
    x = torch.randn(33, 96) * torch.logspace(-3, 3, 33)[:, None]
    x[5] = 0
    together = layer(x)
    for row in range(33):
        assert torch.equal(layer(x[row : row + 1])[0], together[row])


@torch.inference_mode()
def test_both_products_of_a_single_token_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8, "PATIENCE", 0)
    monkeypatch.setattr(int8, "SPREAD", 1)
    layer = Int8Linear.from_linear(torch.nn.Linear(96, 200))
    rows = [torch.randn(1, 96) for _ in range(20)]
    first = [layer(row) for row in rows]
    monkeypatch.setattr(int8, "_HAS_ONE", False)
    assert all(torch.equal(layer(row), known) for row, known in zip(rows, first, strict=True))


def test_an_mlp_gives_a_row_the_same_bits_wherever_it_stands() -> None:
    """Rows go through an MLP in blocks, so that entries must not depend on where a block begins."""
    config = DecoderConfig(
        vocab_size=16, hidden_size=32, layers=1, heads=2, kv_heads=1, head_dim=16, intermediate_size=48, qkv_bias=False,
        qk_norm=False, tied=True, rope_theta=1e4, rms_eps=1e-6,
    )  # fmt: skip
    torch.manual_seed(4)
    mlp = Mlp(config)
    for parameter in mlp.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    x = torch.randn(2 * Mlp.rows_together + 37, 32)
    dense = mlp(x)
    assert dense.requires_grad
    quantise_linears(mlp)
    with torch.no_grad():
        whole = mlp(x)
        shifted = mlp(x[5:])
    assert torch.equal(whole[5:], shifted)
    assert torch.allclose(whole, dense, atol=0.05 * float(dense.detach().abs().max()))
