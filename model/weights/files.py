"""Files that appear whole or not at all: hashing, disk space, and putting a finished file in place."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from codemem.model.errors import WeightsMissing

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all."""


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make_folder(path: Path) -> None:
    """Creates a folder and its parents; raises `WeightsMissing` where that is not allowed."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WeightsMissing(f"{path} cannot be made ({error.strerror}): set another folder for weights") from error


def require_space(folder: Path, needed: int) -> None:
    """Raises `WeightsMissing` when the disk of `folder` has fewer than `needed` bytes left."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise WeightsMissing(
            f"{folder} has {free / 1e9:.2f} GB free, {needed / 1e9:.2f} GB are needed: make room or set another folder"
        )


def put_in_place(finished: Path, target: Path) -> None:
    """Renames a finished file over `target`, with its bytes on disk first and its name on disk after."""
    with finished.open("rb") as file:
        os.fsync(file.fileno())
    finished.replace(target)
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Makes renames in a folder last; a folder cannot be opened for that on Windows."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Writes and fsyncs; for files that are renamed into place later, with their folder or by `put_in_place`."""
    with path.open("w", encoding="utf-8") as file:
        json.dump(value, file, indent=1)
        file.flush()
        os.fsync(file.fileno())


def read_json(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file; none if there is no such file or no such object in it."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None
