"""Opening a checkpoint: names and shapes, what is refused, how much memory it takes."""

import json
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from msa4b_tiny import Shape, write_shards
from safetensors.torch import load_file, save_file

from codemem.model.errors import WeightsCorrupt, WeightsMissing
from codemem.model.load import decoder_layout, load_decoder, router_layout
from codemem.model.msa4b import load_msa4b, read_config
from codemem.model.msa4b.shards import BLOCK_BYTES, Shards

MSA_4B: dict[str, Any] = {
    "model_type": "msa",
    "vocab_size": 151936,
    "hidden_size": 2560,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "intermediate_size": 9728,
    "rope_theta": 5000000,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": True,
    "msa_config": {
        "router_layer_idx": ",".join(str(i) for i in range(18, 36)),
        "top_k_docs": 16,
        "pooling_kernel_size": 64,
        "decouple_router": True,
        "rewrite_position": True,
        "head_reduce_method": "mean",
        "query_reduce_method": "max",
        "chunk_reduce_method": "max",
        "aux_loss_method": "INFONCE_DECOUPLE",
    },
}


class TestPublishedLayout:
    """The 4B checkpoint's key names and shapes, frozen.

    The published weights cannot be downloaded where this is developed, so no test ever opens them: a renamed module or
    a transposed projection would pass everything here and fail at the first user with a GPU. This list is written out
    by hand from the layout's documentation and must be changed only with the published checkpoint at hand.
    """

    PER_LAYER: ClassVar = {
        "input_layernorm.weight": (2560,),
        "self_attn.q_proj.weight": (4096, 2560),
        "self_attn.k_proj.weight": (1024, 2560),
        "self_attn.v_proj.weight": (1024, 2560),
        "self_attn.o_proj.weight": (2560, 4096),
        "self_attn.q_norm.weight": (128,),
        "self_attn.k_norm.weight": (128,),
        "post_attention_layernorm.weight": (2560,),
        "mlp.gate_proj.weight": (9728, 2560),
        "mlp.up_proj.weight": (9728, 2560),
        "mlp.down_proj.weight": (2560, 9728),
    }
    PER_ROUTED_LAYER: ClassVar = {
        "self_attn.router_q_proj.0.weight": (4096, 2560),
        "self_attn.router_k_proj.0.weight": (1024, 2560),
    }
    TOP: ClassVar = {"model.embed_tokens.weight": (151936, 2560), "model.norm.weight": (2560,)}

    @pytest.mark.parametrize("tied", [True, False])
    def test_names_and_shapes(self, tied: bool) -> None:
        config = read_config(MSA_4B | {"tie_word_embeddings": tied})
        layout = decoder_layout(config.decoder) | router_layout(config.decoder, config.memory.routed_layers)
        found = {part.name: part.shape for parts in layout.values() for part in parts}
        expected: dict[str, tuple[int, ...]] = dict(self.TOP)
        for i in range(36):
            expected |= {f"model.layers.{i}.{name}": shape for name, shape in self.PER_LAYER.items()}
        for i in range(18, 36):
            expected |= {f"model.layers.{i}.{name}": shape for name, shape in self.PER_ROUTED_LAYER.items()}
        if not tied:
            expected["lm_head.weight"] = (151936, 2560)
        assert found == expected
        parameters = sum(torch.Size(shape).numel() for shape in found.values())
        assert round(parameters / 1e9, 2) == (4.26 if tied else 4.65)

    def test_configuration(self) -> None:
        config = read_config(MSA_4B)
        assert config.memory.routed_layers == tuple(range(18, 36))
        assert (config.memory.chunk_tokens, config.memory.top_k, config.question_position) == (64, 16, 19)
        assert config.decoder.qk_norm
        assert not config.decoder.qkv_bias


class TestConfiguration:
    @pytest.mark.parametrize(
        ("method", "cosine"),
        [("INFONCE", True), ("INFONCE_DECOUPLE", False), ("INFONCE_FOCAL", False), ("infonce", False), ("BCE", False)],
    )
    def test_the_engines_rule_normalises_for_one_name_alone(self, method: str, cosine: bool) -> None:
        raw = with_msa(aux_loss_method=method)
        assert read_config(raw).memory.cosine is cosine
        assert read_config(raw, ranking="cosine").memory.cosine is True
        assert read_config(raw, ranking="scaled").memory.cosine is False

    @pytest.mark.parametrize(
        ("spelled", "layers"),
        [("all", tuple(range(36))), ("3", (3,)), ("20, 18", (18, 20)), ([1, 2], (1, 2)), (35, (35,))],
    )
    def test_routed_layers(self, spelled: object, layers: tuple[int, ...]) -> None:
        assert read_config(with_msa(router_layer_idx=spelled)).memory.routed_layers == layers

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"model_type": "qwen3"}, "codemem model convert"),
            ({"msa_config": None}, "without an msa_config"),
            ({"rope_scaling": {"type": "yarn"}}, "rope_scaling"),
            ({"hidden_act": "gelu"}, "hidden_act"),
            ({"use_sliding_window": True}, "use_sliding_window"),
            ({"attention_bias": True}, "attention_bias"),
            ({"num_attention_heads": 30}, "key heads"),
            ({"hidden_size": "many"}, "many"),
        ],
    )
    def test_what_is_not_implemented_is_refused_by_name(self, change: dict[str, Any], message: str) -> None:
        with pytest.raises(WeightsCorrupt, match=message):
            read_config(MSA_4B | change)

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("decouple_router", False),
            ("rewrite_position", False),
            ("head_reduce_method", "max"),
            ("query_reduce_method", "mean"),
            ("chunk_reduce_method", "sum"),
            ("router_layer_idx", "18,36"),
            ("router_layer_idx", "eighteen"),
            ("top_k_docs", 0),
        ],
    )
    def test_memory_settings_are_refused_by_name(self, field: str, value: object) -> None:
        with pytest.raises(WeightsCorrupt, match="msa_config"):
            read_config(with_msa(**{field: value}))

    @pytest.mark.parametrize("field", ["router_layer_idx", "top_k_docs", "pooling_kernel_size"])
    def test_missing_memory_setting(self, field: str) -> None:
        raw = with_msa()
        del raw["msa_config"][field]
        with pytest.raises(WeightsCorrupt, match=f"lacks msa_config.{field}"):
            read_config(raw)


def with_msa(**changes: object) -> dict[str, Any]:
    return MSA_4B | {"msa_config": {**MSA_4B["msa_config"], **changes}}


class TestLoading:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    @pytest.mark.parametrize("shape", [Shape(), Shape(tied=False, shards=3), Shape(qwen2=True, shards=2)])
    def test_every_number_arrives(self, checkpoint: Callable[..., Path], shape: Shape, dtype: torch.dtype) -> None:
        folder = checkpoint(shape)
        model = load_msa4b(folder, dtype=dtype)
        theirs: dict[str, torch.Tensor] = {}
        for path in folder.glob("*.safetensors"):
            theirs |= load_file(path)
        layer = model.decoder.layers[1]
        for ours, names in (
            (layer.self_attn.qkv_proj.weight, ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]),
            (layer.mlp.gate_up_proj.weight, ["mlp.gate_proj", "mlp.up_proj"]),
            (layer.input_layernorm.weight, ["input_layernorm"]),
            (model.routers.at(1).q_proj.weight, ["self_attn.router_q_proj.0"]),
            (model.routers.at(1).k_proj.weight, ["self_attn.router_k_proj.0"]),
        ):
            expected = torch.cat([theirs[f"model.layers.1.{name}.weight"] for name in names])
            assert ours.dtype == dtype
            assert torch.equal(ours, expected.to(dtype))
        head = theirs["model.embed_tokens.weight" if shape.tied else "lm_head.weight"]
        assert torch.equal(model.decoder.lm_head.weight, head.to(dtype))
        assert not any(parameter.requires_grad for parameter in model.decoder.parameters())

    def test_added_retrieval_token_is_known_by_its_id(self, checkpoint: Callable[..., Path]) -> None:
        added = load_msa4b(checkpoint(Shape(extra_control=("<End-of-Retrieve>",))), dtype=torch.float32).protocol
        assert added.retrieval_end_ids() == [added.tokenizer.control["<End-of-Retrieve>"]]
        assert len(load_msa4b(checkpoint(), dtype=torch.float32).protocol.retrieval_end_ids()) > 1

    def test_fingerprint(self, checkpoint: Callable[..., Path], tmp_path: Path) -> None:
        """The same for a re-sharded copy, another for other numbers, blind to the training's settings and ranking."""
        folder = checkpoint()
        model = load_msa4b(folder, dtype=torch.float32)
        copy = edited(folder, tmp_path / "copy", lambda tensors: None, shards=2)
        raw = json.loads((copy / "config.json").read_text())
        raw["msa_config"] |= {"infonce_loss_temp": 0.5, "aux_loss_method": "INFONCE"}
        (copy / "config.json").write_text(json.dumps(raw))
        assert load_msa4b(copy, dtype=torch.float32).fingerprint == model.fingerprint
        assert load_msa4b(checkpoint(seed=1), dtype=torch.float32).fingerprint != model.fingerprint


class TestRefusals:
    @pytest.mark.parametrize(
        "name",
        [
            "model.norm.weight",
            "model.layers.2.self_attn.k_norm.weight",
            "model.layers.1.self_attn.router_k_proj.0.weight",
        ],
    )
    def test_missing_tensor_is_named(self, checkpoint: Callable[..., Path], tmp_path: Path, name: str) -> None:
        folder = edited(checkpoint(), tmp_path / "x", lambda tensors: tensors.pop(name))
        with pytest.raises(WeightsCorrupt, match=f"lacks the tensor '{name}'"):
            load_msa4b(folder)

    def test_the_first_wrong_tensor_is_named(self, checkpoint: Callable[..., Path], tmp_path: Path) -> None:
        def spoil(tensors: dict[str, torch.Tensor]) -> None:
            tensors["model.layers.0.mlp.up_proj.weight"] = torch.zeros(3, 32)
            del tensors["model.layers.2.mlp.up_proj.weight"]

        folder = edited(checkpoint(), tmp_path / "x", spoil)
        message = r"'model.layers.0.mlp.up_proj.weight' has shape \[3, 32\], expected \[40, 32\]"
        with pytest.raises(WeightsCorrupt, match=message):
            load_msa4b(folder)

    def test_untied_without_output_matrix(self, checkpoint: Callable[..., Path], tmp_path: Path) -> None:
        folder = edited(checkpoint(Shape(tied=False)), tmp_path / "x", lambda tensors: tensors.pop("lm_head.weight"))
        with pytest.raises(WeightsCorrupt, match=r"'lm_head\.weight'"):
            load_msa4b(folder)

    def test_missing_shard(self, checkpoint: Callable[..., Path], tmp_path: Path) -> None:
        folder = shutil.copytree(checkpoint(Shape(shards=3)), tmp_path / "x")
        (folder / "model-00002-of-00003.safetensors").unlink()
        with pytest.raises(WeightsMissing, match=r"model-00002-of-00003\.safetensors is missing"):
            load_msa4b(folder)

    def test_index_that_names_another_shard(self, checkpoint: Callable[..., Path], tmp_path: Path) -> None:
        folder = shutil.copytree(checkpoint(Shape(shards=2)), tmp_path / "x")
        index = json.loads((folder / "model.safetensors.index.json").read_text())
        files = sorted(set(index["weight_map"].values()))
        name = "model.norm.weight"
        index["weight_map"][name] = files[index["weight_map"][name] == files[0]]
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        with pytest.raises(WeightsCorrupt, match=f"lacks the tensor '{name}'"):
            load_msa4b(folder)

    @pytest.mark.parametrize("file", ["../model.safetensors", "/etc/passwd"])
    def test_index_that_leaves_its_folder(self, checkpoint: Callable[..., Path], tmp_path: Path, file: str) -> None:
        folder = shutil.copytree(checkpoint(Shape(shards=2)), tmp_path / "x")
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"model.norm.weight": file}}))
        with pytest.raises(WeightsCorrupt, match="outside its folder"):
            load_msa4b(folder)

    @pytest.mark.parametrize("size", [0, 5, 300, -1])
    def test_cut_file(self, checkpoint: Callable[..., Path], tmp_path: Path, size: int) -> None:
        folder = shutil.copytree(checkpoint(), tmp_path / "x")
        path = folder / "model.safetensors"
        path.write_bytes(path.read_bytes()[:size])
        with pytest.raises(WeightsCorrupt, match="not a whole safetensors file"):
            load_msa4b(folder)

    @pytest.mark.parametrize("text", ["", "[]", "{", '{"weight_map": 3}', '{"weight_map": {"a": 1}}'])
    def test_broken_index(self, checkpoint: Callable[..., Path], tmp_path: Path, text: str) -> None:
        folder = shutil.copytree(checkpoint(Shape(shards=2)), tmp_path / "x")
        (folder / "model.safetensors.index.json").write_text(text)
        with pytest.raises(WeightsCorrupt, match="is no index of shards"):
            load_msa4b(folder)

    def test_tokenizer_without_a_control_token(self, checkpoint: Callable[..., Path], tmp_path: Path) -> None:
        folder = shutil.copytree(checkpoint(), tmp_path / "x")
        text = (folder / "tokenizer.json").read_text()
        (folder / "tokenizer.json").write_text(text.replace("<|object_ref_end|>", "<|other|>"))
        with pytest.raises(WeightsCorrupt, match=r"lacks the control token <\|object_ref_end\|>"):
            load_msa4b(folder)

    def test_no_checkpoint_at_all(self, tmp_path: Path) -> None:
        with pytest.raises(WeightsMissing, match="is no checkpoint"):
            load_msa4b(tmp_path)


def edited(folder: Path, target: Path, edit: Callable[[dict[str, torch.Tensor]], object], *, shards: int = 1) -> Path:
    """A copy of a checkpoint of one file, its tensors changed."""
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns("*.safetensors"))
    tensors = load_file(folder / "model.safetensors")
    edit(tensors)
    write_shards(target, tensors, shards)
    return target


class TestReadingInBlocks:
    def test_tensor_larger_than_a_block(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("codemem.model.msa4b.shards.BLOCK_BYTES", 1024)
        tensors = {"a": torch.randn(37, 41), "b": torch.randn(5).bfloat16(), "c": torch.randn(3, 3).half()}
        save_file(tensors, tmp_path / "model.safetensors")
        shards = Shards(tmp_path)
        for name, tensor in tensors.items():
            assert shards.shape(name) == tuple(tensor.shape)
            assert torch.equal(shards[name], tensor)

    def test_peak_memory_is_far_below_the_checkpoint(self, tmp_path: Path) -> None:
        """Filling a device that is not the host (meta stands for it) takes one block, not the mapped shards.

        In a process of its own: a process's peak never falls.
        """
        shape = Shape(layers=2, routed="1", hidden=1024, heads=16, groups=4, head_dim=64, ffn=17_000)
        layout = decoder_layout(read_config(shape.config(3000)).decoder)
        write_sparse(
            tmp_path / "model.safetensors", {part.name: part.shape for parts in layout.values() for part in parts}
        )
        (tmp_path / "config.json").write_text(json.dumps(shape.config(3000)))
        size = (tmp_path / "model.safetensors").stat().st_size
        done = subprocess.run([sys.executable, "-c", PEAK, str(tmp_path)], check=True, capture_output=True, text=True)
        grown = int(done.stdout)
        assert size > 6 * BLOCK_BYTES
        assert grown < size / 4


def write_sparse(path: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    """A safetensors file of float32 zeros that takes no room on the disk."""
    header, end = {}, 0
    for name, shape in shapes.items():
        size = 4 * torch.Size(shape).numel()
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)


PEAK = f"""
import json, resource, sys
from pathlib import Path
import torch
from codemem.model.load import load_decoder
from codemem.model.msa4b import read_config
from codemem.model.msa4b.shards import Shards
assert resource.RUSAGE_SELF == {resource.RUSAGE_SELF}
folder = Path(sys.argv[1])
config = read_config(json.loads((folder / "config.json").read_text())).decoder
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
load_decoder(config, Shards(folder), device=torch.device("meta"), dtype=torch.bfloat16)
print(1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))
"""


def test_load_decoder_takes_any_mapping(checkpoint: Callable[..., Path]) -> None:
    """Also tensors already in memory; a wrong one is refused before anything is allocated."""
    folder = checkpoint()
    config = read_config(json.loads((folder / "config.json").read_text())).decoder
    tensors = load_file(folder / "model.safetensors")
    decoder = load_decoder(config, tensors, device=torch.device("cpu"), dtype=torch.float32)
    assert torch.equal(decoder.norm.weight, tensors["model.norm.weight"])
    del tensors["model.layers.1.self_attn.o_proj.weight"]
    with pytest.raises(WeightsCorrupt, match=r"model\.layers\.1\.self_attn\.o_proj\.weight"):
        load_decoder(config, tensors, device=torch.device("meta"), dtype=torch.float32)
