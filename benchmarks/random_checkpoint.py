"""A checkpoint of any shape in the published MSA layout, with random weights: real in everything but sense.

The tokenizer is one of your own (`tokenizer.json` with Qwen's control tokens), or one token a byte.
"""

import json
import shutil
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch
from safetensors.torch import save_file

from codemem.benchmarks.shapes import Shape
from codemem.model.load import decoder_layout, router_layout
from codemem.model.msa4b.shards import INDEX
from codemem.model.tokenizer import qwen2_tokenizer_json

CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>")
SHARD_BYTES = 2_000_000_000
_NORMAL, _CONTROL = 1, 3


def checkpoint_at(folder: Path, shape: Shape, *, device: torch.device, tokenizer: Path | None = None) -> int | None:
    """Writes a checkpoint where there is none: the bytes of its tensors, None if it was there. An unfinished one is
    made anew. In a process of its own, whose memory is not in this one's peak."""
    if (folder / INDEX).is_file():
        return None
    shutil.rmtree(folder, ignore_errors=True)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:
        return apart.submit(_write, folder, shape, device, tokenizer).result()


def _write(folder: Path, shape: Shape, device: torch.device, tokenizer: Path | None) -> int:
    return write_random_checkpoint(folder, shape, device=device, tokenizer=tokenizer)


def write_random_checkpoint(
    folder: Path,
    shape: Shape,
    *,
    device: torch.device,
    dtype: torch.dtype = torch.bfloat16,
    tokenizer: Path | None = None,
) -> int:
    """Writes shards, index, configuration and tokenizer; the bytes of all tensors. Numbers are drawn on `device`."""
    folder.mkdir(parents=True)
    write_texts(folder, shape, tokenizer)
    layout = decoder_layout(shape.decoder) | router_layout(shape.decoder, shape.memory.routed_layers)
    parts = [part for group in layout.values() for part in group]
    generator = torch.Generator(device).manual_seed(0)
    names: dict[str, str] = {}
    shard: dict[str, torch.Tensor] = {}
    total = held = number = 0
    for part in parts:
        if part.name.endswith("norm.weight"):
            tensor = torch.ones(part.shape, dtype=dtype)
        else:
            drawn = torch.empty(part.shape, dtype=dtype, device=device).normal_(0.0, 0.02, generator=generator)
            tensor = drawn.cpu()
        shard[part.name] = tensor
        held += tensor.nbytes
        total += tensor.nbytes
        if held >= SHARD_BYTES or part is parts[-1]:
            number += 1
            file = f"model-{number:05d}.safetensors"
            save_file(shard, folder / file, {"format": "pt"})
            names |= dict.fromkeys(shard, file)
            shard, held = {}, 0
    index = {"metadata": {"total_size": total}, "weight_map": names}
    (folder / INDEX).write_text(json.dumps(index), encoding="utf-8")
    return total


def _config(shape: Shape) -> dict[str, object]:
    c = shape.decoder
    return {
        "model_type": "msa",
        "vocab_size": c.vocab_size,
        "hidden_size": c.hidden_size,
        "num_hidden_layers": c.layers,
        "num_attention_heads": c.heads,
        "num_key_value_heads": c.kv_heads,
        "head_dim": c.head_dim,
        "intermediate_size": c.intermediate_size,
        "rope_theta": c.rope_theta,
        "rms_norm_eps": c.rms_eps,
        "tie_word_embeddings": c.tied,
        "msa_config": {
            "router_layer_idx": ",".join(map(str, shape.memory.routed_layers)),
            "top_k_docs": shape.memory.top_k,
            "pooling_kernel_size": shape.memory.chunk_tokens,
            "decouple_router": True,
            "rewrite_position": True,
            "aux_loss_method": "INFONCE_DECOUPLE",
        },
    }


def write_texts(folder: Path, shape: Shape, tokenizer: Path | None = None) -> None:
    """Writes the configuration and the tokenizer: the one given, else one token a byte."""
    (folder / "config.json").write_text(json.dumps(_config(shape)), encoding="utf-8")
    _write_tokenizer(folder, tokenizer)


def _write_tokenizer(folder: Path, given: Path | None) -> None:
    if given is not None:
        shutil.copyfile(given, folder / "tokenizer.json")
        return
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    spare = iter(range(0x100, 0x200))
    characters = [chr(b) if b in printable else chr(next(spare)) for b in range(256)]  # the alphabet of byte-level BPE
    kinds = [_NORMAL] * 256 + [_CONTROL] * len(CONTROL)
    text = qwen2_tokenizer_json([*characters, *CONTROL], kinds, [])
    (folder / "tokenizer.json").write_text(text, encoding="utf-8")
