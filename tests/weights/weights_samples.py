"""Tiny weights made on the fly: a GGUF file of the Qwen2 or Qwen3 shape with a byte-level vocabulary."""

import subprocess
import sys
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt
from gguf.quants import quantize

from codemem.model.weights.files import file_sha256
from codemem.model.weights.registry import BaseFile, ModelEntry

HIDDEN, HEADS, KV_HEADS, HEAD_DIM, FFN, LAYERS = 64, 4, 2, 16, 96, 2
MERGES = ["Ġ Ġ", "i n", "r e", "Ġ re", "in t", "d e", "de f"]
CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
PADDING = 5


def byte_characters() -> list[str]:
    """The character that stands for each byte in byte-level BPE, as the tokenizers library lists them."""
    from tokenizers.pre_tokenizers import ByteLevel

    return sorted(ByteLevel.alphabet())


def vocabulary() -> tuple[list[str], list[int]]:
    """Spellings by id, and GGUF's kind of each token (1 normal, 3 control, 4 added by the user, 5 unused)."""
    tokens = byte_characters() + [merge.replace(" ", "") for merge in MERGES]
    kinds = [1] * len(tokens) + [3] * len(CONTROL) + [4] + [5] * PADDING
    return [*tokens, *CONTROL, "<tool_call>", *(f"[PAD{i}]" for i in range(PADDING))], kinds


def matrices(architecture: str, seed: int = 0) -> dict[str, npt.NDArray[np.float32]]:
    """Random tensors under GGUF's names, row-major."""
    random = np.random.default_rng(seed)
    queries, keys = HEADS * HEAD_DIM, KV_HEADS * HEAD_DIM
    shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (len(vocabulary()[0]), HIDDEN)}
    for layer in range(LAYERS):
        block = {
            "attn_norm.weight": (HIDDEN,),
            "attn_q.weight": (queries, HIDDEN),
            "attn_k.weight": (keys, HIDDEN),
            "attn_v.weight": (keys, HIDDEN),
            "attn_output.weight": (HIDDEN, queries),
            "ffn_norm.weight": (HIDDEN,),
            "ffn_gate.weight": (FFN, HIDDEN),
            "ffn_up.weight": (FFN, HIDDEN),
            "ffn_down.weight": (HIDDEN, FFN),
        }
        if architecture == "qwen2":
            block |= {"attn_q.bias": (queries,), "attn_k.bias": (keys,), "attn_v.bias": (keys,)}
        else:
            block |= {"attn_q_norm.weight": (HEAD_DIM,), "attn_k_norm.weight": (HEAD_DIM,)}
        shapes |= {f"blk.{layer}.{name}": shape for name, shape in block.items()}
    shapes["output_norm.weight"] = (HIDDEN,)
    return {name: random.normal(0, 0.05, shape).astype(np.float32) for name, shape in shapes.items()}


def write_gguf(
    path: Path,
    architecture: str = "qwen2",
    *,
    tensors: dict[str, npt.NDArray[np.float32]] | None = None,
    coarse: str = "Q5_0",
    pre: str = "qwen2",
) -> Path:
    """Writes a file: the embedding quantised as `coarse`, other matrices as Q8_0, vectors in float32."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(512)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FFN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_key_length(HEAD_DIM)
    writer.add_rope_freq_base(1_000_000.0)
    writer.add_layer_norm_rms_eps(1e-6)
    tokens, kinds = vocabulary()
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(MERGES)
    writer.add_eos_token_id(tokens.index("<|im_end|>"))
    writer.add_pad_token_id(tokens.index("<|endoftext|>"))
    for name, values in (tensors or matrices(architecture)).items():
        if values.ndim == 1:
            writer.add_tensor(name, values)
            continue
        kind = gguf.GGMLQuantizationType[coarse if name == "token_embd.weight" else "Q8_0"]
        writer.add_tensor(name, quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def entry_for(path: Path, name: str = "tiny") -> ModelEntry:
    """A registry entry for a file, as if it had been released."""
    file = BaseFile(path.name, path.stat().st_size, file_sha256(path))
    return ModelEntry(name=name, title="Tiny", licence="none", repository="someone/tiny", revision="main", file=file)


def start_python(script: str, *arguments: object) -> subprocess.Popen[str]:
    """Starts another process on the same installation."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
