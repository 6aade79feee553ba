"""The packages that questions are made from: pinned, fetched by each registry's own client, unpacked, never run.

python -m codemem.evals.answers.packages --out DIR
"""

import argparse
import hashlib
import io
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from codemem.evals.errors import EvaluationError
from codemem.indexer import detect_language

Split = Literal["dev", "practice", "held-out", "recent"]
SPLITS: tuple[Split, ...] = ("dev", "practice", "held-out", "recent")
PINS = Path(__file__).with_name("packages.toml")
MOST_BYTES = 400_000
"""Of one file: larger ones are data or generated."""
_KEPT = re.compile(r"\.(py|js|mjs|cjs|ts|go|rs|rb|md|rst|txt|toml|json|ya?ml)$")
_LEFT_OUT = re.compile(r"(^|/)(tests?|__tests__|testing|spec|examples?|fixtures|node_modules|[^/]*dist-info)/")
_PIP_DOWNLOAD = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest=.")
_TEST_FILE = re.compile(r"(_test\.go|_test\.py|\.test\.[jt]s|_pb2(_grpc)?\.py|(^|/)test_[^/]*\.py)$")


@dataclass(frozen=True, slots=True)
class Package:
    """One pinned package."""

    name: str
    split: Split
    source: str
    """'pypi', 'npm' or 'debian'."""
    version: str
    sha256: str
    """Of the archive."""
    language: str
    root: str = ""
    parts: tuple[str, ...] = ()
    first: str | None = None
    """Month of the first upload, of recent ones."""

    @property
    def folder(self) -> str:
        """Name of its repository on disk."""
        return self.name.lstrip("@").replace("/", "-")


def read_pins(path: Path = PINS) -> dict[str, Package]:
    """Packages by name, in the file's order."""
    rows = tomllib.loads(path.read_text(encoding="utf-8"))
    packages = {}
    for name, row in rows.items():
        fields: dict[str, Any] = {**row, "parts": tuple(row.get("parts", ()))}
        packages[name] = Package(name=name, **fields)
    return packages


def unpacked(package: Package, folder: Path) -> Path:
    """The package's repository below `folder`, fetched if it is not there. Raises EvaluationError."""
    place = folder / package.folder
    if not place.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as name:
            archive = _fetch(package, Path(name))
            tree = Path(name) / "tree"
            for path, data in kept_files(package, archive):
                target = tree / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
            if not tree.is_dir():
                raise EvaluationError(f"{package.name} {package.version} holds nothing under {package.root!r}")
            tree.rename(place)
    return place


def _fetch(package: Package, folder: Path) -> Path:
    """Downloads the archive, whose bytes must be those pinned."""
    pinned = f"{package.name}={package.version}"
    commands = {
        "pypi": [*_PIP_DOWNLOAD, f"{package.name}=={package.version}"],
        "npm": ["npm", "pack", "--ignore-scripts", "--silent", pinned.replace("=", "@", 1)],
        "debian": ["apt-get", "download", "--quiet", pinned],
    }
    done = subprocess.run(commands[package.source], cwd=folder, capture_output=True, text=True, check=False)
    for archive in folder.iterdir():
        if hashlib.sha256(archive.read_bytes()).hexdigest() == package.sha256:
            return archive
    said = (done.stderr.strip().splitlines() or ["another archive than the pinned one came"])[-1]
    raise EvaluationError(f"{package.source} gave no {package.name} {package.version} with the pinned sha256: {said}")


def kept_files(package: Package, archive: Path) -> Iterator[tuple[str, bytes]]:
    """(path in the repository, content) of the source and the documentation, by path; tests are left out."""
    found = {}
    for name, data in _members(archive):
        inside = name.removeprefix("./")
        if package.root:
            if not inside.startswith(package.root + "/"):
                continue
            inside = inside[len(package.root) + 1 :]
        wanted = not package.parts or inside.startswith(package.parts)
        if wanted and _KEPT.search(inside) and not _LEFT_OUT.search(inside) and not _TEST_FILE.search(inside):
            found[inside] = data
    for path in sorted(found):
        if len(found[path]) <= MOST_BYTES and b"\0" not in found[path]:
            yield path, found[path]


def _members(archive: Path) -> Iterator[tuple[str, bytes]]:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            yield from ((name, wheel.read(name)) for name in wheel.namelist() if not name.endswith("/"))
        return
    if archive.suffix == ".deb":
        data = subprocess.run(["dpkg-deb", "--fsys-tarfile", str(archive)], capture_output=True, check=True).stdout
    else:
        data = archive.read_bytes()
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            if member.isfile() and (stream := tar.extractfile(member)) is not None:
                yield member.name, stream.read()


def source_files(root: Path, language: str) -> list[tuple[str, str]]:
    """(path, text) of every file of a language in a repository, by path. TypeScript's repositories may hold TSX."""
    wanted = {language, "tsx"} if language == "typescript" else {language}
    files = sorted(path for path in root.rglob("*") if path.is_file() and ".codemem" not in path.parts)
    named = ((path.relative_to(root).as_posix(), path) for path in files)
    return [
        (name, path.read_text(encoding="utf-8", errors="replace").replace("\r\n", "\n"))
        for name, path in named
        if detect_language(name, b"") in wanted
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetch and unpack the packages of all splits."""
    parser = argparse.ArgumentParser(prog="python -m codemem.evals.answers.packages", description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of repositories, one a package")
    parser.add_argument("--split", nargs="+", choices=SPLITS, default=SPLITS)
    options = parser.parse_args(arguments)
    for package in read_pins().values():
        if package.split in options.split:
            print(unpacked(package, options.out), file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
