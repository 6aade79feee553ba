"""A loaded model as it runs, kept on disk: adapter merged, matrices quantised; later starts map it.

The file is safetensors beside the base weights' cache, named by what it was made from. It is only ever made from base
and adapter, so it can be deleted at any time. Every tensor has a checksum, read at every start (some 0.1 s a gigabyte
once the file is in memory): a flipped byte would change what the model says and, unseen, what is stored.
"""

import contextlib
import hashlib
import json
import os
from pathlib import Path

import torch
import xxhash
from filelock import FileLock
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from codemem.model.config import DecoderConfig
from codemem.model.decoder import Decoder, Rope
from codemem.model.int8 import Int8Linear
from codemem.model.routers import Routers

FORMAT = "codemem-prepared-2"


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
                sums = json.dumps({name: _checksum(tensor) for name, tensor in tensors.items()}, sort_keys=True)
                save_file(tensors, str(temporary), {"format": FORMAT, "checksums": sums})
                _sync(temporary)
                temporary.replace(path)
                _sync(path.parent)
    except (OSError, SafetensorError):
        temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Makes a file's bytes, or a folder's names, survive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _checksum(tensor: torch.Tensor) -> str:
    """XXH3-128 of a tensor's type, shape and bytes."""
    digest = xxhash.xxh3_128(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
    digest.update(tensor.numpy().reshape(-1).view("uint8").data)
    return digest.hexdigest()


def load_prepared(path: Path, config: DecoderConfig, layers: tuple[int, ...]) -> tuple[Decoder, Routers] | None:
    """The 8-bit model for the processor; None where there is no sound file. A damaged one is removed."""
    if not path.is_file():
        return None
    model = _load(path, config, layers)
    if model is None:
        with contextlib.suppress(OSError):  # in a folder that may not be written it stays, and is passed over again
            path.unlink()
    return model


def _load(path: Path, config: DecoderConfig, layers: tuple[int, ...]) -> tuple[Decoder, Routers] | None:
    try:
        with safe_open(str(path), "pt") as file:
            about = file.metadata() or {}
            if about.get("format") != FORMAT:
                return None
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dict)
        if json.loads(about["checksums"]) != {name: _checksum(tensor) for name, tensor in tensors.items()}:
            return None
    except (SafetensorError, OSError, ValueError, KeyError):
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
