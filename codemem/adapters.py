"""Adapters of earlier releases, kept so that memories made with them stay usable after an upgrade of codemem."""

import contextlib
import os
import re
import secrets
from pathlib import Path

from codemem.config import Settings
from codemem.engine_interface import MemoryEngine
from codemem.errors import CodememError
from codemem.manifest import Manifest

KEPT = 8
"""Adapters that are kept, of all models; some megabytes each. The one that was used longest ago goes first."""
_VERSIONED = re.compile(r"(.+)@([0-9a-f]{32})\Z", re.DOTALL)


def split_version(name: str) -> tuple[str, str | None]:
    """'small@0123...' -> the model's name and the beginning of a layout's fingerprint; None for the present version."""
    found = _VERSIONED.match(name)
    return (found[1], found[2]) if found else (name, None)


def earlier_name(manifest: Manifest) -> str | None:
    """By what name a model of the version that made a memory is loaded; None before there is a memory."""
    layout = manifest.info.layouts.get("ask")
    return f"{manifest.info.model}@{layout['fingerprint'][:32]}" if layout and manifest.info.model else None


def kept_adapter(settings: Settings, version: str) -> Path:
    """The adapter of an earlier version. Raises CodememError if it was not kept."""
    path = _folder(settings) / f"{version}.safetensors"
    if not path.is_file():
        raise CodememError("the adapter that made this memory is not on this machine: run `codemem index --upgrade`")
    with contextlib.suppress(OSError):
        os.utime(path)  # used: it stays
    return path


def keep_adapter(settings: Settings, engine: MemoryEngine, adapter: Path) -> None:
    """Copies the adapter that an engine was loaded with; where that fails, the next release cannot use its memories."""
    folder = _folder(settings)
    path = folder / f"{engine.layout.fingerprint[:32]}.safetensors"
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        if path.is_file() and path.stat().st_size == adapter.stat().st_size:
            os.utime(path)
            return
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with part.open("wb") as file:
            file.write(adapter.read_bytes())
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        kept = sorted(folder.glob("*.safetensors"), key=lambda one: one.stat().st_mtime_ns)
        for old in kept[:-KEPT]:
            old.unlink(missing_ok=True)
    except OSError:
        part.unlink(missing_ok=True)


def _folder(settings: Settings) -> Path:
    return settings.places.data / "adapters"
