"""Memory Sparse Attention as its specification words it: dense, float64, NumPy, one token list, no cache, no packing.

It shares no code with the product; it reads a checkpoint by the published names. Section numbers are those of
docs/decisions/0010-msa-4b-protocol.md's source, the written protocol.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file

Array = npt.NDArray[np.float64]


@dataclass
class Turn:
    """Tokens fed at once. The template is turn 0 of every text."""

    ids: list[int]
    routes: list[bool]
    causal: bool = True


@dataclass
class LayerMemory:
    """Of one document: [chunks, G, D] each. Routing keys before any normalisation."""

    k: Array
    v: Array
    router: Array


@dataclass
class Run:
    """Everything about a text. `scores[turn][layer]` is [N]; `chosen[turn][layer]`: indices by falling score."""

    layers: list[Array] = field(default_factory=list)
    final: Array = field(default_factory=lambda: np.zeros(0))
    logits: Array = field(default_factory=lambda: np.zeros(0))
    scores: dict[int, dict[int, Array]] = field(default_factory=dict)
    chosen: dict[int, dict[int, list[int]]] = field(default_factory=dict)


class Reference:
    """One checkpoint."""

    def __init__(self, folder: Path, *, cosine: bool) -> None:
        self.config = json.loads((folder / "config.json").read_text())
        self.cosine = cosine
        self.weights: dict[str, Array] = {}
        for path in sorted(folder.glob("*.safetensors")):
            self.weights.update({name: w.astype(np.float64) for name, w in load_file(path).items()})
        msa, layers = self.config["msa_config"], self.config["num_hidden_layers"]
        spelled = msa["router_layer_idx"]
        self.routed = list(range(layers)) if spelled == "all" else sorted(int(i) for i in spelled.split(","))
        self.chunk, self.top_k = msa["pooling_kernel_size"], msa["top_k_docs"]
        self.heads, self.groups = self.config["num_attention_heads"], self.config["num_key_value_heads"]
        self.head_dim = self.config["head_dim"]

    def encode(self, ids: list[int]) -> tuple[dict[int, LayerMemory], Array]:
        """A document's memory by routed layer, and its last token's hidden state (section 3)."""
        positions = np.arange(len(ids))
        visible = np.tril(np.ones((len(ids), len(ids)), dtype=bool))
        x = self.weights["model.embed_tokens.weight"][ids]
        memory = {}
        for layer in range(self.config["num_hidden_layers"]):
            hidden, q, k, v = self._project(layer, x, positions)
            if layer in self.routed:
                router = self._heads(hidden, f"model.layers.{layer}.self_attn.router_k_proj.0", self.groups)
                memory[layer] = LayerMemory(*(self._pool(y) for y in (k, v, router)))
            x = self._finish(layer, x, self._attend(q, k, v, visible))
        return memory, self._norm(x, "model.norm")[-1]

    def read(
        self,
        turns: list[Turn],
        documents: list[dict[int, LayerMemory]],
        kept: list[int] | None = None,
    ) -> Run:
        """A whole text at once. A turn that routes chooses anew, by its own tokens and those listed in `kept`."""
        owner = np.repeat(np.arange(len(turns)), [len(turn.ids) for turn in turns])
        ids = [token for turn in turns for token in turn.ids]
        template = len(turns[0].ids)
        start = template + self.top_k
        positions = np.concatenate([np.arange(template), np.arange(start, start + len(ids) - template)])
        visible = np.tril(np.ones((len(ids), len(ids)), dtype=bool))
        for index, turn in enumerate(turns):
            if not turn.causal:
                visible[np.ix_(owner == index, owner == index)] = True
        run = Run(scores={i: {} for i in range(len(turns))}, chosen={i: {} for i in range(len(turns))})
        x = self.weights["model.embed_tokens.weight"][ids]
        for layer in range(self.config["num_hidden_layers"]):
            hidden, q, k, v = self._project(layer, x, positions)
            out = np.zeros_like(q)
            memory: list[LayerMemory] = []
            for index, turn in enumerate(turns):
                rows = np.flatnonzero(owner == index)
                if layer in self.routed and documents and any(turn.routes):
                    routing = [*(kept or []), *rows[np.array(turn.routes)]]
                    chosen = self._route(layer, hidden[sorted(set(routing))], documents, run, index)
                    memory = [documents[i][layer] for i in sorted(chosen)]
                keys = np.concatenate([*(m.k for m in memory), k])
                values = np.concatenate([*(m.v for m in memory), v])
                seen = np.concatenate([np.ones((len(rows), len(keys) - len(k)), dtype=bool), visible[rows]], axis=1)
                out[rows] = self._attend(q[rows], keys, values, seen)
            x = self._finish(layer, x, out)
            run.layers.append(x)
        run.final = self._norm(x, "model.norm")
        head = "model.embed_tokens" if self.config["tie_word_embeddings"] else "lm_head"
        run.logits = run.final @ self.weights[f"{head}.weight"].T
        return run

    def _route(
        self, layer: int, hidden: Array, documents: list[dict[int, LayerMemory]], run: Run, turn: int
    ) -> list[int]:
        """Section 5: mean over heads, maximum over tokens, maximum over chunks, the best documents."""
        queries = self._heads(hidden, f"model.layers.{layer}.self_attn.router_q_proj.0", self.heads)
        if self.cosine:
            queries = queries / np.linalg.norm(queries, axis=-1, keepdims=True)
        scores = []
        for document in documents:
            best = -np.inf
            for key in document[layer].router:
                unit = key / np.linalg.norm(key, axis=-1, keepdims=True) if self.cosine else key * self.head_dim**-0.5
                for query in queries:
                    per_head = [query[h] @ unit[h // (self.heads // self.groups)] for h in range(self.heads)]
                    best = max(best, float(np.mean(per_head)))
            scores.append(best)
        run.scores[turn][layer] = np.array(scores)
        order = sorted(range(len(scores)), key=lambda i: -scores[i])
        run.chosen[turn][layer] = order[: self.top_k]
        return run.chosen[turn][layer]

    def _pool(self, x: Array) -> Array:
        return np.stack([x[i : i + self.chunk].mean(0) for i in range(0, len(x), self.chunk)])

    def _linear(self, x: Array, name: str) -> Array:
        y = x @ self.weights[f"{name}.weight"].T
        return y + self.weights[f"{name}.bias"] if f"{name}.bias" in self.weights else y

    def _heads(self, x: Array, name: str, heads: int) -> Array:
        return self._linear(x, name).reshape(len(x), heads, self.head_dim)

    def _norm(self, x: Array, name: str) -> Array:
        mean_square = (x**2).mean(-1, keepdims=True)
        return x / np.sqrt(mean_square + self.config["rms_norm_eps"]) * self.weights[f"{name}.weight"]

    def _rotate(self, x: Array, positions: npt.NDArray[np.int64]) -> Array:
        half = self.head_dim // 2
        frequency = self.config["rope_theta"] ** (-np.arange(half) / half)
        angle = positions[:, None] * frequency
        cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
        a, b = x[..., :half], x[..., half:]
        return np.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)

    def _project(self, layer: int, x: Array, positions: npt.NDArray[np.int64]) -> tuple[Array, Array, Array, Array]:
        prefix = f"model.layers.{layer}"
        hidden = self._norm(x, f"{prefix}.input_layernorm")
        q = self._heads(hidden, f"{prefix}.self_attn.q_proj", self.heads)
        k = self._heads(hidden, f"{prefix}.self_attn.k_proj", self.groups)
        v = self._heads(hidden, f"{prefix}.self_attn.v_proj", self.groups)
        if f"{prefix}.self_attn.q_norm.weight" in self.weights:
            q, k = self._norm(q, f"{prefix}.self_attn.q_norm"), self._norm(k, f"{prefix}.self_attn.k_norm")
        return hidden, self._rotate(q, positions), self._rotate(k, positions), v

    def _attend(self, q: Array, k: Array, v: Array, visible: npt.NDArray[np.bool_]) -> Array:
        out = np.zeros_like(q)
        for h in range(self.heads):
            g = h // (self.heads // self.groups)
            scores = q[:, h] @ k[:, g].T * self.head_dim**-0.5
            scores = np.where(visible, scores, -np.inf)
            weights = np.exp(scores - scores.max(-1, keepdims=True))
            out[:, h] = weights / weights.sum(-1, keepdims=True) @ v[:, g]
        return out

    def _finish(self, layer: int, x: Array, attended: Array) -> Array:
        prefix = f"model.layers.{layer}"
        x = x + self._linear(attended.reshape(len(x), -1), f"{prefix}.self_attn.o_proj")
        hidden = self._norm(x, f"{prefix}.post_attention_layernorm")
        gate, up = self._linear(hidden, f"{prefix}.mlp.gate_proj"), self._linear(hidden, f"{prefix}.mlp.up_proj")
        return x + self._linear(gate / (1 + np.exp(-gate)) * up, f"{prefix}.mlp.down_proj")
