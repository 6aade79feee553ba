"""Checkpoint tensors into modules: Hugging Face's names to ours, checked before anything is copied.

Ours fuse what is multiplied by the same input: `qkv_proj` holds the rows of q_proj, k_proj and v_proj, `gate_up_proj`
those of gate_proj and up_proj.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from codemem.kernels.narrow import Bits, NarrowMatrix
from codemem.model.config import DecoderConfig
from codemem.model.decoder import Decoder, Rope
from codemem.model.errors import WeightsCorrupt
from codemem.model.narrow import NarrowEmbedding, NarrowLinear, bits_of
from codemem.model.routers import Routers
from codemem.model.weights.kept import Weights

Shape = tuple[int, ...]

NARROWED_BYTES = 64 << 20
"""Of float32 numbers that are rounded at a time, when a matrix is kept in 8 or 4 bits."""


@dataclass(frozen=True, slots=True)
class Part:
    """One tensor of a checkpoint: rows of a parameter of ours."""

    name: str
    """Hugging Face's name."""
    shape: Shape


Layout = dict[str, tuple[Part, ...]]
"""Our parameter's name -> the checkpoint tensors that are its rows, in order."""


def decoder_layout(config: DecoderConfig) -> Layout:
    """The parameters of `Decoder` and where a Qwen2, Qwen3 or MSA checkpoint keeps them."""
    embedding = (config.vocab_size, config.hidden_size)
    layout: Layout = {"embed_tokens.weight": (Part("model.embed_tokens.weight", embedding),)}
    for layer in range(config.layers):
        layout.update(_layer_layout(config, layer))
    layout["norm.weight"] = (Part("model.norm.weight", (config.hidden_size,)),)
    if not config.tied:
        layout["lm_head.weight"] = (Part("lm_head.weight", embedding),)
    return layout


def _layer_layout(config: DecoderConfig, layer: int) -> Layout:
    hidden, ffn = config.hidden_size, config.intermediate_size
    queries, keys = config.heads * config.head_dim, config.kv_heads * config.head_dim
    theirs = f"model.layers.{layer}."
    projections = (("q_proj", queries), ("k_proj", keys), ("v_proj", keys))
    layout: Layout = {
        "input_layernorm.weight": (Part(f"{theirs}input_layernorm.weight", (hidden,)),),
        "self_attn.qkv_proj.weight": tuple(
            Part(f"{theirs}self_attn.{name}.weight", (rows, hidden)) for name, rows in projections
        ),
        "self_attn.o_proj.weight": (Part(f"{theirs}self_attn.o_proj.weight", (hidden, queries)),),
        "post_attention_layernorm.weight": (Part(f"{theirs}post_attention_layernorm.weight", (hidden,)),),
        "mlp.gate_up_proj.weight": tuple(
            Part(f"{theirs}mlp.{name}.weight", (ffn, hidden)) for name in ("gate_proj", "up_proj")
        ),
        "mlp.down_proj.weight": (Part(f"{theirs}mlp.down_proj.weight", (hidden, ffn)),),
    }
    if config.qkv_bias:
        layout["self_attn.qkv_proj.bias"] = tuple(
            Part(f"{theirs}self_attn.{name}.bias", (rows,)) for name, rows in projections
        )
    if config.qk_norm:
        for name in ("q_norm", "k_norm"):
            layout[f"self_attn.{name}.weight"] = (Part(f"{theirs}self_attn.{name}.weight", (config.head_dim,)),)
    return {f"layers.{layer}.{name}": parts for name, parts in layout.items()}


def router_layout(config: DecoderConfig, layers: Iterable[int]) -> Layout:
    """The parameters of `Routers` and where an MSA checkpoint keeps them (each projector a one-element Sequential)."""
    layout: Layout = {}
    for layer in layers:
        for name, heads in (("q", config.heads), ("k", config.kv_heads)):
            part = Part(
                f"model.layers.{layer}.self_attn.router_{name}_proj.0.weight",
                (heads * config.head_dim, config.hidden_size),
            )
            layout[f"{layer}.{name}_proj.weight"] = (part,)
    return layout


def load_decoder(
    config: DecoderConfig,
    tensors: Mapping[str, Tensor],
    *,
    device: torch.device,
    dtype: torch.dtype,
    weights: Weights = "bf16",
) -> Decoder:
    """Builds the decoder on `device` from a checkpoint's tensors, one tensor in memory at a time.

    `weights`: matrices are rounded to 8 or 4 bits on the device, a block of rows at a time. Raises `WeightsCorrupt`
    naming the first tensor that is missing or misshapen, before anything is allocated.
    """
    layout = decoder_layout(config)
    check_layout(layout, tensors)
    with torch.device("meta"):
        decoder = Decoder(config)
    decoder.rope = Rope(config.head_dim, config.rope_theta).to(device)  # a buffer, which meta would leave empty
    _fill(decoder, layout, tensors, device, dtype, weights=weights)
    if config.tied:
        table = decoder.embed_tokens
        if isinstance(table, NarrowEmbedding):
            decoder.lm_head = NarrowLinear(table.matrix, None)  # type: ignore[assignment]
        else:
            decoder.lm_head.weight = table.weight
    return decoder.eval()


def load_routers(
    config: DecoderConfig,
    layers: tuple[int, ...],
    tensors: Mapping[str, Tensor],
    *,
    device: torch.device,
    dtype: torch.dtype,
) -> Routers:
    """Builds the routers of `layers` from an MSA checkpoint's tensors. Raises as `load_decoder` does."""
    layout = router_layout(config, layers)
    check_layout(layout, tensors)
    with torch.device("meta"):
        routers = Routers(config, layers)
    _fill(routers, layout, tensors, device, dtype)
    return routers.eval()


def check_layout(layout: Layout, tensors: Mapping[str, Tensor]) -> None:
    """Raises `WeightsCorrupt` naming the first tensor that is missing or misshapen."""
    for part in _parts(layout):
        if part.name not in tensors:
            raise WeightsCorrupt(f"the checkpoint lacks the tensor {part.name!r} of shape {list(part.shape)}")
        found = _shape(tensors, part.name)
        if found != part.shape:
            raise WeightsCorrupt(f"tensor {part.name!r} has shape {list(found)}, expected {list(part.shape)}")


def _parts(layout: Layout) -> Iterator[Part]:
    for parts in layout.values():
        yield from parts


def _shape(tensors: Mapping[str, Tensor], name: str) -> Shape:
    """From the file's header where the mapping can tell it, so that checking reads no data."""
    from_header = getattr(tensors, "shape", None)
    return tuple(from_header(name)) if from_header is not None else tuple(tensors[name].shape)


def _fill(
    module: nn.Module,
    layout: Layout,
    tensors: Mapping[str, Tensor],
    device: torch.device,
    dtype: torch.dtype,
    *,
    weights: Weights = "bf16",
) -> None:
    """Replaces the module's parameters by ones on `device`, filled part by part and frozen.

    A matrix that is kept narrow takes its module's place: parameters come after their module's matrix in a layout.
    """
    for name, parts in layout.items():
        owner_name, _, leaf = name.rpartition(".")
        bits = bits_of(name, len(parts[0].shape), weights)
        if bits is not None:
            matrix = _narrow(parts, tensors, bits, device)
            _put(module, owner_name, matrix, dtype)
            continue
        rows = sum(part.shape[0] for part in parts)
        parameter = torch.empty((rows, *parts[0].shape[1:]), device=device, dtype=dtype)
        start = 0
        for part in parts:
            _copy(tensors, part.name, parameter[start : start + part.shape[0]])
            start += part.shape[0]
        setattr(module.get_submodule(owner_name), leaf, nn.Parameter(parameter, requires_grad=False))


def _put(module: nn.Module, name: str, matrix: NarrowMatrix, dtype: torch.dtype) -> None:
    """The narrow stand-in for the layer of this name."""
    owner_name, _, leaf = name.rpartition(".")
    table = isinstance(module.get_submodule(name), nn.Embedding)
    stands_in = NarrowEmbedding(matrix, dtype) if table else NarrowLinear(matrix, None)
    setattr(module.get_submodule(owner_name), leaf, stands_in)


def _narrow(parts: tuple[Part, ...], tensors: Mapping[str, Tensor], bits: Bits, device: torch.device) -> NarrowMatrix:
    """Rounded on the device, block by block: neither a whole tensor nor a wide copy of it lies in memory."""
    inputs = parts[0].shape[1]
    matrix = NarrowMatrix.empty(sum(part.shape[0] for part in parts), inputs, bits, device)
    at_once = max(1, NARROWED_BYTES // (4 * inputs))
    start = 0
    for part in parts:
        for first in range(0, part.shape[0], at_once):
            count = min(at_once, part.shape[0] - first)
            block = torch.empty((count, inputs), device=device, dtype=torch.float32)
            _copy(tensors, part.name, block, first)
            matrix.set_rows(start + first, block)
        start += part.shape[0]
    return matrix


def _copy(tensors: Mapping[str, Tensor], name: str, target: Tensor, first: int = 0) -> None:
    """Rows from `first` on. Block by block where the mapping can do that, so that no whole tensor lies in memory
    beside its target."""
    copy_into = getattr(tensors, "copy_into", None)
    if copy_into is not None:
        copy_into(name, target, first)
    else:
        target.copy_(tensors[name][first : first + len(target)])
