"""Routers learn a planted association on a frozen backbone, and survive their 8-bit file."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from codemem.model.adapter import AdapterFile, change_memory, save_adapter, tensors_of
from codemem.model.config import DecoderConfig, MemoryConfig
from codemem.model.decoder import Decoder
from codemem.model.errors import WeightsCorrupt
from codemem.model.routers import Routers
from codemem.training.warmup import Warmup, document_features, question_features

CONFIG = DecoderConfig(64, 32, 3, 4, 2, 8, 48, 1e4, 1e-6, qkv_bias=True, qk_norm=False, tied=True)
MEMORY = MemoryConfig((1, 2), chunk_tokens=8, top_k=3, attends=False, names=False)


def planted() -> Warmup:
    """Forty documents; each question repeats its document's own two tokens among noise."""
    torch.manual_seed(0)
    decoder = Decoder(CONFIG).eval()
    marks = [(5 + i % 8, 20 + i // 8) for i in range(40)]
    documents = [[*torch.randint(40, 64, (3 + i % 9,)).tolist(), a, b] for i, (a, b) in enumerate(marks)]
    questions = [[a, *torch.randint(40, 64, (2,)).tolist(), b] for a, b in marks]
    return Warmup(
        Routers(CONFIG, MEMORY.routed_layers),
        MEMORY,
        document_features(decoder, documents, MEMORY, pack_tokens=64),
        question_features(decoder, questions, [1, 2, 3], MEMORY, pack_tokens=64),
        torch.arange(40),
        groups=CONFIG.kv_heads,
        noise=0.0,
    )


def test_a_planted_association_is_learnt_and_the_loss_falls() -> None:
    warmup = planted()
    every = torch.arange(40)
    before = (1 / warmup.ranks(every).float()).mean()
    optimiser = torch.optim.AdamW(warmup.routers.parameters(), lr=5e-3)
    losses = []
    for _ in range(60):
        loss = warmup.loss(every)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(loss.item())
    after = (1 / warmup.ranks(every).float()).mean()
    assert losses[-1] < 0.5 * losses[0]
    assert after > 0.9 > before


def test_features_do_not_depend_on_packing() -> None:
    torch.manual_seed(0)
    decoder = Decoder(CONFIG).eval()
    documents = [torch.randint(0, 64, (n,)).tolist() for n in (1, 7, 8, 9, 20)]
    together = document_features(decoder, documents, MEMORY, pack_tokens=1000)
    alone = document_features(decoder, documents, MEMORY, pack_tokens=1)
    assert together.owner.tolist() == alone.owner.tolist() == [0, 1, 2, 3, 3, 4, 4, 4]
    for layer in MEMORY.routed_layers:
        torch.testing.assert_close(together.rows[layer], alone.rows[layer], atol=2e-3, rtol=1e-2)


def test_an_adapter_file_of_routers_alone_gives_them_back(tmp_path: Path) -> None:
    torch.manual_seed(0)
    routers, loaded = Routers(CONFIG, MEMORY.routed_layers), Routers(CONFIG, MEMORY.routed_layers)
    path = tmp_path / "adapter.safetensors"
    save_adapter(path, {}, routers, MEMORY, base="0" * 64)
    file = AdapterFile(path)
    file.load_routers(loaded)
    assert file.memory == MEMORY
    for one, other in zip(routers.parameters(), loaded.parameters(), strict=True):
        assert (one - other).abs().max() < one.abs().max() / 127
    decoder = Decoder(CONFIG)
    weight = decoder.layers[0].mlp.down_proj.weight.clone()  # type: ignore[union-attr, operator]
    file.merge_into(decoder)
    assert torch.equal(weight, decoder.layers[0].mlp.down_proj.weight)  # type: ignore[union-attr, arg-type]


def test_settings_of_an_adapters_memory_change_without_its_weights(tmp_path: Path) -> None:
    path, changed = tmp_path / "adapter.safetensors", tmp_path / "changed.safetensors"
    save_adapter(path, {}, Routers(CONFIG, MEMORY.routed_layers), MEMORY, base="0" * 64)
    change_memory(path, changed, names=not MEMORY.names)
    one, other = AdapterFile(path), AdapterFile(changed)
    assert other.memory == replace(one.memory, names=not MEMORY.names)
    assert other.base == one.base
    name = f"routers.{next(name for name, _ in Routers(CONFIG, MEMORY.routed_layers).named_parameters())}"
    assert torch.equal(one.matrix(name), other.matrix(name))


def test_routers_of_layers_that_no_longer_route_are_left_out(tmp_path: Path) -> None:
    path, fewer = tmp_path / "adapter.safetensors", tmp_path / "fewer.safetensors"
    memory = replace(MEMORY, routed_layers=(0, 1))
    save_adapter(path, {}, Routers(CONFIG, (0, 1)), memory, base="0" * 64)
    change_memory(path, fewer, routed_layers=(1,))
    assert AdapterFile(fewer).memory == replace(memory, routed_layers=(1,))
    assert {name.split(".")[1] for name in tensors_of(fewer)} == {"1"}
    with pytest.raises(ValueError, match="no routers of layers \\[0\\]"):
        change_memory(fewer, path, routed_layers=(0, 1))


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "adapter.safetensors"
    path.write_bytes(b"no safetensors")
    with pytest.raises(WeightsCorrupt, match=r"adapter\.safetensors"):
        AdapterFile(path)
