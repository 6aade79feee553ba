"""The decoder: Qwen2 and Qwen3 in plain PyTorch, over packed tokens.

Shapes: T tokens, E hidden, H query heads, G key heads, D head_dim, V vocabulary.
Tokens of several sequences lie side by side in one [T, E] tensor; who sees whom is the business of the
`AttentionContext`, so encoding documents, generating text and training run the same layers.
"""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from codemem.kernels.gate import gated
from codemem.kernels.norm import add_norm
from codemem.kernels.rotary import rotate, rotate_heads
from codemem.model.config import DecoderConfig
from codemem.model.unfilled import Embedding, Linear

__all__ = ["Attention", "AttentionContext", "Decoder", "Layer", "Mlp", "Observer", "RmsNorm", "Rope", "rotate"]


class AttentionContext(Protocol):
    """Decides what each token attends to, and may keep what passes by."""

    def attend(self, layer: int, hidden_TE: Tensor, q_THD: Tensor, k_TGD: Tensor, v_TGD: Tensor) -> Tensor:
        """Returns [T, H, D]. `hidden_TE` is the layer's RMS-normalised input; q and k are rotated."""
        ...


class Observer(Protocol):
    """Is shown what every layer of a decoder's passes takes and gives, whichever kernels compute it."""

    def entering(self, layer: int, hidden_TE: Tensor) -> None:
        """The layer's RMS-normalised input."""
        ...

    def leaving(self, layer: int, x_TE: Tensor) -> None:
        """The residual stream behind the layer."""
        ...


class _Observed:
    """A context whose inputs an observer sees first."""

    def __init__(self, context: AttentionContext, observer: Observer) -> None:
        self._context, self._observer = context, observer

    def attend(self, layer: int, hidden_TE: Tensor, q_THD: Tensor, k_TGD: Tensor, v_TGD: Tensor) -> Tensor:
        self._observer.entering(layer, hidden_TE)
        return self._context.attend(layer, hidden_TE, q_THD, k_TGD, v_TGD)


class RmsNorm(nn.Module):
    """Root-mean-square normalisation, computed in float32 (arXiv:1910.07467)."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, (x.shape[-1],), self.weight, self.eps)

    def after_adding(self, x_TE: Tensor, added_TE: Tensor | None) -> tuple[Tensor, Tensor]:
        """x with what was added to it, and that normalised: one pass where a kernel serves."""
        return add_norm(x_TE, added_TE, self.weight, self.eps)


class Rope(nn.Module):
    """Rotary position embedding in the half-split convention (arXiv:2104.09864), for any integer position."""

    def __init__(self, head_dim: int, theta: float) -> None:
        super().__init__()
        # On the meta device this one call imports torch._dynamo and sympy: over half of what loading the model takes.
        place = "cpu" if torch.get_default_device().type == "meta" else None
        exponents = torch.arange(0, head_dim, 2, dtype=torch.float32, device=place) / head_dim
        self.register_buffer("inverse_frequency", 1.0 / theta**exponents, persistent=False)

    def tables(self, positions_T: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Cosine and sine, each [T, 1, D]."""
        inverse_frequency: Tensor = self.inverse_frequency  # type: ignore[assignment]
        angle = positions_T.float()[:, None] * inverse_frequency[None, :]
        angle = torch.cat((angle, angle), dim=-1)[:, None, :]
        return angle.cos().to(dtype), angle.sin().to(dtype)


class Attention(nn.Module):
    """Projections around attention. Query, key and value share one matrix, in this order."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = config.heads, config.kv_heads, config.head_dim
        width = (config.heads + 2 * config.kv_heads) * config.head_dim
        self.qkv_proj = Linear(config.hidden_size, width, bias=config.qkv_bias)
        self.o_proj = Linear(config.heads * config.head_dim, config.hidden_size, bias=False)
        self.q_norm = RmsNorm(config.head_dim, config.rms_eps) if config.qk_norm else None
        self.k_norm = RmsNorm(config.head_dim, config.rms_eps) if config.qk_norm else None

    def project(self, hidden_TE: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rotated queries [T, H, D], rotated keys [T, G, D], values [T, G, D]."""
        return self.split_heads(self.qkv_proj(hidden_TE), cos, sin)

    def split_heads(self, qkv_TW: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The same of the joint projection's output, which may be written over."""
        return rotate_heads(
            qkv_TW,
            cos,
            sin,
            heads=self.heads,
            kv_heads=self.kv_heads,
            q_norm_D=None if self.q_norm is None else self.q_norm.weight,
            k_norm_D=None if self.k_norm is None else self.k_norm.weight,
            eps=0.0 if self.q_norm is None else self.q_norm.eps,
        )


class Mlp(nn.Module):
    """SwiGLU. Gate and up share one matrix, in this order."""

    rows_together = 256
    """On a processor, so that what stands between the products (40 KB a row of the default) stays in its cache."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.gate_up_proj = Linear(config.hidden_size, 2 * config.intermediate_size, bias=False)
        self.down_proj = Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type == "cpu" and len(x) > self.rows_together and not torch.is_grad_enabled():
            blocks = torch.split(x, self.rows_together)
            return torch.cat([self.down_proj(gated(self.gate_up_proj(rows))) for rows in blocks])
        out: Tensor = self.down_proj(gated(self.gate_up_proj(x)))
        return out


class Layer(nn.Module):
    """One pre-norm decoder layer."""

    def __init__(self, config: DecoderConfig, index: int) -> None:
        super().__init__()
        self.index = index
        self.input_layernorm = RmsNorm(config.hidden_size, config.rms_eps)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = RmsNorm(config.hidden_size, config.rms_eps)
        self.mlp = Mlp(config)

    def forward(
        self, x_TE: Tensor, rope: tuple[Tensor, Tensor], context: AttentionContext, added_TE: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The residual stream x, and what is yet to be added to it: the next normalisation does so in its own pass.

        `added_TE`: what the layer below left to add.
        """
        x, hidden = self.input_layernorm.after_adding(x_TE, added_TE)
        attended = context.attend(self.index, hidden, *self.self_attn.project(hidden, *rope))
        x, hidden = self.post_attention_layernorm.after_adding(x, self.self_attn.o_proj(attended.flatten(1)))
        out: Tensor = self.mlp(hidden)
        return x, out

    def observe(
        self, x_TE: Tensor, rope: tuple[Tensor, Tensor], context: AttentionContext, added_TE: Tensor | None = None
    ) -> Tensor:
        """Shows the layer's inputs to the context without computing its output: the last layer of an encoding.

        Returns the residual stream that enters it, [T, E].
        """
        x, hidden = self.input_layernorm.after_adding(x_TE, added_TE)
        q, k, v = self.self_attn.project(hidden, *rope)
        context.attend(self.index, hidden, q[:0], k, v)
        return x

    def before_attention(self, x_TE: Tensor, rope: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Normalised input [T, E], rotated queries [T, H, D] and keys [T, G, D], values [T, G, D]."""
        hidden: Tensor = self.input_layernorm(x_TE)
        return hidden, *self.self_attn.project(hidden, *rope)

    def after_attention(self, x_TE: Tensor, attended_THD: Tensor) -> Tensor:
        """The residual stream with the attention's output added, [T, E]."""
        out: Tensor = x_TE + self.self_attn.o_proj(attended_THD.flatten(1))
        return out

    def feed_forward(self, x_TE: Tensor) -> Tensor:
        """The residual stream with the MLP's output added, [T, E]."""
        out: Tensor = x_TE + self.mlp(self.post_attention_layernorm(x_TE))
        return out


class Decoder(nn.Module):
    """Embedding, layers, final norm and output matrix."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config, index) for index in range(config.layers))
        self.norm = RmsNorm(config.hidden_size, config.rms_eps)
        self.lm_head = Linear(config.hidden_size, config.vocab_size, bias=False)
        if config.tied:
            self.lm_head.weight = self.embed_tokens.weight
        self.rope = Rope(config.head_dim, config.rope_theta)
        self.agree: Callable[[Tensor], Tensor] | None = None
        """Where several processes generate in step: makes the first one's logits everyone's, so that no rounding error
        lets them part."""
        self.observer: Observer | None = None
        """Sees each layer of the passes that go through `forward`; costs an addition a layer while it is there."""

    def forward(
        self,
        ids_T: Tensor,
        positions_T: Tensor,
        context: AttentionContext,
        *,
        observe_only: int | None = None,
    ) -> Tensor:
        """Hidden states [T, E] after the final norm (not through the output matrix).

        `observe_only`: the layer that is only shown its inputs; nothing above it runs and the hidden state that
        enters it is returned without the final norm.
        """
        x = self.embed_tokens(ids_T).to(self.norm.weight.dtype)  # the table may be stored narrower
        rope = self.rope.tables(positions_T, x.dtype)
        added: Tensor | None = None
        observer = self.observer
        if observer is not None:
            context = _Observed(context, observer)
        for layer in self.layers:
            assert isinstance(layer, Layer)
            if layer.index == observe_only:
                return layer.observe(x, rope, context, added)
            x, added = layer(x, rope, context, added)
            if observer is not None:
                # Rounded as the next normalisation rounds the sum that it makes.
                observer.leaving(layer.index, x + added)
        normed: Tensor = self.norm.after_adding(x, added)[1]
        return normed

    def logits(self, hidden_NE: Tensor) -> Tensor:
        """[N, V] for the rows given; callers pass only the rows that they sample from."""
        out: Tensor = self.lm_head(hidden_NE)
        return out if self.agree is None else self.agree(out)
