"""Shapes of a decoder and of its memory."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from codemem.model.errors import WeightsCorrupt


@dataclass(frozen=True, slots=True)
class DecoderConfig:
    """A Qwen2-shaped (QKV bias) or Qwen3-shaped (QK-norm) decoder."""

    vocab_size: int
    hidden_size: int
    layers: int
    heads: int
    """Query heads."""
    kv_heads: int
    """Key and value heads; `heads` is a multiple of it."""
    head_dim: int
    intermediate_size: int
    rope_theta: float
    rms_eps: float
    qkv_bias: bool
    """Qwen2: the query, key and value projections carry a bias."""
    qk_norm: bool
    """Qwen3: queries and keys are RMS-normalised a head before RoPE."""
    tied: bool
    """The output matrix is the embedding."""

    def __post_init__(self) -> None:
        if self.heads % self.kv_heads:
            raise ValueError(f"{self.heads} query heads cannot share {self.kv_heads} key heads")
        if self.head_dim % 2:
            raise ValueError("RoPE needs an even head_dim")

    @classmethod
    def from_huggingface(cls, raw: Mapping[str, Any]) -> "DecoderConfig":
        """Reads a `config.json` of Qwen2, Qwen3 or MSA (the Qwen3 shape, unless `base_model_type` says 'qwen2')."""
        family = raw.get("model_type")
        if family not in ("qwen2", "qwen3", "msa"):
            raise WeightsCorrupt(f"model_type {family!r} is not supported: qwen2, qwen3 and msa are")
        if family == "msa":
            family = raw.get("base_model_type", "qwen3")
        try:
            theta = raw.get("rope_theta") or raw["rope_parameters"]["rope_theta"]
            return cls(
                vocab_size=int(raw["vocab_size"]),
                hidden_size=int(raw["hidden_size"]),
                layers=int(raw["num_hidden_layers"]),
                heads=int(raw["num_attention_heads"]),
                kv_heads=int(raw["num_key_value_heads"]),
                head_dim=int(raw.get("head_dim") or raw["hidden_size"] // raw["num_attention_heads"]),
                intermediate_size=int(raw["intermediate_size"]),
                rope_theta=float(theta),
                rms_eps=float(raw["rms_norm_eps"]),
                qkv_bias=family == "qwen2",
                qk_norm=family != "qwen2",
                tied=bool(raw.get("tie_word_embeddings", False)),
            )
        except KeyError as error:
            raise WeightsCorrupt(f"config.json lacks {error.args[0]!r}") from error
        except (ValueError, TypeError) as error:
            raise WeightsCorrupt(f"config.json is wrong: {error}") from error


MAX_ROUNDS = 16
"""As many as a configuration may ask for: an adapter comes from strangers too."""


@dataclass(frozen=True, slots=True)
class MemoryConfig:
    """Memory Sparse Attention (arXiv:2603.23516) over a decoder."""

    routed_layers: tuple[int, ...]
    """Layers that keep and attend to memory, ascending."""
    chunk_tokens: int = 64
    """Tokens a chunk, counted from the document's first token (paper: P)."""
    top_k: int = 16
    """Documents a routed layer attends to (paper: k)."""
    cosine: bool = True
    """Rank by cosine (equation 2); False: by dot product times head_dim**-0.5, as the public engine may."""
    find_layers: int = 0
    """How many of the routed layers, from the lowest, `find` ranks by; 0 means all."""

    bidirectional: bool = False
    """Whether a document's tokens see those behind them too while it is encoded, so that its first chunk knows of its
    last. What is read and written is causal either way."""

    attends: bool = True
    """Whether text attends to the pooled keys and values of what was routed to. False for routers that were trained on
    a frozen backbone, which has never seen pooled memory: routing then only chooses what is read."""
    names: bool = True
    """Whether the model was trained to name the documents that it wants to read. False: routing decides."""
    rounds: int = 1
    """Rounds of Memory Interleave that an answer takes unless it is told: as many as were measured to pay. What can be
    read is shared by the rounds, and what was read first stands farthest from the answer (decision 0030)."""

    follows: int = 0
    """Documents that the text of the best one routes to, read beside it: a hop (docs/msa.md, "Hops"). 0: none, for
    routers that were trained on questions alone."""

    def __post_init__(self) -> None:
        if list(self.routed_layers) != sorted(set(self.routed_layers)):
            raise ValueError("routed_layers must ascend")
        if self.chunk_tokens < 1 or self.top_k < 1:
            raise ValueError("chunk_tokens and top_k must be positive")
        if not 0 <= self.follows <= self.top_k:
            raise ValueError(f"follows = {self.follows} must lie between 0 and top_k = {self.top_k}")
        if not 1 <= self.rounds <= MAX_ROUNDS:
            raise ValueError(f"rounds = {self.rounds} must lie between 1 and {MAX_ROUNDS}")

    @property
    def ranking_layers(self) -> tuple[int, ...]:
        """The layers whose scores `find` sums."""
        return self.routed_layers[: self.find_layers] if self.find_layers else self.routed_layers
