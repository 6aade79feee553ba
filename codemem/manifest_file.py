"""A manifest as bytes, and where it lies.

    magic, 8 bytes | BLAKE2b of the rest, 16 bytes | safetensors: the columns, and one JSON text for the rest

It is written whole under a temporary name, synced and renamed: a reader sees the old one or the new one.
"""

import hashlib
import json
import os
import tempfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from codemem.indexer.document import Skipped
from codemem.indexer.tree import FileStat
from codemem.manifest import Columns, DocumentKeys, LeftOut, Manifest, ManifestInfo

MAGIC = b"cmmfst01"
"""Changes with the format; any other is foreign, and the manifest is built anew."""
_DIGEST_BYTES = 16


class ManifestUnreadableError(ValueError):
    """The bytes are no manifest of this version, or are damaged. It can always be built anew from the files."""


def to_bytes(manifest: Manifest) -> bytes:
    columns = {f.name: getattr(manifest.columns, f.name) for f in fields(Columns)}
    columns["remembered"] = manifest.columns.remembered.astype(np.uint8)
    for number, keys in enumerate(manifest.keys.values()):
        columns[f"keys.{number}"], columns[f"tokens.{number}"] = keys.keys, keys.tokens
    columns["paths"] = _text("\0".join(manifest.paths))
    # Times before 1970 do not fit the column: such a file is read again.
    cached = sorted(path for path, known in manifest.stat_cache.items() if min(known[:2]) >= 0)
    columns["stat_paths"] = _text("\0".join(cached))
    columns["stats"] = np.array([manifest.stat_cache[path][:4] for path in cached], np.uint64).reshape(-1, 4)
    columns["stat_oids"] = _text("\0".join(manifest.stat_cache[path][4] for path in cached))
    about = {
        "info": {f.name: getattr(manifest.info, f.name) for f in fields(ManifestInfo)},
        "languages": list(manifest.language_names),
        "layouts": list(manifest.keys),
        "skipped": [[s.path, s.reason] for s in manifest.skipped],
        "left_out": [[f.path, f.oid, f.reason] for f in manifest.left_out],
        "reincluded": sorted(manifest.reincluded),
    }
    body = safetensors.numpy.save(columns, metadata={"about": json.dumps(about)})
    return MAGIC + hashlib.blake2b(body, digest_size=_DIGEST_BYTES).digest() + body


def from_bytes(data: bytes) -> Manifest:
    """Raises ManifestUnreadableError for anything but an undamaged manifest of this version."""
    start = len(MAGIC) + _DIGEST_BYTES
    if data[: len(MAGIC)] != MAGIC:
        raise ManifestUnreadableError("it was written by another version or program")
    body = data[start:]
    if hashlib.blake2b(body, digest_size=_DIGEST_BYTES).digest() != data[len(MAGIC) : start]:
        raise ManifestUnreadableError("it is damaged")
    try:
        manifest = _from_safetensors(body)
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ManifestUnreadableError(f"it is no manifest: {error}") from error
    if any(path.startswith("/") or ".." in path.split("/") for path in manifest.paths):
        raise ManifestUnreadableError("it names files outside its folder")
    return manifest


def _from_safetensors(body: bytes) -> Manifest:
    header = json.loads(body[8 : 8 + int.from_bytes(body[:8], "little")])
    about: dict[str, Any] = json.loads(header["__metadata__"]["about"])
    tensors = safetensors.numpy.load(body)
    tensors["remembered"] = tensors["remembered"].astype(np.bool_)
    stats = map(FileStat._make, zip(*tensors["stats"].T.tolist(), _words(tensors["stat_oids"]), strict=True))
    return Manifest(
        info=ManifestInfo(**about["info"]),
        paths=_words(tensors["paths"]),
        skipped=[Skipped(*pair) for pair in about["skipped"]],
        left_out=[LeftOut(*values) for values in about["left_out"]],
        reincluded=frozenset(about["reincluded"]),
        language_names=about["languages"],
        columns=Columns(**{f.name: tensors[f.name] for f in fields(Columns)}),
        stat_cache=dict(zip(_words(tensors["stat_paths"]), stats, strict=True)),
        keys={
            layout: DocumentKeys(tensors[f"keys.{i}"], tensors[f"tokens.{i}"])
            for i, layout in enumerate(about["layouts"])
        },
    )


def _text(text: str) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    return np.frombuffer(text.encode(), np.uint8)


def _words(column: "np.ndarray[Any, np.dtype[np.uint8]]") -> list[str]:
    return column.tobytes().decode().split("\0") if len(column) else []


def read_manifest(path: Path) -> Manifest | None:
    """None if there is none. Raises ManifestUnreadableError, or OSError if the file may not be read."""
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return from_bytes(data)


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Replaces the file at `path` in one step. Raises OSError; the old file then still stands."""
    data = to_bytes(manifest)
    handle, temporary = tempfile.mkstemp(prefix=".manifest-", dir=path.parent)
    try:
        with open(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
