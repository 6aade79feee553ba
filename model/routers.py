"""Router projections of Memory Sparse Attention: which documents a layer attends to (arXiv:2603.23516, section 3)."""

from torch import Tensor, nn

from codemem.model.config import DecoderConfig
from codemem.model.unfilled import Linear


class Router(nn.Module):
    """Routing query and routing key of one layer, both from the layer's RMS-normalised input, without RoPE."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = config.heads, config.kv_heads, config.head_dim
        self.q_proj = Linear(config.hidden_size, config.heads * config.head_dim, bias=False)
        self.k_proj = Linear(config.hidden_size, config.kv_heads * config.head_dim, bias=False)

    def query(self, hidden_TE: Tensor) -> Tensor:
        """[T, H, D]."""
        q: Tensor = self.q_proj(hidden_TE).unflatten(-1, (self.heads, self.head_dim))
        return q

    def key(self, hidden_TE: Tensor) -> Tensor:
        """[T, G, D], to be averaged over each chunk and only then normalised."""
        k: Tensor = self.k_proj(hidden_TE).unflatten(-1, (self.kv_heads, self.head_dim))
        return k


class Routers(nn.ModuleDict):
    """The routers of the routed layers, by layer index."""

    def __init__(self, config: DecoderConfig, layers: tuple[int, ...]) -> None:
        super().__init__({str(layer): Router(config) for layer in layers})

    def at(self, layer: int) -> Router:
        router = self[str(layer)]
        assert isinstance(router, Router)
        return router
