"""One token through the decoder with every product a `gemv`: normalisation, gate and addition happen within it.

Shapes: E hidden, V vocabulary.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from codemem.kernels.gemv import Norm, gemv, serves_gemv
from codemem.kernels.narrow import multiply_one, serves_one
from codemem.model.decoder import AttentionContext, Decoder, Layer, RmsNorm
from codemem.model.narrow import NarrowLinear


def can_run_single(decoder: Decoder) -> bool:
    """Whether kernels serve every product of this decoder: 16-bit or narrow matrices on a GPU, 16-bit activations."""
    products = [product for layer in decoder.layers for product in _products(layer)]
    products.append(_Product(decoder.lm_head, decoder.norm))
    if not all(isinstance(product.module, nn.Linear | NarrowLinear) for product in products):
        return False
    like = decoder.norm.weight
    distinct = {(type(p.module), *_size(p.module), p.gated, p.adds, p.norm is None): p for p in products}
    return all(_serves(product, like) for product in distinct.values())


def _size(module: nn.Linear | NarrowLinear) -> tuple[int, int]:
    return module.out_features, module.in_features


def _serves(product: "_Product", like: Tensor) -> bool:
    module = product.module
    outputs, inputs = _size(module)
    x, residual = (torch.zeros(1, n, dtype=like.dtype, device=like.device) for n in (inputs, outputs))
    added, norm, gated = residual if product.adds else None, _of(product.norm), product.gated
    if isinstance(module, NarrowLinear):
        return serves_one(x, module.matrix, module.bias, norm=norm, gated=gated, residual_1N=added)
    return serves_gemv(x, module.weight, module.bias, norm=norm, gated=gated, residual_1N=added)


def run_single(decoder: Decoder, id_1: Tensor, position_1: Tensor, context: AttentionContext) -> Tensor:
    """[1, V] float32: what follows the token. The context gets the residual stream where others get it normalised."""
    x = decoder.embed_tokens(id_1).to(decoder.norm.weight.dtype)
    rope = decoder.rope.tables(position_1, x.dtype)
    for layer in decoder.layers:
        assert isinstance(layer, Layer)
        attention, mlp = layer.self_attn, layer.mlp
        qkv = _apply(attention.qkv_proj, x, norm=layer.input_layernorm)
        attended = context.attend(layer.index, x, *attention.split_heads(qkv, *rope))
        x = _apply(attention.o_proj, attended.flatten(1), residual=x)
        inner = _apply(mlp.gate_up_proj, x, norm=layer.post_attention_layernorm, gated=True)
        x = _apply(mlp.down_proj, inner, residual=x)
    return _apply(decoder.lm_head, x, norm=decoder.norm, dtype=torch.float32)


class _Product(NamedTuple):
    """A matrix and what `run_single` does around it."""

    module: nn.Linear | NarrowLinear
    norm: RmsNorm | None = None
    gated: bool = False
    adds: bool = False


def _products(layer: nn.Module) -> list[_Product]:
    assert isinstance(layer, Layer)
    attention, mlp = layer.self_attn, layer.mlp
    return [
        _Product(attention.qkv_proj, layer.input_layernorm),
        _Product(attention.o_proj, adds=True),
        _Product(mlp.gate_up_proj, layer.post_attention_layernorm, gated=True),
        _Product(mlp.down_proj, adds=True),
    ]


def _of(norm: RmsNorm | None) -> Norm | None:
    return None if norm is None else (norm.weight, norm.eps)


def _apply(
    module: nn.Linear | NarrowLinear,
    x_1K: Tensor,
    *,
    norm: RmsNorm | None = None,
    gated: bool = False,
    residual: Tensor | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    if isinstance(module, NarrowLinear):
        narrow = module.matrix, module.bias
        return multiply_one(x_1K, *narrow, norm=_of(norm), gated=gated, residual_1N=residual, dtype=dtype)
    wide = module.weight, module.bias
    return gemv(x_1K, *wide, norm=_of(norm), gated=gated, residual_1N=residual, dtype=dtype)
