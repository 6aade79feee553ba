"""Fetch the packages that training data is made of, through each registry's own client.

Archives are only downloaded and read. Nothing in them is installed, built or run: wheels instead of Python source
distributions (whose metadata is made by running them), `npm pack` without scripts, Debian archives as files.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

ECOSYSTEMS = ("pypi", "npm", "debian-binary", "debian-source")
MAX_ARCHIVE_BYTES = 64 * 2**20
TOGETHER = {"pypi": 10, "npm": 10, "debian-binary": 30, "debian-source": 6}
"""Packages asked for in one call of a client: starting npm takes longer than most downloads."""

_HERE = Path(__file__).parent
Corpus = Literal["first", "further", "third", "fourth"]
CORPORA: tuple[Corpus, ...] = get_args(Corpus)
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


def manifest_of(corpus: Corpus) -> Path:
    """Where a corpus' packages are pinned, each with its version, hash and licence."""
    return _HERE / ("manifest.json" if corpus == "first" else f"manifest-{corpus}.json")


def listed(ecosystem: str, which: Corpus | Literal["never"] = "first") -> list[PackageName]:
    """Read the names of one ecosystem's list, in file order: a corpus' own, 'never' those that are only to be
    recognised. None where a later corpus has no such list."""
    path = _HERE / "sources" / (f"{ecosystem}.txt" if which == "first" else f"{which}-{ecosystem}.txt")
    if which in CORPORA[1:] and not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    return [PackageName(ecosystem, line) for line in lines if line and not line.startswith("#")]


@dataclass(frozen=True, slots=True)
class Pin:
    """What the manifest says about a package."""

    version: str
    sha256: dict[str, str]
    """Archive file name -> sha256."""


def pinned(manifest: Path) -> dict[str, Pin]:
    """Return package id -> pin from a committed manifest; nothing where it is still to be made."""
    if not manifest.exists():
        return {}
    rows = json.loads(manifest.read_text(encoding="utf-8"))
    return {row["id"]: Pin(row["version"], row["sha256"]) for row in rows}


def mismatches(folder: Path, pin: Pin) -> list[str]:
    """Name the archives in a folder whose bytes are not those that the manifest was made from."""
    return [
        name
        for name, expected in pin.sha256.items()
        if (folder / name).exists() and hashlib.sha256((folder / name).read_bytes()).hexdigest() != expected
    ]


def download(packages: list[PackageName], raw: Path, *, pins: dict[str, Pin], workers: int = 4) -> list[str]:
    """Fetch what is not yet there; return the ids that could not be had, with the reason."""
    found = dict(fetch(packages, raw, pins=pins, workers=workers))
    return [failure for package in packages if (failure := found[package])]


def fetch(
    packages: list[PackageName], raw: Path, *, pins: dict[str, Pin], workers: int = 4
) -> Iterator[tuple[PackageName, str | None]]:
    """Fetch what is not yet there; yield every package as it is done, with the reason if it could not be had.

    What `pins` does not name is taken in its newest version; what it names must have the manifest's bytes.
    """
    apt = _apt_configuration(raw.parent / "apt") if any(p.ecosystem.startswith("debian") for p in packages) else None
    environment = {**os.environ, **({"APT_CONFIG": str(apt)} if apt else {})}

    def several(batch: list[PackageName]) -> list[tuple[PackageName, str | None]]:
        if len(batch) > 1:
            _fetch_together(batch, raw, pins, environment)
        return [(package, _fetch_one(package, raw, pins.get(package.id), environment)) for package in batch]

    with ThreadPoolExecutor(workers) as pool:
        for done in as_completed([pool.submit(several, batch) for batch in _batches(packages, raw, pins)]):
            yield from done.result()


def _batches(packages: list[PackageName], raw: Path, pins: dict[str, Pin]) -> Iterator[list[PackageName]]:
    """Pinned packages that are not there in batches, the others by themselves."""
    waiting: dict[str, list[PackageName]] = {}
    for package in packages:
        if package.id not in pins or (package.folder(raw) / ".complete").exists():
            yield [package]
            continue
        batch = waiting.setdefault(package.ecosystem, [])
        batch.append(package)
        if len(batch) == TOGETHER[package.ecosystem]:
            yield waiting.pop(package.ecosystem)
    yield from waiting.values()


def _fetch_together(batch: list[PackageName], raw: Path, pins: dict[str, Pin], environment: dict[str, str]) -> None:
    """One client's call for a batch. Whoever's archives are not all there afterwards is asked for by itself."""
    raw.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=raw) as name:
        there = Path(name)
        command = _command(batch[0].ecosystem, [(p.name, pins[p.id].version) for p in batch])
        subprocess.run(command, cwd=there, env=environment, capture_output=True, check=False)
        for package in batch:
            pin, folder = pins[package.id], package.folder(raw)
            if not all((there / archive).exists() for archive in pin.sha256) or mismatches(there, pin):
                continue
            folder.mkdir(parents=True, exist_ok=True)
            for archive in (*pin.sha256, *(path.name for path in there.glob(f"{package.name}_*.dsc"))):
                shutil.move(there / archive, folder / archive)
            (folder / ".complete").touch()


def _fetch_one(package: PackageName, raw: Path, pin: Pin | None, environment: dict[str, str]) -> str | None:
    folder = package.folder(raw)
    if (folder / ".complete").exists():
        return None
    folder.mkdir(parents=True, exist_ok=True)
    command = _command(package.ecosystem, [(package.name, pin.version if pin else None)])
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode and not any(folder.glob("*.orig.tar.*")):
        return f"{package.id}: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}"
    if pin and (wrong := mismatches(folder, pin)):
        return f"{package.id}: {', '.join(wrong)} differ from the manifest"
    (folder / ".complete").touch()
    return None


def _command(ecosystem: str, wanted: Sequence[tuple[str, str | None]]) -> list[str]:
    """The client's call for packages of one ecosystem, each with its version or None for the newest."""
    if ecosystem == "pypi":
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        return [*pip, "--only-binary=:all:", "--dest=.", *(f"{n}=={v}" if v else n for n, v in wanted)]
    if ecosystem == "npm":
        return ["npm", "pack", "--ignore-scripts", "--silent", *(f"{n}@{v}" if v else n for n, v in wanted)]
    named = [f"{n}={v}" if v else n for n, v in wanted]
    if ecosystem == "debian-binary":
        return ["apt-get", "download", "--quiet", *named]
    return ["apt-get", "source", "--quiet", "--download-only", "--only-source", *named]


def _apt_configuration(folder: Path) -> Path:
    """Write an apt configuration of our own, with source packages, and bring its lists up to date once."""
    folder = folder.resolve()  # apt looks for relative paths in its own folder
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
