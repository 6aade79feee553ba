"""The storage format of our own models' entries: int8 rows with float16 scales, a row a chunk."""

import hashlib
import json

from codemem.model.config import DecoderConfig, MemoryConfig
from codemem.model.entry import EntryLayout, TensorSpec

FORMAT = 1
"""Raised when the same model and text would give other bytes."""

PARTS = ("route", "k", "v")


def entry_layout(
    config: DecoderConfig, memory: MemoryConfig, layers: tuple[int, ...], *, base: str, adapter: str
) -> EntryLayout:
    """Layout of the routed `layers`; `base` and `adapter` are sha256 of the weights (hex).

    A layer takes 3 * (G * D + 2 * G) bytes a chunk: routing key, key and value in int8, a float16 scale a group.
    """
    width = config.kv_heads * config.head_dim
    tensors = [
        spec
        for layer in layers
        for part in PARTS
        for spec in (
            TensorSpec(f"{part}.{layer}", "int8", width),
            TensorSpec(f"{part}_scale.{layer}", "float16", config.kv_heads),
        )
    ]
    identity = {
        "format": FORMAT,
        "base": base,
        "adapter": adapter,
        "layers": layers,
        "chunk_tokens": memory.chunk_tokens,
        "cosine": memory.cosine,
    }
    fingerprint = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    return EntryLayout(fingerprint, memory.chunk_tokens, tuple(tensors))
