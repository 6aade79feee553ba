"""Tiny random checkpoints in the published layout; their byte-level tokenizer has the protocol's control tokens."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor

CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>"]
CORPUS = [
    "user\n",
    "Please answer the question based on the above historical document information\n\n",
    "Please return all documents related to the question\n",
    "The user's question is: where is the store opened?\n",
    "def open_store(path): return Store(path)\nclass Store:\n    pass\n",
]


@dataclass(frozen=True)
class Shape:
    """What varies between tiny checkpoints; beyond that they are like the published one."""

    layers: int = 3
    routed: str = "1,2"
    hidden: int = 32
    heads: int = 4
    groups: int = 2
    head_dim: int = 8
    ffn: int = 40
    tied: bool = True
    chunk: int = 4
    top_k: int = 3
    method: str = "INFONCE_DECOUPLE"
    theta: float = 5e6
    qwen2: bool = False
    extra_control: tuple[str, ...] = ()
    shards: int = 1

    def config(self, vocabulary: int) -> dict[str, Any]:
        raw: dict[str, Any] = {
            "model_type": "msa",
            "vocab_size": vocabulary,
            "hidden_size": self.hidden,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.groups,
            "head_dim": self.head_dim,
            "intermediate_size": self.ffn,
            "rope_theta": self.theta,
            "rms_norm_eps": 1e-6,
            "tie_word_embeddings": self.tied,
            "msa_config": {
                "router_layer_idx": self.routed,
                "top_k_docs": self.top_k,
                "pooling_kernel_size": self.chunk,
                "decouple_router": True,
                "rewrite_position": True,
                "aux_loss_method": self.method,
            },
        }
        return raw | ({"base_model_type": "qwen2"} if self.qwen2 else {})

    def tensors(self, vocabulary: int, seed: int) -> dict[str, Tensor]:
        """Spelled out here by hand: the names are what other programs write."""
        queries, keys, hidden, ffn = self.heads * self.head_dim, self.groups * self.head_dim, self.hidden, self.ffn
        shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (vocabulary, hidden)}
        routed = range(self.layers) if self.routed == "all" else [int(i) for i in self.routed.split(",")]
        for i in range(self.layers):
            p = f"model.layers.{i}."
            shapes |= {
                f"{p}input_layernorm.weight": (hidden,),
                f"{p}self_attn.q_proj.weight": (queries, hidden),
                f"{p}self_attn.k_proj.weight": (keys, hidden),
                f"{p}self_attn.v_proj.weight": (keys, hidden),
                f"{p}self_attn.o_proj.weight": (hidden, queries),
                f"{p}post_attention_layernorm.weight": (hidden,),
                f"{p}mlp.gate_proj.weight": (ffn, hidden),
                f"{p}mlp.up_proj.weight": (ffn, hidden),
                f"{p}mlp.down_proj.weight": (hidden, ffn),
            }
            if self.qwen2:
                shapes |= {f"{p}self_attn.{x}_proj.bias": (n,) for x, n in (("q", queries), ("k", keys), ("v", keys))}
            else:
                shapes |= {f"{p}self_attn.{x}_norm.weight": (self.head_dim,) for x in "qk"}
            if i in routed:
                shapes[f"{p}self_attn.router_q_proj.0.weight"] = (queries, hidden)
                shapes[f"{p}self_attn.router_k_proj.0.weight"] = (keys, hidden)
        shapes["model.norm.weight"] = (hidden,)
        if not self.tied:
            shapes["lm_head.weight"] = (vocabulary, hidden)
        generator = torch.Generator().manual_seed(seed)
        tensors = {}
        for name, shape in shapes.items():
            noise = torch.randn(shape, generator=generator)
            if name.endswith("norm.weight"):
                tensors[name] = 1 + 0.2 * noise
            else:
                tensors[name] = noise * (0.5 if "embed" in name else shape[-1] ** -0.5)
        return tensors


def write_checkpoint(folder: Path, shape: Shape, *, seed: int = 0) -> Path:
    """Writes config.json, the tokenizer's files and the tensors."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        show_progress=False,
        special_tokens=[*CONTROL, *shape.extra_control],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    tokenizer.train_from_iterator(CORPUS * 2, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    vocabulary = tokenizer.get_vocab_size() + 7  # padded beyond the tokenizer, as Qwen's is
    (folder / "config.json").write_text(json.dumps(shape.config(vocabulary)))
    eos = tokenizer.token_to_id("<|im_end|>")
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [eos]}))
    write_shards(folder, shape.tensors(vocabulary, seed), shape.shards)
    return folder


def write_shards(folder: Path, tensors: dict[str, Tensor], shards: int) -> None:
    """One file, or several with an index."""
    if shards == 1:
        save_file(tensors, folder / "model.safetensors")
        return
    names = sorted(tensors)
    weight_map = {}
    for shard in range(shards):
        file = f"model-{shard + 1:05d}-of-{shards:05d}.safetensors"
        part = names[shard::shards]
        save_file({name: tensors[name] for name in part}, folder / file)
        weight_map |= dict.fromkeys(part, file)
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
