"""Plain checkpoints converted: the same decoder, fresh routers, the published layout."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from msa4b_tiny import Shape
from safetensors.torch import load_file
from transformers import PreTrainedModel, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

from codemem.model.errors import ModelError, WeightsCorrupt
from codemem.model.msa4b import Conversation, Interleave, Limits, Msa4bMemory, convert, load_msa4b
from codemem.model.msa4b.tokens import Prompt

SIZES: dict[str, Any] = {
    "vocab_size": 340,
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "rope_theta": 1e6,
}
FAMILIES = {
    "qwen3-tied": (Qwen3Config, Qwen3ForCausalLM, {"head_dim": 10, "tie_word_embeddings": True}),
    "qwen3-untied": (Qwen3Config, Qwen3ForCausalLM, {"head_dim": 8, "tie_word_embeddings": False}),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM, {"tie_word_embeddings": True}),
}


@pytest.fixture(params=FAMILIES)
def plain(
    request: pytest.FixtureRequest, tmp_path: Path, checkpoint: Callable[..., Path]
) -> tuple[Path, PreTrainedModel]:
    """A checkpoint as transformers writes it, with our tiny tokenizer; two shards."""
    configuration, kind, more = FAMILIES[request.param]
    torch.manual_seed(3)
    model = kind(configuration(**SIZES, **more)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    model.save_pretrained(tmp_path / "plain", max_shard_size="60KB")
    tiny = checkpoint(Shape())
    for name in ("tokenizer.json", "generation_config.json"):
        shutil.copyfile(tiny / name, tmp_path / "plain" / name)
    return tmp_path / "plain", model


def test_converted_checkpoint_is_the_same_decoder(plain: tuple[Path, PreTrainedModel], tmp_path: Path) -> None:
    source, theirs = plain
    convert(source, tmp_path / "msa", routed_layers=[1, 3], top_k=2, chunk_tokens=8)
    model = load_msa4b(tmp_path / "msa", dtype=torch.float32)
    assert model.config.memory.routed_layers == (1, 3)
    assert (model.config.memory.top_k, model.config.memory.chunk_tokens, model.config.memory.cosine) == (2, 8, True)
    ids = list(range(20, 60))
    conversation = Conversation(model, None)
    for cache in conversation.context.layers:
        cache.truncate(0)
    conversation.position = 0
    ours = model.decoder.logits(conversation.feed(Prompt.silent(ids)))
    with torch.no_grad():
        expected = theirs(torch.tensor([ids])).logits[0]
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)


def test_converted_checkpoint_answers(plain: tuple[Path, PreTrainedModel], tmp_path: Path) -> None:
    source, _ = plain
    convert(source, tmp_path / "msa", top_k=2, chunk_tokens=8)
    model = load_msa4b(tmp_path / "msa", dtype=torch.float32)
    assert model.config.memory.routed_layers == (2, 3)
    memory = Msa4bMemory.of(model)
    memory.add(model, [("a.py\n", "class Store: pass\n"), ("b.py\n", "x = 1\n"), ("c.py\n", "import os\n")])
    events = list(Interleave(model, memory, limits=Limits(retrieval_tokens=4, answer_tokens=4)).answer("what?"))
    assert len(events) > 1


def test_routers_are_fresh_and_seeded(plain: tuple[Path, PreTrainedModel], tmp_path: Path) -> None:
    source, theirs = plain
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        convert(source, tmp_path / name, seed=seed)
    a, b, c = (routers(tmp_path / name) for name in "abc")
    assert set(a) == {
        *(f"model.layers.{i}.self_attn.router_{x}_proj.0.weight" for i in (2, 3) for x in "qk"),
        "temperature",
    }
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not any(torch.equal(a[name], c[name]) for name in a if name != "temperature")
    weight = a["model.layers.2.self_attn.router_q_proj.0.weight"]
    assert 0.015 < float(weight.std()) < 0.025
    assert weight.dtype == theirs.dtype


def routers(folder: Path) -> dict[str, torch.Tensor]:
    """The tensors of the shard that was added, found through the index."""
    index = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    file = index["model.layers.2.self_attn.router_q_proj.0.weight"]
    tensors = load_file(folder / file)
    assert all(index[name] == file for name in tensors)
    return tensors


def test_nothing_is_overwritten_and_nothing_left_behind(plain: tuple[Path, PreTrainedModel], tmp_path: Path) -> None:
    source, _ = plain
    (tmp_path / "taken").mkdir()
    with pytest.raises(ModelError, match="exists already"):
        convert(source, tmp_path / "taken")
    with pytest.raises(WeightsCorrupt, match="router_layer_idx"):
        convert(source, tmp_path / "new", routed_layers=[9])
    raw = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps(raw | {"intermediate_size": 49}))
    with pytest.raises(WeightsCorrupt, match="gate_proj"):
        convert(source, tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plain", "taken"]


def test_an_msa_checkpoint_is_refused(checkpoint: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(WeightsCorrupt, match="MSA checkpoint already"):
        convert(checkpoint(), tmp_path / "new")
