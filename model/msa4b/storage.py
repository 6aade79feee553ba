"""An MSA-4B memory on disk: one folder, written beside its place and renamed when it is whole.

`memory.json` holds the format, the model's fingerprint and the sha256 of every file; `documents.safetensors` the token
ids; `layer-NN.safetensors` what a routed layer keeps. Nothing is unpickled. The public engine's own save and reload
loses the documents' tables; here a reloaded memory equals the saved one bit for bit.
"""

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from codemem.model.errors import StoreError
from codemem.model.msa4b.checkpoint import Msa4bModel
from codemem.model.msa4b.memory import LayerEntries, Msa4bMemory
from codemem.model.msa4b.tokens import NumberedDocument

FORMAT = "codemem-msa4b-memory-1"
_DOCUMENTS = "documents.safetensors"
_MANIFEST = "memory.json"


def save_memory(memory: Msa4bMemory, folder: Path) -> None:
    """Writes the memory, replacing one that is there. Raises `StoreError` if it cannot be written."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        files = {_DOCUMENTS: _write(building / _DOCUMENTS, _document_tensors(memory))}
        if len(memory):
            for layer in memory.config.memory.routed_layers:
                name = _layer_file(layer)
                files[name] = _write(building / name, memory.layer(layer).tensors())
        manifest = {
            "format": FORMAT,
            "fingerprint": memory.fingerprint,
            "cosine": memory.config.memory.cosine,
            "next_number": memory.next_number,
            "files": files,
        }
        (building / _MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        if folder.exists():
            replaced = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
            folder.rename(replaced / folder.name)
            building.rename(folder)
            shutil.rmtree(replaced)
        else:
            building.rename(folder)
    except OSError as error:
        raise StoreError(f"the memory cannot be written to {folder} ({error})") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


def load_memory(model: Msa4bModel, folder: Path, *, verify: bool = True) -> Msa4bMemory:
    """Opens a saved memory on the model's device, in the form that the model's ranking needs.

    Raises `StoreError` for a folder that is no memory, was made by another model, or (`verify`) whose files changed.
    """
    manifest = _read_manifest(folder)
    if manifest["fingerprint"] != model.fingerprint:
        raise StoreError(f"{folder} was made by another model: index again")
    if verify:
        for name, digest in manifest["files"].items():
            if _sha256(folder / name) != digest:
                raise StoreError(f"{folder / name} does not match its checksum: index again")
    memory = Msa4bMemory.of(model)
    try:
        _restore_documents(memory, load_file(folder / _DOCUMENTS), int(manifest["next_number"]))
        if len(memory):
            for layer in model.config.memory.routed_layers:
                entries = LayerEntries(**load_file(folder / _layer_file(layer), device=str(model.device)))
                if manifest["cosine"] != model.config.memory.cosine:
                    entries = entries.reranked(cosine=model.config.memory.cosine)
                memory.restore_layer(layer, entries)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{folder} is damaged ({error}): index again") from error
    return memory


def _layer_file(layer: int) -> str:
    return f"layer-{layer:02d}.safetensors"


def _document_tensors(memory: Msa4bMemory) -> dict[str, Tensor]:
    documents = memory.documents
    empty = np.zeros(0, dtype=np.uint32)
    return {
        "numbers": torch.tensor([document.number for document in documents], dtype=torch.int64),
        "lengths": torch.tensor([len(document.ids) for document in documents], dtype=torch.int64),
        "ids": torch.from_numpy(np.concatenate([empty, *(document.ids for document in documents)])),
        "chunk_ends": torch.from_numpy(np.concatenate([empty, *(document.chunk_ends for document in documents)])),
    }


def _restore_documents(memory: Msa4bMemory, tensors: dict[str, Tensor], next_number: int) -> None:
    lengths, chunk_tokens = tensors["lengths"].numpy(), memory.config.memory.chunk_tokens
    ids = np.split(tensors["ids"].numpy(), lengths.cumsum()[:-1]) if len(lengths) else []
    counts = -(-lengths // chunk_tokens)
    ends = np.split(tensors["chunk_ends"].numpy(), counts.cumsum()[:-1]) if len(lengths) else []
    rows = zip(tensors["numbers"].tolist(), ids, ends, strict=True)
    memory.restore_documents([NumberedDocument(*row) for row in rows], next_number)


def _write(path: Path, tensors: dict[str, Tensor]) -> str:
    """Writes and fsyncs; returns the sha256."""
    save_file({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, path)
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return _sha256(path)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({error})") from error


def _read_manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        found = manifest["format"]
        names = list(manifest["files"])
        missing = {"fingerprint", "cosine", "next_number"} - set(manifest)
    except FileNotFoundError as error:
        raise StoreError(f"{folder} holds no MSA-4B memory: {_MANIFEST} is missing") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{folder / _MANIFEST} cannot be read ({error})") from error
    if found != FORMAT or missing or any(Path(name).name != name for name in names):
        raise StoreError(f"{folder} is no memory of this version ({FORMAT})")
    return dict(manifest)
