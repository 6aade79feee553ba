"""`config.json` of an MSA checkpoint: the shape of the decoder and of its memory.

Fields that would change the computation in a way that is not implemented are refused by name, never ignored.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from codemem.model.config import DecoderConfig, MemoryConfig
from codemem.model.errors import WeightsCorrupt

Ranking = Literal["engine", "cosine", "scaled"]
"""How documents are ranked: as the public engine would with this checkpoint, or one of its two rules by name."""

_FIXED: dict[str, tuple[Any, Any]] = {
    # field: (the only value implemented, the value of a checkpoint that does not say)
    "decouple_router": (True, True),
    "rewrite_position": (True, True),
    "head_reduce_method": ("mean", "mean"),
    "query_reduce_method": ("max", "max"),
    "chunk_reduce_method": ("max", "max"),
    "decouple_pooling_mode": ("mean", "mean"),
}
_FIXED_DECODER: dict[str, tuple[Any, Any]] = {
    "hidden_act": ("silu", "silu"),
    "use_sliding_window": (False, False),
}


@dataclass(frozen=True, slots=True)
class Msa4bConfig:
    """What `config.json` says, checked."""

    decoder: DecoderConfig
    memory: MemoryConfig
    aux_loss_method: str

    @property
    def question_position(self) -> int:
        """Position of a prompt's first token: after the template, one position is reserved a retrieved document."""
        return TEMPLATE_TOKENS + self.memory.top_k


TEMPLATE_TOKENS = 3
"""`<|im_start|>`, `user`, newline: run once, at positions 0, 1 and 2."""


def read_config(raw: Mapping[str, Any], *, ranking: Ranking = "engine") -> Msa4bConfig:
    """Reads a parsed `config.json`. Raises `WeightsCorrupt` naming the first field that is missing or unsupported."""
    msa = raw.get("msa_config")
    if raw.get("model_type") != "msa" or not isinstance(msa, Mapping):
        raise WeightsCorrupt(
            f"config.json is of model_type {raw.get('model_type')!r}"
            f"{'' if isinstance(msa, Mapping) else ' without an msa_config'}: "
            "`codemem model convert` makes an MSA checkpoint of a Qwen2 or Qwen3 one"
        )
    _refuse_unsupported(raw, _FIXED_DECODER, "")
    _refuse_scaled_positions(raw)
    _refuse_unsupported(msa, _FIXED, "msa_config.")
    decoder = DecoderConfig.from_huggingface(raw)
    if bool(raw.get("attention_bias", decoder.qkv_bias)) != decoder.qkv_bias:
        raise WeightsCorrupt(f"config.json: attention_bias {raw['attention_bias']!r} is not supported for this shape")
    method = str(msa.get("aux_loss_method", ""))
    try:
        memory = MemoryConfig(
            routed_layers=_routed_layers(msa["router_layer_idx"], decoder.layers),
            chunk_tokens=int(msa["pooling_kernel_size"]),
            top_k=int(msa["top_k_docs"]),
            cosine=method == "INFONCE" if ranking == "engine" else ranking == "cosine",
        )
    except KeyError as error:
        raise WeightsCorrupt(f"config.json lacks msa_config.{error.args[0]}") from error
    except (ValueError, TypeError) as error:
        raise WeightsCorrupt(f"config.json: msa_config is wrong ({error})") from error
    return Msa4bConfig(decoder, memory, method)


def _refuse_unsupported(found: Mapping[str, Any], fixed: Mapping[str, tuple[Any, Any]], prefix: str) -> None:
    for name, (only, default) in fixed.items():
        value = found.get(name, default)
        if value != only:
            raise WeightsCorrupt(f"config.json: {prefix}{name} is {value!r}; only {only!r} is supported")


def _refuse_scaled_positions(raw: Mapping[str, Any]) -> None:
    """Transformers 5 writes `rope_parameters`, also where nothing is scaled; earlier versions `rope_scaling`."""
    for name in ("rope_scaling", "rope_parameters"):
        scaling = raw.get(name)
        if scaling is None:
            continue
        kind = scaling.get("rope_type", scaling.get("type", "default")) if isinstance(scaling, Mapping) else scaling
        if kind != "default":
            raise WeightsCorrupt(f"config.json: {name} is {scaling!r}; scaled rotary positions are not supported")


def _routed_layers(spelled: object, layers: int) -> tuple[int, ...]:
    """'all', '18,19,20', 18 or [18, 19, 20] as ascending layer indices."""
    if isinstance(spelled, str) and spelled.strip().lower() == "all":
        return tuple(range(layers))
    parts: list[Any] = spelled if isinstance(spelled, list) else str(spelled).split(",")
    routed = tuple(sorted({int(part) for part in parts}))
    if not routed or not 0 <= routed[0] <= routed[-1] < layers:
        raise ValueError(f"router_layer_idx {spelled!r} does not name layers of {layers}")
    return routed
