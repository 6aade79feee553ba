"""Reading a GGUF file of the Qwen2 or Qwen3 shape: configuration, tokenizer and tensors under Hugging Face's names.

GGUF stores query and key projections of these two architectures as released (their RoPE rotates halves, "NeoX" style),
so nothing is permuted here; checked by identical greedy text in the tests.
"""

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt

from codemem.model.errors import WeightsCorrupt
from codemem.model.tokenizer import qwen2_tokenizer_json

_ARCHITECTURES = {"qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"}

_TOP = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
_BLOCK = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}

_ROWS_AT_ONCE = 8192
"""Rows dequantised at a time, so that a large embedding never lies in memory as float32 as a whole."""


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """One tensor, still quantised and mapped from the file."""

    name: str
    """Hugging Face's name, e.g. 'model.layers.0.self_attn.q_proj.weight'."""
    shape: tuple[int, ...]
    """Row-major, as torch has it: [out_features, in_features]."""
    quantisation: str
    """gguf's name of the type: 'Q4_K', 'Q8_0', 'F32', ..."""
    data: npt.NDArray[Any]

    def rows(self) -> Iterator[npt.NDArray[np.float32]]:
        """The values in float32, a block of rows at a time (all at once for a vector)."""
        kind = gguf.GGMLQuantizationType[self.quantisation]
        if len(self.shape) == 1:
            yield gguf.dequantize(self.data, kind).astype(np.float32, copy=False)
            return
        for start in range(0, self.shape[0], _ROWS_AT_ONCE):
            block = gguf.dequantize(self.data[start : start + _ROWS_AT_ONCE], kind)
            yield block.astype(np.float32, copy=False)


class GgufFile:
    """An open GGUF file. Raises `WeightsCorrupt` for a file that is cut short, foreign or of another architecture."""

    def __init__(self, path: Path) -> None:
        self.path = path
        logging.getLogger("gguf").setLevel(logging.ERROR)
        try:
            self._reader = gguf.GGUFReader(path)
        except (ValueError, IndexError, KeyError, OSError, UnicodeDecodeError) as error:
            raise WeightsCorrupt(f"{path} is not a whole GGUF file ({error}): delete it and fetch it again") from error
        self.architecture = str(self._value("general.architecture"))
        if self.architecture not in _ARCHITECTURES:
            known = ", ".join(sorted(_ARCHITECTURES))
            raise WeightsCorrupt(f"{path} holds a model of architecture {self.architecture!r}; known are {known}")

    def _value(self, key: str, default: Any = None) -> Any:
        field = self._reader.get_field(key)
        if field is not None:
            return field.contents()
        if default is None:
            raise WeightsCorrupt(f"{self.path} lacks the GGUF field {key!r}")
        return default

    def _number(self, key: str, default: Any = None) -> Any:
        return self._value(f"{self.architecture}.{key}", default)

    def config(self) -> dict[str, Any]:
        """The model's shape under the keys of Hugging Face's config.json."""
        if self._reader.get_field(f"{self.architecture}.rope.scaling.type") is not None:
            raise WeightsCorrupt(f"{self.path} asks for scaled rotary positions, which are not supported")
        hidden = int(self._number("embedding_length"))
        heads = int(self._number("attention.head_count"))
        names = {tensor.name for tensor in self._reader.tensors}
        return {
            "architectures": [_ARCHITECTURES[self.architecture]],
            "model_type": self.architecture,
            "hidden_act": "silu",
            "hidden_size": hidden,
            "intermediate_size": int(self._number("feed_forward_length")),
            "num_hidden_layers": int(self._number("block_count")),
            "num_attention_heads": heads,
            "num_key_value_heads": int(self._number("attention.head_count_kv", heads)),
            "head_dim": int(self._number("attention.key_length", hidden // heads)),
            "attention_bias": "blk.0.attn_q.bias" in names,
            "max_position_embeddings": int(self._number("context_length")),
            "rope_theta": _shortest(self._number("rope.freq_base", 10000.0)),
            "rms_norm_eps": _shortest(self._number("attention.layer_norm_rms_epsilon")),
            "vocab_size": int(self._tensor_named("token_embd.weight").shape[1]),
            "tie_word_embeddings": self._tied(),
            "eos_token_id": self.eos_ids()[0],
            "torch_dtype": "float16",
        }

    def _tensor_named(self, name: str) -> Any:
        for tensor in self._reader.tensors:
            if tensor.name == name:
                return tensor
        raise WeightsCorrupt(f"{self.path} lacks the tensor {name!r}")

    def _tied(self) -> bool:
        """Whether the output matrix is the embedding.

        Some releases store a tied matrix twice, in two quantisations. They are one matrix when they differ by no more
        than the rounding of the coarser: a relative root mean square below 0.1 over sampled rows (5 bits give 0.03).
        """
        outputs = [tensor for tensor in self._reader.tensors if tensor.name == "output.weight"]
        if not outputs:
            return True
        embedding = self._tensor_named("token_embd.weight")
        if tuple(embedding.shape) != tuple(outputs[0].shape):
            return False
        rows = slice(0, None, max(1, int(embedding.shape[1]) // 512))
        first = gguf.dequantize(embedding.data[rows], embedding.tensor_type)
        second = gguf.dequantize(outputs[0].data[rows], outputs[0].tensor_type)
        return bool(np.linalg.norm(first - second) < 0.1 * np.linalg.norm(second))

    def tensors(self) -> Iterator[GgufTensor]:
        """Every tensor in the file's order.

        Of a tied matrix that is stored twice only the finer copy is given, as the embedding.
        """
        skipped, renamed = self._tied_pair()
        for tensor in self._reader.tensors:
            if tensor.name == skipped:
                continue
            shape = tuple(int(n) for n in reversed(tensor.shape.tolist()))
            name = "model.embed_tokens.weight" if tensor.name == renamed else self._hub_name(tensor.name)
            yield GgufTensor(name, shape, tensor.tensor_type.name, tensor.data)

    def _tied_pair(self) -> tuple[str | None, str | None]:
        names = {tensor.name for tensor in self._reader.tensors}
        if "output.weight" not in names or not self._tied():
            return None, None
        embedding, output = self._tensor_named("token_embd.weight"), self._tensor_named("output.weight")
        if int(output.n_bytes) > int(embedding.n_bytes):
            return "token_embd.weight", "output.weight"
        return "output.weight", None

    def _hub_name(self, name: str) -> str:
        stem, _, kind = name.rpartition(".")
        block = re.fullmatch(r"blk\.(\d+)\.(\w+)", stem)
        if block and block[2] in _BLOCK:
            return f"model.layers.{block[1]}.{_BLOCK[block[2]]}.{kind}"
        if stem in _TOP:
            return f"{_TOP[stem]}.{kind}"
        raise WeightsCorrupt(f"{self.path} holds an unknown tensor {name!r} for architecture {self.architecture}")

    def eos_ids(self) -> list[int]:
        """Ids that end a generation: the file's own, then the padding token, which Qwen also ends with."""
        found = [self._value("tokenizer.ggml.eos_token_id")]
        if self._reader.get_field("tokenizer.ggml.padding_token_id") is not None:
            found.append(self._value("tokenizer.ggml.padding_token_id"))
        return list(dict.fromkeys(int(i) for i in found))

    def tokenizer_json(self) -> str:
        """The tokenizer in the format of tokenizer.json."""
        model, pre = self._value("tokenizer.ggml.model"), self._value("tokenizer.ggml.pre", "default")
        if (model, pre) != ("gpt2", "qwen2"):
            raise WeightsCorrupt(f"{self.path} has a tokenizer {model!r}/{pre!r}; known is 'gpt2'/'qwen2'")
        return qwen2_tokenizer_json(
            tokens=self._value("tokenizer.ggml.tokens"),
            kinds=self._value("tokenizer.ggml.token_type"),
            merges=self._value("tokenizer.ggml.merges"),
        )


def _shortest(number: float) -> float:
    """The number that a float32 field was written from: 1e-06, not 9.99999997e-07."""
    return float(str(np.float32(number)))
