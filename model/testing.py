"""A tiny random model with the default's mechanism, for tests: everything real but its sense."""

import json
from pathlib import Path
from typing import Any

import torch

from codemem.model.adapter import add_adapters, save_adapter
from codemem.model.config import DecoderConfig, MemoryConfig
from codemem.model.decoder import Decoder
from codemem.model.engine import Engine
from codemem.model.load import decoder_layout
from codemem.model.routers import Routers
from codemem.model.tokenizer import qwen2_tokenizer_json

CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>")
_NORMAL, _CONTROL = 1, 3


def _byte_characters() -> list[str]:
    """GPT-2's printable character for each byte: the alphabet of byte-level BPE."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    spare = iter(range(0x100, 0x200))
    return [chr(b) if b in printable else chr(next(spare)) for b in range(256)]


def write_tiny_checkpoint(folder: Path, *, layers: int = 3, seed: int = 0) -> Path:
    """A random Qwen2 checkpoint in Hugging Face's layout whose tokenizer has one token a byte."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    tokens = [*_byte_characters(), *CONTROL]
    kinds = [_NORMAL] * 256 + [_CONTROL] * len(CONTROL)
    (folder / "tokenizer.json").write_text(qwen2_tokenizer_json(tokens, kinds, []), encoding="utf-8")
    raw = {
        "model_type": "qwen2",
        "vocab_size": 272,
        "hidden_size": 64,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 96,
        "rope_theta": 1e6,
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": True,
        "eos_token_id": 256,
    }
    (folder / "config.json").write_text(json.dumps(raw), encoding="utf-8")
    config = DecoderConfig.from_huggingface(raw)
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for parts in decoder_layout(config).values():
        for part in parts:
            if part.name.endswith("norm.weight"):
                tensors[part.name] = torch.ones(part.shape)
            else:
                tensors[part.name] = torch.randn(part.shape, generator=generator) * part.shape[-1] ** -0.5
    save_file(tensors, str(folder / "model.safetensors"))
    return folder


def write_tiny_adapter(path: Path, *, layers: int = 3, seed: int = 0, **memory: Any) -> Path:
    """A random adapter with routers in every layer but the first. `memory`: further settings of `MemoryConfig`."""
    raw = DecoderConfig(272, 64, layers, 4, 2, 16, 96, 1e6, 1e-6, qkv_bias=True, qk_norm=False, tied=True)
    torch.manual_seed(seed)
    settings = MemoryConfig(tuple(range(1, layers)), chunk_tokens=16, top_k=4, find_layers=1, **memory)
    adapters = add_adapters(Decoder(raw), rank=4)
    for adapter in adapters.values():
        torch.nn.init.normal_(adapter.b, std=0.01)
    save_adapter(path, adapters, Routers(raw, settings.routed_layers), settings, base="0" * 64)
    return path


def tiny_engine(folder: Path, *, layers: int = 3, seed: int = 0, **memory: Any) -> Engine:
    """The tiny model, loaded as the real one is, on the CPU."""
    checkpoint = write_tiny_checkpoint(folder / "checkpoint", layers=layers, seed=seed)
    adapter = write_tiny_adapter(folder / "adapter.safetensors", layers=layers, seed=seed, **memory)
    return Engine.open("tiny", checkpoint, adapter, device="cpu")
