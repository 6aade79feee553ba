"""The packages that distractors come from: fetched by each registry's own client, pinned, read and never run.

`packages.txt` names them, `packages.json` pins versions and sha256 of what the corpus was built from.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from codemem.evals.answers.packages import read_pins

HERE = Path(__file__).parent
NAMES, PINS = HERE / "packages.txt", HERE / "packages.json"
MOST_BYTES = 200_000
"""Of one file: larger ones are data or generated."""
_ARCHIVE = re.compile(r"\.(whl|tgz|tar\.\w+)$")
_CODE = re.compile(
    r"\.(py|js|mjs|cjs|jsx|ts|tsx|go|rs|rb|php|pl|pm|c|h|cc|cpp|cxx|hh|hpp|java|kt|scala|cs|hs|ml|mli|erl|hrl|ex|exs|el|"
    r"lisp|rkt|scm|lua|sh|swift|vala)$"
)
_LEFT_OUT = re.compile(
    r"(^|/)(tests?|__tests__|testsuites?|testing|testdata|specs?|fixtures|examples?|node_modules|vendor|vendored|"
    r"third[_-]?party|3rd[_-]?party|externals?|extern|deps|bundled|locales?|translations|[^/]*dist-info)/|\.min\.js$"
)
_DECORATION = re.compile(r"^(python3?-|ruby-|node-|php-|haskell-|golang-(github-)?|librust-|lib)|(-dev|-java|-js)$")
_PIP = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest=.")


@dataclass(frozen=True, slots=True)
class Package:
    """One line of the list."""

    ecosystem: str
    """'pypi', 'npm' or 'debian-source'."""
    name: str
    version: str | None = None
    sha256: tuple[tuple[str, str], ...] = ()
    """Archive and its sha256; empty until it is pinned."""

    @property
    def folder(self) -> str:
        """Its folder in the corpus, which every path there begins with."""
        return self.name.lstrip("@").replace("/", "-")


def listed(names: Path = NAMES, pins: Path = PINS) -> list[Package]:
    """The packages in the list's order, pinned where the manifest knows them."""
    known: dict[str, dict[str, str]] = {}
    versions: dict[str, str] = {}
    if pins.is_file():
        for row in json.loads(pins.read_text(encoding="utf-8")):
            known[row["id"]], versions[row["id"]] = row["sha256"], row["version"]
    packages = []
    for line in names.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            ecosystem, name = line.split()
            key = f"{ecosystem}:{name}"
            packages.append(Package(ecosystem, name, versions.get(key), tuple(known.get(key, {}).items())))
    return packages


def plain(name: str) -> str:
    """A name without its registry's decoration: 'golang-github-spf13-cobra-dev' -> 'spf13-cobra'."""
    short = re.sub(r"[-_.]+", "-", name.rsplit("/", 1)[-1].lower())
    for _ in range(3):
        short = _DECORATION.sub("", short)
    return short


def forbidden_names(never_train_on: Path | None, training: Iterable[Path]) -> frozenset[str]:
    """Names of what evaluations use or the model was trained on: its lists, and the packages of facts and hops."""
    found = {plain(name) for name in read_pins()}
    if never_train_on is not None:
        for line in never_train_on.read_text(encoding="utf-8").split():
            found.add(plain(line.removeprefix("package:")))
    for path in training:
        for line in path.read_text(encoding="utf-8").splitlines():
            if line and not line.startswith("#"):
                found.add(plain(line))
    return frozenset(found)


def refuse(packages: Sequence[Package], forbidden: frozenset[str]) -> None:
    """Raises `ValueError` naming the packages that may not be distractors."""
    wrong = [package.name for package in packages if plain(package.name) in forbidden]
    if wrong:
        raise ValueError(f"{', '.join(wrong)}: used by an evaluation or trained on")


def fetch(packages: Sequence[Package], raw: Path, *, workers: int = 2) -> dict[Package, str]:
    """Fetches archives into a folder each below `raw`; returns why those that failed did."""
    apt = _apt_configuration(raw / "apt") if any(p.ecosystem == "debian-source" for p in packages) else None

    def one(package: Package) -> str | None:
        folder = raw / package.ecosystem / package.folder
        if (folder / ".complete").exists():
            return None
        folder.mkdir(parents=True, exist_ok=True)
        environment = os.environ | ({"APT_CONFIG": str(apt)} if apt else {})
        done = subprocess.run(
            _command(package), cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        wrong = [n for n, digest in package.sha256 if (folder / n).is_file() and _sha256(folder / n) != digest]
        if wrong:
            return f"{', '.join(wrong)} differ from the manifest"
        # What else belongs to a source package is not read, and a mirror may have dropped it.
        pinned = bool(package.sha256) and all((folder / name).is_file() for name, _ in package.sha256)
        if (done.returncode and not pinned) or not any(archives(package, raw)):
            return (done.stderr.strip().splitlines() or ["nothing came"])[-1]
        (folder / ".complete").touch()
        return None

    with ThreadPoolExecutor(workers) as pool:
        return {p: why for p, why in zip(packages, pool.map(one, packages), strict=True) if why is not None}


def _command(package: Package) -> list[str]:
    name, version = package.name, package.version
    if package.ecosystem == "pypi":
        return [*_PIP, f"{name}=={version}" if version else name]
    if package.ecosystem == "npm":
        return ["npm", "pack", "--ignore-scripts", "--silent", f"{name}@{version}" if version else name]
    return ["apt-get", "source", "-qq", "--download-only", "--only-source", f"{name}={version}" if version else name]


def _apt_configuration(folder: Path) -> Path:
    """An apt configuration with the system's own places, source packages included."""
    folder = folder.resolve()  # apt looks for relative paths in its own folder
    for name in ("lists/partial", "cache/archives/partial", "parts"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for place in Path("/etc/apt/sources.list.d").glob("*.sources"):
        text = place.read_text(encoding="utf-8").replace("Types: deb\n", "Types: deb deb-src\n")
        (folder / "parts" / place.name).write_text(text, encoding="utf-8")
    configuration = folder / "apt.conf"
    configuration.write_text(
        'Dir::Etc::sourcelist "/dev/null";\n'
        f'Dir::Etc::sourceparts "{folder / "parts"}";\nDir::State::lists "{folder / "lists"}";\n'
        f'Dir::Cache "{folder / "cache"}";\n',
        encoding="utf-8",
    )
    if not any((folder / "lists").glob("*_Sources*")):
        environment = os.environ | {"APT_CONFIG": str(configuration)}
        subprocess.run(["apt-get", "update", "-qq"], env=environment, check=True, capture_output=True)
    return configuration


def archives(package: Package, raw: Path) -> Iterator[Path]:
    """The package's archives that hold its source, by name."""
    for path in sorted((raw / package.ecosystem / package.folder).glob("*")):
        if _ARCHIVE.search(path.name) and ".debian.tar" not in path.name:
            yield path


def pin(packages: Sequence[Package], raw: Path) -> list[dict[str, object]]:
    """Rows of the manifest, of the packages that are there."""
    rows: list[dict[str, object]] = []
    for package in packages:
        sums = {path.name: _sha256(path) for path in archives(package, raw)}
        if sums:
            version = package.version or _version(package, raw)
            rows.append({"id": f"{package.ecosystem}:{package.name}", "version": version, "sha256": sums})
    return rows


def _version(package: Package, raw: Path) -> str:
    folder = raw / package.ecosystem / package.folder
    for description in folder.glob("*.dsc"):
        if found := re.search(r"^Version: (\S+)", description.read_text(encoding="utf-8", errors="replace"), re.M):
            return found[1]
    name = next(archives(package, raw)).name
    if package.ecosystem == "npm":
        return name.removeprefix(f"{package.folder}-").removesuffix(".tgz")
    return name.split("-")[1]


def source_files(package: Package, raw: Path, projects: frozenset[str]) -> Iterator[tuple[str, bytes]]:
    """(path, content) of its source files: no tests, no vendored copies, no folder that is called as one of `projects`.

    `projects`: `forbidden_names` of the evaluations alone.
    """
    for archive in archives(package, raw):
        with suppress(tarfile.TarError, zipfile.BadZipFile, EOFError):
            for path, data in _members(archive):
                parts = {plain(part) for part in path.split("/")[1:-1]}
                if not (parts & projects) and 200 <= len(data) <= MOST_BYTES and b"\0" not in data:
                    yield path, data


def _members(archive: Path) -> Iterator[tuple[str, bytes]]:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            for info in wheel.infolist():
                if _wanted(info.filename) and info.file_size <= MOST_BYTES:
                    yield info.filename, wheel.read(info)
        return
    with tarfile.open(archive, "r:*") as tar:
        for member in tar:
            name = member.name.removeprefix("./")
            if member.isreg() and _wanted(name) and member.size <= MOST_BYTES:
                stream = tar.extractfile(member)
                if stream is not None:
                    yield name, stream.read()


def _wanted(path: str) -> bool:
    return bool(_CODE.search(path)) and not _LEFT_OUT.search(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
