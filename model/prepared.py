"""A loaded model as it runs, kept on disk: adapter merged, matrices quantised; later starts map it.

The file is safetensors beside the base weights' cache, named by what it was made from. It is only ever made from base
and adapter, so it can be deleted at any time.
"""

import hashlib
import os
from pathlib import Path

import torch
from filelock import FileLock
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from codemem.model.config import DecoderConfig
from codemem.model.decoder import Decoder, Rope
from codemem.model.int8 import Int8Linear
from codemem.model.routers import Routers

FORMAT = "codemem-prepared-1"


def prepared_path(folder: Path, base: str, adapter: str) -> Path:
    """Where the prepared file of a base and an adapter (sha256 each) lies."""
    name = hashlib.sha256(f"{FORMAT} {base} {adapter}".encode()).hexdigest()[:16]
    return folder / f"prepared-{name}.safetensors"


def save_prepared(path: Path, decoder: Decoder, routers: Routers) -> None:
    """Writes the 8-bit model. A full disk or a read-only folder costs later starts time, nothing else."""
    tensors = {}
    for prefix, module in (("decoder", decoder), ("routers", routers)):
        for name, child in module.named_modules():
            if isinstance(child, Int8Linear):
                tensors[f"{prefix}.{name}.values"] = child.values
                tensors[f"{prefix}.{name}.scale"] = child.scale
                if child.bias is not None:
                    tensors[f"{prefix}.{name}.bias"] = child.bias
    for name, parameter in decoder.named_parameters():
        half = name == "embed_tokens.weight"
        tensors[f"decoder.{name}"] = parameter.detach().to(torch.float16 if half else torch.float32).contiguous()
    temporary = path.with_suffix(f".{os.getpid()}.part")
    try:
        with FileLock(f"{path}.lock"):
            if not path.exists():
                save_file(tensors, str(temporary), {"format": FORMAT})
                temporary.replace(path)
    except (OSError, SafetensorError):
        temporary.unlink(missing_ok=True)


def load_prepared(path: Path, config: DecoderConfig, layers: tuple[int, ...]) -> tuple[Decoder, Routers] | None:
    """The 8-bit model for the processor; None where there is no file that can be read."""
    if not path.is_file():
        return None
    try:
        with safe_open(str(path), "pt") as file:
            if (file.metadata() or {}).get("format") != FORMAT:
                return None
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dict)
    except (SafetensorError, OSError):
        return None
    with torch.device("meta"):
        decoder, routers = Decoder(config), Routers(config, layers)
    decoder.rope = Rope(config.head_dim, config.rope_theta)
    try:
        _fill(decoder, "decoder", tensors)
        _fill(routers, "routers", tensors)
    except KeyError:
        return None
    return decoder.eval(), routers.eval()


def _fill(module: nn.Module, prefix: str, tensors: dict[str, torch.Tensor]) -> None:
    for name, child in list(module.named_modules()):
        owner_name, _, leaf = name.rpartition(".")
        owner = module.get_submodule(owner_name)
        if isinstance(child, nn.Linear):
            key = f"{prefix}.{name}"
            setattr(
                owner, leaf, Int8Linear(tensors[f"{key}.values"], tensors[f"{key}.scale"], tensors.get(f"{key}.bias"))
            )
    for name, parameter in list(module.named_parameters()):
        if parameter.is_meta:
            owner_name, _, leaf = name.rpartition(".")
            value = nn.Parameter(tensors[f"{prefix}.{name}"], requires_grad=False)
            setattr(module.get_submodule(owner_name), leaf, value)
