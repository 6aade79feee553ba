"""Low-rank adapters (arXiv:2106.09685) on every projection, and their 8-bit file.

The file is safetensors: int8 values with one float16 scale an output row, for adapters and routers alike, and the
memory's configuration as metadata. It holds no base weight.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from codemem.model.config import MemoryConfig
from codemem.model.decoder import Decoder
from codemem.model.errors import WeightsCorrupt
from codemem.model.routers import Routers

ADAPTED = ("self_attn.qkv_proj", "self_attn.o_proj", "mlp.gate_up_proj", "mlp.down_proj")
FORMAT = "codemem-adapter-1"


class LowRank(nn.Module):
    """A frozen linear map plus a trained update of rank r: y = W x + B A x (alpha folded into B)."""

    def __init__(self, base: nn.Linear, rank: int) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.a = nn.Parameter(torch.empty(rank, base.in_features, dtype=torch.float32))
        self.b = nn.Parameter(torch.zeros(base.out_features, rank, dtype=torch.float32))
        nn.init.normal_(self.a, std=base.in_features**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.a.to(x.dtype), self.b.to(x.dtype)
        if self.base.out_features > self.base.in_features and torch.is_grad_enabled():
            out: Tensor = _WideUpdate.apply(x, self.base.weight, self.base.bias, a, b)  # type: ignore[no-untyped-call]
            return out
        # addmm adds within the product: one pass less over the output.
        return torch.addmm(self.base(x), x @ a.T, b.T)


class _WideUpdate(torch.autograd.Function):
    """W x + b + B A x as one product of [W B] with [x; A x], where the output is wider than the input.

    The update then costs no pass of its own over the wide output, nor over its gradient. W itself gets no gradient.
    """

    @staticmethod
    def forward(  # noqa: PLR0917 (apply takes no names)
        ctx: Any, x_TK: Tensor, weight_NK: Tensor, bias_N: Tensor | None, a_RK: Tensor, b_NR: Tensor
    ) -> Tensor:
        down = x_TK @ a_RK.T
        ctx.save_for_backward(x_TK, down, weight_NK, a_RK, b_NR)
        return F.linear(torch.cat((x_TK, down), 1), torch.cat((weight_NK, b_NR), 1), bias_N)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        x, down, weight, a, b = ctx.saved_tensors
        into_both = gradient @ torch.cat((weight, b), 1)
        into_x, into_down = into_both[:, : x.shape[1]], into_both[:, x.shape[1] :]
        return torch.addmm(into_x, into_down, a), None, None, into_down.T @ x, gradient.T @ down


def adapted_names(decoder: Decoder) -> Iterator[str]:
    """Names of the adapted projections, as in the adapter file."""
    for index in range(decoder.config.layers):
        for name in ADAPTED:
            yield f"layers.{index}.{name}"


def add_adapters(decoder: Decoder, rank: int) -> dict[str, LowRank]:
    """Wraps every projection of the decoder; returns the wrappers by name."""
    added = {}
    for name in adapted_names(decoder):
        parent_name, _, leaf = name.rpartition(".")
        parent = decoder.get_submodule(parent_name)
        added[name] = LowRank(getattr(parent, leaf), rank)
        setattr(parent, leaf, added[name])
    return added


def quantise_rows(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """int8 [N, K] and float16 scale [N] of a float matrix [N, K]: symmetric, a scale a row."""
    scale = (matrix.abs().amax(dim=1) / 127).to(torch.float16)
    # A row below float16's smallest number is stored as zeros; the scale must not become a zero divisor.
    safe = scale.float().clamp_min(torch.finfo(torch.float16).tiny)
    values = (matrix.float() / safe[:, None]).round().clamp(-127, 127).to(torch.int8)
    return values, safe.to(torch.float16)


def save_adapter(path: Path, adapters: dict[str, LowRank], routers: Routers, memory: MemoryConfig, base: str) -> None:
    """Writes the 8-bit file; `base` is the sha256 of the base weights that it belongs to. `adapters` may be empty."""
    matrices: dict[str, Tensor] = {}
    for name, adapter in adapters.items():
        # A's rows are scaled to unit length into B first: one scale a row of each then loses least.
        length = adapter.a.detach().norm(dim=1).clamp_min(1e-12)
        matrices[f"{name}.a"] = adapter.a.detach() / length[:, None]
        matrices[f"{name}.b"] = adapter.b.detach() * length[None, :]
    for name, parameter in routers.named_parameters():
        matrices[f"routers.{name}"] = parameter.detach()
    tensors = {}
    for name, matrix in matrices.items():
        values, scale = quantise_rows(matrix.float().cpu())
        tensors[name], tensors[f"{name}.scale"] = values, scale
    write_adapter(path, tensors, memory, base)


def change_memory(path: Path, out: Path, **changes: Any) -> None:
    """Copies an adapter file with other settings of its memory (fields of `MemoryConfig`, `names` for one); the weights
    stay as they are. Fewer `routed_layers` leave the routers of the others out.

    Raises `WeightsCorrupt` if `path` is no adapter, `ValueError` for layers that it does not route at.
    """
    file = AdapterFile(path)
    memory = replace(file.memory, **changes)
    if more := set(memory.routed_layers) - set(file.memory.routed_layers):
        raise ValueError(f"{path} has no routers of layers {sorted(more)}")
    left_out = tuple(f"routers.{layer}." for layer in file.memory.routed_layers if layer not in memory.routed_layers)
    kept = {name: tensor for name, tensor in tensors_of(path).items() if not name.startswith(left_out)}
    write_adapter(out, kept, memory, file.base)


def tensors_of(path: Path) -> dict[str, Tensor]:
    """Everything in an adapter file, as it is stored."""
    with cast(Any, safe_open(str(path), "pt")) as opened:
        return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (no mapping)


def write_adapter(path: Path, tensors: dict[str, Tensor], memory: MemoryConfig, base: str) -> None:
    """An adapter file of stored tensors. `base`: sha256 (hex) of the weights that it changes."""
    save_file(tensors, str(path), {"format": FORMAT, "base": base, "memory": json.dumps(asdict(memory))})


class AdapterFile:
    """A mapped adapter file."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = cast(Any, safe_open(str(path), "pt"))
            metadata = self._file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise WeightsCorrupt(f"{path} is no adapter of this version ({FORMAT})")
            raw = json.loads(metadata["memory"])
            self.memory = MemoryConfig(**{**raw, "routed_layers": tuple(raw["routed_layers"])})
            self.base = metadata["base"]
        except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
            raise WeightsCorrupt(f"{path} cannot be read as an adapter: {error}") from error
        self._names = frozenset(self._file.keys())

    def matrix(self, name: str) -> Tensor:
        """The dequantised float32 matrix of a name."""
        if name not in self._names:
            raise WeightsCorrupt(f"the adapter lacks {name}")
        values: Tensor = self._file.get_tensor(name).float()
        scale: Tensor = self._file.get_tensor(f"{name}.scale").float()
        return values * scale[:, None]

    def merge_into(self, decoder: Decoder) -> None:
        """Adds B A to every adapted weight, in place, in float32. A file of routers alone changes nothing."""
        if not any(name.endswith(".a") for name in self._names):
            return
        for name in adapted_names(decoder):
            weight = decoder.get_submodule(name).weight
            assert isinstance(weight, Tensor)
            update = self.matrix(f"{name}.b") @ self.matrix(f"{name}.a")
            if update.shape != weight.shape:
                raise WeightsCorrupt(
                    f"the adapter's {name} is {tuple(update.shape)}, the model's {tuple(weight.shape)}"
                )
            weight.data.copy_((weight.data.float() + update.to(weight.device)).to(weight.dtype))

    def load_routers(self, routers: Routers) -> None:
        for name, parameter in routers.named_parameters():
            parameter.data.copy_(self.matrix(f"routers.{name}").to(parameter.dtype))
