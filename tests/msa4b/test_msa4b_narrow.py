"""A checkpoint whose matrices are kept in 8 or 4 bits: what it computes, what it takes, and what memories it makes."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from msa4b_tiny import Shape
from torch import nn

from codemem.model.decoder import Decoder
from codemem.model.errors import StoreError, WeightsCorrupt
from codemem.model.events import Answer
from codemem.model.load import decoder_layout
from codemem.model.msa4b import (
    Conversation,
    Interleave,
    Limits,
    Msa4bMemory,
    Msa4bModel,
    load_memory,
    load_msa4b,
    save_memory,
)
from codemem.model.msa4b.checkpoint import loaded_bytes, read_json
from codemem.model.msa4b.engine import entry_layout
from codemem.model.msa4b.shards import Shards
from codemem.model.narrow import NarrowEmbedding, NarrowLinear
from codemem.model.weights.kept import Weights

TEXTS = [(f"m{i}.py\n", f"def open_{i}(path):\n    return Store(path, {i})\n" * (1 + i % 4)) for i in range(24)]
QUESTION = "where is the store opened?"
WIDE = Shape(layers=4, routed="1,2,3", hidden=128, heads=4, groups=2, head_dim=32, ffn=256, top_k=4)
STEP: dict[Weights, float] = {"int8": 1 / 127, "int4": 1 / 15}
"""Distance of two levels, of the largest weight of a row, or of the breadth of a group."""


def loaded(folder: Path, weights: Weights, dtype: torch.dtype = torch.float32) -> Msa4bModel:
    return load_msa4b(folder, dtype=dtype, weights=weights)


def remembered(model: Msa4bModel) -> Msa4bMemory:
    memory = Msa4bMemory.of(model)
    memory.add(model, TEXTS)
    return memory


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).square().mean().sqrt() / expected.square().mean().sqrt())


@pytest.mark.parametrize("weights", ["int8", "int4"])
@pytest.mark.parametrize("shape", [Shape(), Shape(tied=False, shards=3), Shape(qwen2=True), WIDE])
def test_every_matrix_is_the_checkpoints_rounded(
    checkpoint: Callable[..., Path], shape: Shape, weights: Weights
) -> None:
    """Each weight within half a step of its own, and nothing else changed."""
    folder = checkpoint(shape)
    dense, narrow = loaded(folder, "bf16").decoder, loaded(folder, weights).decoder
    for name in decoder_layout(dense.config):
        owner, _, leaf = name.rpartition(".")
        expected, module = dense.get_parameter(name), narrow.get_submodule(owner)
        if not isinstance(module, NarrowLinear | NarrowEmbedding) or leaf == "bias":
            assert torch.equal(module.get_parameter(leaf), expected)
            continue
        table = owner in ("embed_tokens", "lm_head")
        assert module.matrix.bits == (8 if table or weights == "int8" else 4)
        breadth = expected.amax() - expected.amin() if module.matrix.bits == 4 else 2 * expected.abs().amax()
        step = STEP["int8"] / 2 if module.matrix.bits == 8 else STEP["int4"]
        found = module.matrix.dense(torch.float32)
        assert float((found - expected).abs().max()) <= float(breadth) * (step / 2 + 2**-10)
    assert not [m for m in narrow.modules() if isinstance(m, nn.Linear)]


@pytest.mark.parametrize("weights", ["int8", "int4"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_logits_and_routing_stay_within_what_rounding_explains(
    checkpoint: Callable[..., Path], weights: Weights, dtype: torch.dtype
) -> None:
    """Against the same checkpoint dense, in float32.

    Bound: weights drawn from a normal distribution lie within 4 (8 bits, whole rows) or 2.1 (4 bits, groups of 32,
    either side) standard deviations, so rounding to steps of 4 / 127 or 4.2 / 15 adds a root-mean-square error of
    step / sqrt(12) = 0.0091 or 0.081 of the weights' own to each product. A layer has four products one behind the
    other and its residual sum keeps what was there, so L layers err by at most sqrt(4 L) of that, and bf16 by
    sqrt(8 L) / 2 epsilon more (test_msa4b_golden). Twice is allowed, as there; a matrix that was read wrongly errs by
    the order of the tensor.
    """
    folder = checkpoint(WIDE)
    dense, narrow = loaded(folder, "bf16"), loaded(folder, weights, dtype)
    of_products = {"int8": 4 / 127, "int4": 4.2 / 15}[weights] / 12**0.5
    narrow_type = 0.0 if dtype == torch.float32 else (8 * WIDE.layers) ** 0.5 / 2 * 2.0**-7
    bound = 2 * ((4 * WIDE.layers) ** 0.5 * of_products + narrow_type)
    memories = [remembered(model) for model in (dense, narrow)]
    for layer in dense.config.memory.routed_layers:
        for part in ("route", "k", "v"):
            expected, found = (getattr(memory.layer(layer), part).float() for memory in memories)
            assert relative_error(found, expected) < bound
    logits, chosen = [], []
    for model, memory in zip((dense, narrow), memories, strict=True):
        conversation = Conversation(model, memory)
        logits.append(conversation.logits(conversation.feed(model.protocol.question(QUESTION))))
        chosen.append([set(route.documents.tolist()) for _, route in sorted(conversation.routes.items())])
    assert relative_error(logits[1], logits[0]) < bound
    overlap = [len(one & other) / WIDE.top_k for one, other in zip(*chosen, strict=True)]
    assert sum(overlap) / len(overlap) >= {"int8": 0.75, "int4": 0.5}[weights]


@pytest.mark.parametrize("weights", ["int8", "int4"])
def test_it_takes_what_was_said(checkpoint: Callable[..., Path], weights: Weights) -> None:
    folder = checkpoint(WIDE)
    model = loaded(folder, weights)
    told = loaded_bytes(read_json(folder / "config.json"), weights, torch.float32)
    assert told == held_bytes(model.decoder) + sum(p.nbytes for p in model.routers.parameters())
    dense = loaded_bytes(read_json(folder / "config.json"), "bf16", torch.float32)
    assert told < dense * {"int8": 0.45, "int4": 0.42}[weights]  # routers are a fifth of so small a checkpoint


def held_bytes(decoder: Decoder) -> int:
    matrices = {
        id(m.matrix): m.matrix.nbytes for m in decoder.modules() if isinstance(m, NarrowLinear | NarrowEmbedding)
    }
    return sum(matrices.values()) + sum(p.nbytes for p in decoder.parameters())


def test_the_4b_fits_small_cards() -> None:
    """Bytes of weights and routers on the device at the published size (tests/msa4b/test_msa4b_checkpoint.py)."""
    from test_msa4b_checkpoint import MSA_4B

    sizes = {w: loaded_bytes(MSA_4B, w, torch.bfloat16) / 1e9 for w in ("bf16", "int8", "int4")}  # type: ignore[arg-type]
    assert {w: round(size, 2) for w, size in sizes.items()} == {"bf16": 8.52, "int8": 4.5, "int4": 3.13}


@pytest.mark.parametrize("weights", ["int8", "int4"])
def test_in_blocks_of_any_size_and_from_any_type(
    checkpoint: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: Weights
) -> None:
    folder = checkpoint(WIDE)
    whole = loaded(folder, weights)
    monkeypatch.setattr("codemem.model.load.NARROWED_BYTES", 4 * 128 * 7)
    monkeypatch.setattr("codemem.model.msa4b.shards.BLOCK_BYTES", 1000)
    parts = loaded(folder, weights)
    for name, module in whole.decoder.named_modules():
        if isinstance(module, NarrowLinear | NarrowEmbedding):
            other = parts.decoder.get_submodule(name)
            assert torch.equal(module.matrix.dense(torch.float32), other.matrix.dense(torch.float32))


@pytest.mark.parametrize("weights", ["int8", "int4"])
def test_a_memory_is_saved_reloaded_and_asked(
    checkpoint: Callable[..., Path], tmp_path: Path, weights: Weights
) -> None:
    folder = checkpoint(WIDE)
    model = loaded(folder, weights)
    memory = remembered(model)
    save_memory(memory, tmp_path / "memory")
    again = load_memory(loaded(folder, weights), tmp_path / "memory")
    for layer in model.config.memory.routed_layers:
        for name, tensor in memory.layer(layer).tensors().items():
            assert torch.equal(again.layer(layer).tensors()[name], tensor)
    limits = Limits(rounds=2, retrieval_tokens=6, answer_tokens=6)
    answers = [list(Interleave(model, m, limits=limits).answer(QUESTION))[-1] for m in (memory, again)]
    assert all(isinstance(answer, Answer) and answer.read for answer in answers)
    assert answers[0].text == answers[1].text  # type: ignore[union-attr]


def test_entries_of_other_weights_are_other_entries(checkpoint: Callable[..., Path], tmp_path: Path) -> None:
    models = {weights: loaded(checkpoint(), weights) for weights in ("bf16", "int8", "int4")}
    assert len({model.fingerprint for model in models.values()}) == 3
    assert len({entry_layout(model).fingerprint for model in models.values()}) == 3
    assert len({model.checkpoint for model in models.values()}) == 1
    assert models["bf16"].fingerprint == models["bf16"].checkpoint  # memories made before there was a choice stay
    save_memory(remembered(models["int8"]), tmp_path / "memory")
    with pytest.raises(StoreError):
        load_memory(models["bf16"], tmp_path / "memory")


def test_one_token_in_place_computes_what_a_pass_does(checkpoint: Callable[..., Path]) -> None:
    model = loaded(checkpoint(), "int8")
    memory = remembered(model)
    logits = []
    for static in (True, False):
        conversation = Conversation(model, memory, static=static)
        conversation.feed(model.protocol.question(QUESTION))
        logits.append([conversation.follow(token).clone() for token in (7, 300, 12)])
    for one, other in zip(*logits, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_a_wrong_checkpoint_is_refused_before_anything_is_rounded(
    checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(checkpoint(), tmp_path / "x")
    raw = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(raw | {"intermediate_size": 41}))
    with pytest.raises(WeightsCorrupt, match=r"'model.layers.0.mlp.gate_proj.weight' has shape"):
        loaded(folder, "int4")


def test_rows_of_a_tensor_are_read_alone(checkpoint: Callable[..., Path]) -> None:
    shards = Shards(checkpoint())
    name = "model.layers.1.mlp.up_proj.weight"
    whole = shards[name]
    part = torch.empty(5, whole.shape[1])
    shards.copy_into(name, part, 11)
    assert torch.equal(part, whole[11:16])
    with pytest.raises(ValueError, match="are no target"):
        shards.copy_into(name, part, len(whole) - 4)
