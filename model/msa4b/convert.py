"""A plain Qwen3 or Qwen2 checkpoint as an MSA one, with fresh routers: where training of a new memory begins."""

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from codemem.model.config import DecoderConfig
from codemem.model.errors import ModelError, WeightsCorrupt
from codemem.model.load import check_layout, decoder_layout, router_layout
from codemem.model.msa4b.checkpoint import read_json
from codemem.model.msa4b.config import read_config
from codemem.model.msa4b.shards import INDEX, Shards
from codemem.model.msa4b.tokens import Protocol
from codemem.model.tokenizer import Tokenizer

ROUTER_STD = 0.02
TEMPERATURE = 0.1
"""Of the auxiliary loss, as the published configuration has it."""
_COPIED = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "generation_config.json",
)


def convert(
    source: Path,
    target: Path,
    *,
    routed_layers: Sequence[int] | None = None,
    top_k: int = 16,
    chunk_tokens: int = 64,
    aux_loss_method: str = "INFONCE",
    seed: int = 0,
) -> None:
    """Writes `target`, a folder that must not exist, from the checkpoint folder `source`; its tensors stay as they are.

    `routed_layers`: by default the upper half. Routers are drawn from a normal distribution (`seed`), in the dtype of
    the first layer's query projection. Raises `WeightsMissing`, `WeightsCorrupt` or, if `target` exists, `ModelError`.
    """
    if target.exists():
        raise ModelError(f"{target} exists already: name another folder")
    raw = read_json(source / "config.json")
    if raw.get("model_type") == "msa":
        raise WeightsCorrupt(f"{source} is an MSA checkpoint already")
    config = DecoderConfig.from_huggingface(raw)
    layers = tuple(range(config.layers // 2, config.layers)) if routed_layers is None else tuple(sorted(routed_layers))
    msa_config = {
        "router_layer_idx": ",".join(str(layer) for layer in layers),
        "top_k_docs": top_k,
        "pooling_kernel_size": chunk_tokens,
        "aux_loss_method": aux_loss_method,
    }
    converted = _config(raw, config, msa_config)
    read_config(converted)
    shards = Shards(source)
    check_layout(decoder_layout(config), shards)
    Protocol(Tokenizer.from_folder(source), chunk_tokens)
    target.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        routers = _routers(config, layers, aux_loss_method, shards.dtype(_FIRST_QUERY), seed)
        _write_shards(shards, routers, building)
        (building / "config.json").write_text(json.dumps(converted, indent=2) + "\n", encoding="utf-8")
        for name in _COPIED:
            if (source / name).is_file():
                shutil.copyfile(source / name, building / name)
        building.rename(target)
    finally:
        shutil.rmtree(building, ignore_errors=True)


_FIRST_QUERY = "model.layers.0.self_attn.q_proj.weight"


def _config(raw: dict[str, Any], config: DecoderConfig, msa_config: dict[str, Any]) -> dict[str, Any]:
    """The published fields; `base_model_type` is ours and says that a checkpoint is not of the Qwen3 shape."""
    converted = {
        **raw,
        "model_type": "msa",
        "architectures": ["MSAForCausalLM"],
        "head_dim": config.head_dim,
        "rope_theta": config.rope_theta,
        "msa_config": {
            "decouple_router": True,
            "rewrite_position": True,
            "head_reduce_method": "mean",
            "query_reduce_method": "max",
            "chunk_reduce_method": "max",
            "decouple_pooling_mode": "mean",
            "aux_loss": False,
            "infonce_loss_temp": TEMPERATURE,
            **msa_config,
        },
    }
    if raw["model_type"] != "qwen3":
        converted["base_model_type"] = raw["model_type"]
    return converted


def _routers(
    config: DecoderConfig, layers: Sequence[int], method: str, dtype: torch.dtype, seed: int
) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for (part,) in router_layout(config, layers).values():
        tensors[part.name] = (torch.randn(part.shape, generator=generator) * ROUTER_STD).to(dtype)
    if "INFONCE" in method:  # the public engine's class has this scalar then, and misses it on loading
        tensors["temperature"] = torch.tensor(TEMPERATURE, dtype=dtype)
    return tensors


def _write_shards(shards: Shards, routers: dict[str, Tensor], folder: Path) -> None:
    """Copies the shards under numbers with room for one more; writes the routers' shard and the index."""
    total = len(shards.files) + 1
    names = [f"model-{i:05d}-of-{total:05d}.safetensors" for i in range(1, total + 1)]
    renamed = dict(zip(shards.files, names, strict=False))
    for path, name in renamed.items():
        shutil.copyfile(path, folder / name)
    save_file(routers, folder / names[-1], {"format": "pt"})
    weight_map = {name: renamed[shards.file(name)] for name in shards} | dict.fromkeys(routers, names[-1])
    size = sum(shards.nbytes(name) for name in shards) + sum(tensor.nbytes for tensor in routers.values())
    index = {"metadata": {"total_size": size}, "weight_map": dict(sorted(weight_map.items()))}
    (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
