"""Fetch the packages that training data is made of, through each registry's own client.

Archives are only downloaded and read. Nothing in them is installed, built or run: wheels instead of Python source
distributions (whose metadata is made by running them), `npm pack` without scripts, Debian archives as files.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ECOSYSTEMS = ("pypi", "npm", "debian-binary", "debian-source")
MAX_ARCHIVE_BYTES = 64 * 2**20

_HERE = Path(__file__).parent
_APT_SOURCES = """\
deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bookworm main
deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bookworm main
"""


@dataclass(frozen=True, slots=True)
class PackageName:
    """One line of a source list."""

    ecosystem: str
    name: str

    @property
    def id(self) -> str:
        return f"{self.ecosystem}:{self.name}"

    def folder(self, raw: Path) -> Path:
        """Where the package's archives lie below `raw`."""
        return raw / self.ecosystem / self.name.replace("/", "__")


def listed(ecosystem: str, *, never: bool = False) -> list[PackageName]:
    """Read the names of one ecosystem's list, in file order; with `never` those that are only to be recognised."""
    path = _HERE / "sources" / f"{'never-' if never else ''}{ecosystem}.txt"
    lines = path.read_text(encoding="utf-8").splitlines()
    return [PackageName(ecosystem, line) for line in lines if line and not line.startswith("#")]


@dataclass(frozen=True, slots=True)
class Pin:
    """What the manifest says about a package."""

    version: str
    sha256: dict[str, str]
    """Archive file name -> sha256."""


def pinned(manifest: Path = _HERE / "manifest.json") -> dict[str, Pin]:
    """Return package id -> pin from the committed manifest."""
    rows = json.loads(manifest.read_text(encoding="utf-8"))
    return {row["id"]: Pin(row["version"], row["sha256"]) for row in rows}


def mismatches(folder: Path, pin: Pin) -> list[str]:
    """Name the archives in a folder whose bytes are not those that the manifest was made from."""
    return [
        name
        for name, expected in pin.sha256.items()
        if (folder / name).exists() and hashlib.sha256((folder / name).read_bytes()).hexdigest() != expected
    ]


def download(packages: list[PackageName], raw: Path, *, pins: dict[str, Pin], workers: int = 2) -> list[str]:
    """Fetch what is not yet there; return the ids that could not be had, with the reason.

    What `pins` does not name is taken in its newest version; what it names must have the manifest's bytes.
    """
    apt = _apt_configuration(raw.parent / "apt") if any(p.ecosystem.startswith("debian") for p in packages) else None

    def one(package: PackageName) -> str | None:
        folder = package.folder(raw)
        if (folder / ".complete").exists():
            return None
        folder.mkdir(parents=True, exist_ok=True)
        pin = pins.get(package.id)
        command = _command(package, pin.version if pin else None)
        environment = {**os.environ, **({"APT_CONFIG": str(apt)} if apt else {})}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode and not any(folder.glob("*.orig.tar.*")):
            return f"{package.id}: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}"
        if pin and (wrong := mismatches(folder, pin)):
            return f"{package.id}: {', '.join(wrong)} differ from the manifest"
        (folder / ".complete").touch()
        return None

    with ThreadPoolExecutor(workers) as pool:
        return [failure for failure in pool.map(one, packages) if failure]


def _command(package: PackageName, version: str | None) -> list[str]:
    name = package.name
    if package.ecosystem == "pypi":
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        return [*pip, "--only-binary=:all:", "--dest=.", f"{name}=={version}" if version else name]
    if package.ecosystem == "npm":
        return ["npm", "pack", "--ignore-scripts", "--silent", f"{name}@{version}" if version else name]
    wanted = f"{name}={version}" if version else name
    if package.ecosystem == "debian-binary":
        return ["apt-get", "download", "--quiet", wanted]
    return ["apt-get", "source", "--quiet", "--download-only", "--only-source", wanted]


def _apt_configuration(folder: Path) -> Path:
    """Write an apt configuration of our own, with source packages, and bring its lists up to date once."""
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "sources.list").write_text(_APT_SOURCES, encoding="utf-8")
    configuration = folder / "apt.conf"
    configuration.write_text(
        f'Dir::Etc::sourcelist "{folder / "sources.list"}";\nDir::Etc::sourceparts "-";\n'
        f'Dir::State::lists "{folder / "lists"}";\nDir::Cache "{folder / "cache"}";\n',
        encoding="utf-8",
    )
    if not any((folder / "lists").glob("*_Sources*")):
        environment = {**os.environ, "APT_CONFIG": str(configuration)}
        subprocess.run(["apt-get", "update", "--quiet"], env=environment, check=True, capture_output=True)
    return configuration


def archives(package: PackageName, raw: Path) -> Iterator[Path]:
    """Yield the downloaded archives of a package that hold source, smallest name first."""
    for path in sorted(package.folder(raw).glob("*")):
        if re.search(r"\.(whl|tgz|deb|tar\.\w+)$", path.name) and path.stat().st_size <= MAX_ARCHIVE_BYTES:
            yield path
