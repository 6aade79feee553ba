"""What finds stays to the bit, what reads is the sum that was asked for."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from codemem.model.adapter import AdapterFile, LowRank, save_adapter, tensors_of
from codemem.model.config import DecoderConfig, MemoryConfig
from codemem.model.errors import WeightsCorrupt
from codemem.model.routers import Routers
from codemem.training.halves import join

MEMORY = MemoryConfig((0, 2), find_layers=1)
RANK, WIDTH = 4, 24
CONFIG = DecoderConfig(64, 32, 4, 4, 2, 8, 48, 1e4, 1e-6, qkv_bias=True, qk_norm=False, tied=True)


def adapter(path: Path, seed: int, *, base: str = "a" * 64, start: Path | None = None) -> Path:
    """Four layers of one projection; where `start` is given, its product with a change of rank 1."""
    torch.manual_seed(seed)
    adapters = {}
    for layer in range(4):
        name = f"layers.{layer}.mlp.down_proj"
        low = LowRank(torch.nn.Linear(WIDTH, WIDTH, bias=False), RANK)
        low.a.data.normal_()
        low.b.data.normal_()
        if start:
            begun = AdapterFile(start)
            low.a.data = begun.matrix(f"{name}.a")
            low.b.data = begun.matrix(f"{name}.b")
            low.b.data[:, 0] += torch.randn(WIDTH)
        adapters[name] = low
    save_adapter(path, adapters, Routers(CONFIG, MEMORY.routed_layers), MEMORY, base)
    return path


def product(path: Path, layer: int) -> torch.Tensor:
    file = AdapterFile(path)
    return file.matrix(f"layers.{layer}.mlp.down_proj.b") @ file.matrix(f"layers.{layer}.mlp.down_proj.a")


def test_below_the_layer_all_is_of_what_finds_and_above_it_what_was_learnt_is_added(tmp_path: Path) -> None:
    start = adapter(tmp_path / "s", 0)
    finds, reads = adapter(tmp_path / "x", 1, start=start), adapter(tmp_path / "r", 2, start=start)
    out = tmp_path / "out"
    kept = join(finds, reads, start, out, from_layer=2, weight=0.5, routed=(0,))
    assert AdapterFile(out).memory == replace(MEMORY, routed_layers=(0,), find_layers=0)
    own, joined = tensors_of(finds), tensors_of(out)
    for name, tensor in joined.items():
        if name.startswith(("layers.0", "layers.1", "routers.")):
            assert torch.equal(tensor, own[name])
    assert not any(name.startswith("routers.2") for name in joined)
    assert 0.9 < kept <= 1.0
    for layer in (2, 3):
        wanted = product(finds, layer) + 0.5 * (product(reads, layer) - product(start, layer))
        off = (product(out, layer) - wanted).norm() / wanted.norm()
        assert off < (1 - kept) ** 0.5 + 0.02  # what the rank leaves out, and 8 bits


def test_files_of_two_models_and_layers_that_do_not_route_are_refused(tmp_path: Path) -> None:
    start, other = adapter(tmp_path / "s", 0), adapter(tmp_path / "o", 1, base="b" * 64)
    with pytest.raises(WeightsCorrupt, match="one base model"):
        join(start, other, start, tmp_path / "out", from_layer=2, weight=1.0, routed=(0,))
    with pytest.raises(ValueError, match="layers \\[1\\]"):
        join(start, start, start, tmp_path / "out", from_layer=2, weight=1.0, routed=(0, 1))
    assert not (tmp_path / "out").exists()


def test_over_the_start_what_was_learnt_above_is_kept_to_the_bit(tmp_path: Path) -> None:
    start = adapter(tmp_path / "s", 0)
    reads = adapter(tmp_path / "r", 2, start=start)
    out = tmp_path / "out"
    assert join(start, reads, start, out, from_layer=2, weight=1.0, routed=(0,)) == 1.0
    below, above = tensors_of(start), tensors_of(reads)
    for name, tensor in tensors_of(out).items():
        of_reads = name.startswith(("layers.2", "layers.3"))
        assert torch.equal(tensor, above[name] if of_reads else below[name])
