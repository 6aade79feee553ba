"""The decoder through its Triton kernels, interpreted where there is no GPU, beside the same decoder by torch."""

import pytest
import torch

from codemem.kernels import gate, gemv, norm, rotary, serving
from codemem.kernels.attend import step, triton_step
from codemem.model.config import DecoderConfig, MemoryConfig
from codemem.model.decoder import Decoder
from codemem.model.memory import EncodingContext, TextContext
from codemem.model.routers import Routers
from codemem.model.single import can_run_single, run_single
from codemem.model.static import StaticContext, StaticDecode

MEMORY = MemoryConfig((0, 1))


def config(*, biased: bool) -> DecoderConfig:
    return DecoderConfig(20, 24, 2, 6, 2, 10, 20, 1e4, 1e-6, qkv_bias=biased, qk_norm=not biased, tied=False)


@pytest.fixture(params=[False, True], ids=["normalised heads", "biases"])
def decoder(request: pytest.FixtureRequest, device: str) -> Decoder:
    torch.manual_seed(5)
    made = Decoder(config(biased=request.param))
    for name, parameter in made.named_parameters():
        if "norm" in name or name.endswith("bias"):
            parameter.data.normal_(1.0, 0.3)
    return made.to(device).requires_grad_(False).eval()


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes every operation take its kernel, whatever the device and dtype."""
    monkeypatch.setattr(serving, "_tried", {})
    monkeypatch.setattr(triton_step, "RANGES", 2)
    for operation in (gate, gemv, norm, rotary, step):
        monkeypatch.setattr(operation, "wants_kernel", lambda *_: True)


def text(decoder: Decoder, capacity: int) -> TextContext:
    at = decoder.norm.weight
    routers = Routers(decoder.config, MEMORY.routed_layers).to(at.device)
    made = TextContext(decoder.config, MEMORY, routers, None, capacity=capacity, device=at.device, dtype=at.dtype)
    rows = torch.randn(2, 5, 2, 10, generator=torch.Generator().manual_seed(1)).to(at.device)
    for layer in MEMORY.routed_layers:
        made.layers[layer].set_memory(rows[0], rows[1])
    return made


@pytest.mark.usefixtures("kernels")
def test_an_encoding(decoder: Decoder, device: str) -> None:
    routers = Routers(decoder.config, MEMORY.routed_layers).to(device)
    lengths = [3, 1, 9]
    ids = torch.arange(5, 18, device=device)
    positions = torch.cat([torch.arange(n) for n in lengths]).to(device)
    found = []
    for torch_alone in (False, True):
        context = EncodingContext(lengths, routers, MEMORY)
        with torch.inference_mode():
            if torch_alone:
                with serving.without_kernels():
                    below = decoder(ids, positions, context, observe_only=1)
            else:
                below = decoder(ids, positions, context, observe_only=1)
        found.append((below, context.pooled[0].k, context.pooled[1].v, context.pooled[1].route))
    assert serving.refusals() == {}
    for ours, torchs in zip(*found, strict=True):
        torch.testing.assert_close(ours, torchs, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("kernels")
def test_steps_and_single_products(decoder: Decoder, device: str) -> None:
    with serving.without_kernels():
        one = text(decoder, 16)
        by_torch = StaticDecode(decoder, one, graph=False)
        expected = [by_torch.step(token, 9 + i) for i, token in enumerate((3, 19))]
    other, single = text(decoder, 16), text(decoder, 16)
    stepped = StaticDecode(decoder, other, graph=False)
    assert can_run_single(decoder)
    for i, token in enumerate((3, 19)):
        torch.testing.assert_close(stepped.step(token, 9 + i), expected[i], rtol=1e-4, atol=1e-5)
        ends = torch.tensor([cache.memory_rows + i for cache in single.layers], device=device)
        with torch.inference_mode():
            seen = StaticContext(single, ends, (16, 16))
            logits = run_single(
                decoder, torch.tensor([token], device=device), torch.tensor([9 + i], device=device), seen
            )
        torch.testing.assert_close(logits[0], expected[i], rtol=1e-4, atol=1e-5)
    assert serving.refusals() == {}
    assert {kernel.partition(" ")[0] for kernel, _ in serving._tried} >= {"gemv", "norm", "rotary", "gate", "attend"}
