"""Decoders of a known shape with random weights: speed and memory do not depend on what the weights say."""

from dataclasses import dataclass

import torch
from torch import nn

from codemem.model.config import DecoderConfig, MemoryConfig
from codemem.model.decoder import Decoder, Rope
from codemem.model.device import choose_device
from codemem.model.routers import Routers


@dataclass(frozen=True, slots=True)
class Shape:
    """A decoder and its memory."""

    decoder: DecoderConfig
    memory: MemoryConfig

    @property
    def width(self) -> int:
        """Numbers of a routing key."""
        return self.decoder.kv_heads * self.decoder.head_dim

    @property
    def layers(self) -> int:
        """Routed layers."""
        return len(self.memory.routed_layers)

    def layer_weights(self) -> int:
        """Numbers in one decoder layer's matrices."""
        c = self.decoder
        attention = c.hidden_size * c.head_dim * (2 * c.heads + 2 * c.kv_heads)
        return attention + 3 * c.hidden_size * c.intermediate_size

    def operations_a_token(self, document_tokens: int) -> float:
        """Multiplications and additions of encoding one token: layers below the last routed one, attention, routers."""
        c, run = self.decoder, self.memory.routed_layers[-1]
        attention = 2 * 2 * c.heads * c.head_dim * (document_tokens + 1) / 2
        routers = 2 * self.layers * c.hidden_size * self.width
        last = 2 * c.hidden_size * c.head_dim * (c.heads + 2 * c.kv_heads)
        return run * (2 * self.layer_weights() + attention) + last + routers


def _qwen3(**sizes: int) -> DecoderConfig:
    return DecoderConfig(**sizes, rope_theta=5e6, rms_eps=1e-6, qkv_bias=False, qk_norm=True, tied=True)


SHAPES = {
    "4b": Shape(
        _qwen3(
            vocab_size=151_936,
            hidden_size=2560,
            layers=36,
            heads=32,
            kv_heads=8,
            head_dim=128,
            intermediate_size=9728,
        ),
        MemoryConfig(tuple(range(18, 36))),
    ),
    "small": Shape(
        DecoderConfig(151_936, 896, 24, 14, 2, 64, 4864, 1e6, 1e-6, qkv_bias=True, qk_norm=False, tied=True),
        MemoryConfig((5, 8, 11, 14, 17, 20, 23), find_layers=3),
    ),
    "tiny": Shape(
        _qwen3(vocab_size=320, hidden_size=64, layers=4, heads=4, kv_heads=2, head_dim=16, intermediate_size=96),
        MemoryConfig((2, 3), top_k=4),
    ),
}


def place(device: str) -> tuple[torch.device, torch.dtype]:
    """Device and the type of activations there: bf16 on a GPU, float32 elsewhere."""
    chosen = choose_device(device)
    return chosen, torch.bfloat16 if chosen.type == "cuda" else torch.float32


def random_model(shape: Shape, device: torch.device, dtype: torch.dtype) -> tuple[Decoder, Routers]:
    """Made where they run: nothing is copied."""
    torch.manual_seed(0)
    with torch.device("meta"):
        decoder, routers = Decoder(shape.decoder), Routers(shape.decoder, shape.memory.routed_layers)
    decoder.rope = Rope(shape.decoder.head_dim, shape.decoder.rope_theta).to(device)
    for module in (decoder, routers):
        _fill(module, device, dtype)
    if shape.decoder.tied:
        decoder.lm_head.weight = decoder.embed_tokens.weight
    return decoder.eval(), routers.eval()


def _fill(module: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    for name, parameter in list(module.named_parameters()):
        owner, _, leaf = name.rpartition(".")
        filled = torch.empty(parameter.shape, device=device, dtype=dtype)
        if parameter.dim() == 1:
            filled.fill_(1.0 if leaf == "weight" else 0.0)
        else:
            filled.normal_(0.0, 0.02)
        setattr(module.get_submodule(owner), leaf, nn.Parameter(filled, requires_grad=False))
