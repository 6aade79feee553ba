"""An MSA-4B checkpoint, opened."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from codemem.model.decoder import Decoder
from codemem.model.errors import WeightsCorrupt, WeightsMissing
from codemem.model.load import check_layout, decoder_layout, load_decoder, load_routers, router_layout
from codemem.model.msa4b.config import Msa4bConfig, Ranking, read_config
from codemem.model.msa4b.shards import Shards
from codemem.model.msa4b.tokens import Protocol
from codemem.model.narrow import format_name, parameter_bytes
from codemem.model.routers import Routers
from codemem.model.tokenizer import Tokenizer
from codemem.model.weights.kept import Weights


@dataclass(frozen=True, slots=True)
class Msa4bModel:
    """Everything a conversation needs, on one device."""

    config: Msa4bConfig
    decoder: Decoder
    routers: Routers
    protocol: Protocol
    device: torch.device
    dtype: torch.dtype
    fingerprint: str
    """Hex sha256 over what determines an entry: configuration and tensors (`weights_fingerprint`), and how the
    decoder's matrices are kept (`entries_fingerprint`)."""
    checkpoint: str
    """`weights_fingerprint` alone: what is found out about the checkpoint holds however its matrices are kept."""
    weights: Weights = "bf16"


def load_msa4b(
    folder: Path,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.bfloat16,
    ranking: Ranking = "engine",
    weights: Weights = "bf16",
) -> Msa4bModel:
    """Opens a checkpoint folder in the published layout.

    Tensors go from their file to the device through one 64 MiB buffer, cast to `dtype` there, or rounded to 8 or 4 bits
    (`weights`) a block at a time. Raises `WeightsMissing` for a file that is not there, `WeightsCorrupt` naming the
    first tensor or field that is missing or wrong.
    """
    raw = read_json(folder / "config.json")
    config = read_config(raw, ranking=ranking)
    shards = Shards(folder)
    device = torch.device(device)
    # Both are checked before either is filled: a missing router is found at once, not after 8 GB were read.
    check_layout(decoder_layout(config.decoder) | router_layout(config.decoder, config.memory.routed_layers), shards)
    decoder = load_decoder(config.decoder, shards, device=device, dtype=dtype, weights=weights)
    routers = load_routers(config.decoder, config.memory.routed_layers, shards, device=device, dtype=dtype)
    protocol = Protocol(Tokenizer.from_folder(folder), config.memory.chunk_tokens)
    _check_vocabulary(protocol, config)
    checkpoint = weights_fingerprint(raw, shards)
    fingerprint = entries_fingerprint(checkpoint, weights)
    return Msa4bModel(config, decoder, routers, protocol, device, dtype, fingerprint, checkpoint, weights)


def is_msa(folder: Path) -> bool:
    """Whether a folder holds a checkpoint in the MSA layout."""
    return (folder / "config.json").is_file() and read_json(folder / "config.json").get("model_type") == "msa"


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file. Raises `WeightsMissing` or `WeightsCorrupt`."""
    if not path.is_file():
        raise WeightsMissing(f"{path} is missing: {path.parent} is no checkpoint")
    try:
        parsed = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WeightsCorrupt(f"{path} is not JSON ({error})") from error
    if not isinstance(parsed, dict):
        raise WeightsCorrupt(f"{path} holds no JSON object")
    return parsed


def weights_fingerprint(raw: dict[str, Any], shards: Shards) -> str:
    """Identifies a checkpoint without reading all of it: its configuration, and of every tensor name, shape and start.

    Fields that change neither an entry nor its use (how it was trained, which program wrote it) are left out, so a
    re-saved checkpoint keeps its memories. It guards against mistakes, not against forgery.
    """
    shape = read_config(raw)
    digest = hashlib.sha256(repr((shape.decoder, shape.memory.routed_layers, shape.memory.chunk_tokens)).encode())
    for name in sorted(shards):
        digest.update(f"{name}{shards.shape(name)}".encode() + shards.start(name))
    return digest.hexdigest()


def entries_fingerprint(checkpoint: str, weights: Weights) -> str:
    """What entries made with this checkpoint are known by: rounded matrices make other entries."""
    if weights == "bf16":
        return checkpoint
    return hashlib.sha256(f"{checkpoint} {format_name(weights)}".encode()).hexdigest()


def loaded_bytes(raw: dict[str, Any], weights: Weights, dtype: torch.dtype = torch.bfloat16) -> int:
    """Bytes that a checkpoint of this configuration takes on its device: decoder and routers."""
    config = read_config(raw)
    decoder = decoder_layout(config.decoder)
    routers = router_layout(config.decoder, config.memory.routed_layers)
    total = 0
    for layout, kept in ((decoder, weights), (routers, "bf16")):
        for name, parts in layout.items():
            rows = sum(part.shape[0] for part in parts)
            total += parameter_bytes(name, (rows, *parts[0].shape[1:]), kept, dtype)
    return total


def _check_vocabulary(protocol: Protocol, config: Msa4bConfig) -> None:
    largest = max(protocol.tokenizer.control.values())
    if largest >= config.decoder.vocab_size:
        raise WeightsCorrupt(f"tokenizer.json has token {largest}, the embedding {config.decoder.vocab_size} rows")
