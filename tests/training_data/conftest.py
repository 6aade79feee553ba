"""Tiny packages in the registries' own archive formats."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

CLIENT = '''"""Talk to the tile server over plain sockets and keep what it said."""

from .errors import TileError

RETRY_LIMIT = 7
CACHE_SECONDS = 3600


class BaseClient:
    """Keeps the connection that every client needs."""

    def __init__(self, host, port=8080, patience=12.5):
        self.host, self.port, self.patience = host, port, patience

    def ensure_open(self):
        """Check that the connection was opened before."""
        if self.socket is None:
            raise TileError("open the connection first")
        return self.socket

    def protocol_name(self):
        """Name the protocol that the server is spoken to in."""
        self.count_of_questions += 1
        return "tile/2"


class TileClient(BaseClient):
    """Fetches tiles and remembers the last one for a while."""

    def fetch_tile(self, column, row, zoom=3):
        """Fetch one tile from the server and decode its pixels."""
        raw = self.request_bytes(f"/{zoom}/{column}/{row}")
        return decode_pixels(raw, depth=8)

    def request_bytes(self, path):
        """Ask the server for a path and return the raw bytes."""
        self.ensure_open()
        return self.socket.exchange(path.encode())


def decode_pixels(raw, depth=8, order="row-major"):
    """Turn raw bytes into a list of pixels of a given depth."""
    if depth not in (8, 16):
        raise ValueError(f"depth {depth} is not supported")
    return [raw[i : i + depth // 8] for i in range(0, len(raw), depth // 8)]


def make_default_client(host):
    """Build the client that the command line uses for everything."""
    client = TileClient(host)
    return client
'''
ERRORS = '''"""What can go wrong while tiles are fetched from a server."""


class TileError(RuntimeError):
    """A tile could not be had, and trying again will not help."""

    def explain(self, verbose=False):
        """Put into words why the tile could not be fetched."""
        return f"{self.args[0]} ({'details below' if verbose else 'no details'})"
'''
TESTS = """from tiles.client import decode_pixels


def test_decode_pixels_of_depth_16():
    assert decode_pixels(b"abcd", depth=16) == [b"ab", b"cd"]
"""
# A function that an evaluation holds, laid out and commented differently.
HELD_OUT = """def measure_drift(samples, window):
    total = 0.0
    for first, second in zip(samples, samples[1:]):
        total += abs(second - first) / window
    average = total / max(1, len(samples) - 1)
    return round(average, 6)
"""
COPIED = HELD_OUT.replace("    total = 0.0", "    # start at nothing\n\n    total  =  0.0")
JAVASCRIPT = """/**
 * Parse a tile address into its column, row and zoom.
 */
export function parseAddress(address) {
  const parts = address.split('/').map(Number);
  return { zoom: parts[0], column: parts[1], row: parts[2] };
}

/**
 * Format a tile address the way that servers expect it.
 */
export function formatAddress(tile) {
  return [tile.zoom, tile.column, tile.row].join('/');
}

export function roundTrip(text) {
  const tile = parseAddress(text);
  return formatAddress(tile);
}
"""


def wheel(path: Path, name: str, licence: str, files: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            f"{name}-1.0.dist-info/METADATA", f"Name: {name}\nLicense-Expression: {licence}\n\nGPL in the text\n"
        )
        for file, text in files.items():
            archive.writestr(file, text)
    (path.parent / ".complete").touch()


def tarball(path: Path, files: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for file, text in files.items():
            info = tarfile.TarInfo(file)
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    (path.parent / ".complete").touch()


@pytest.fixture
def downloaded(tmp_path: Path) -> Path:
    """A folder as a download leaves it: one Python package, one under the GPL, one of npm."""
    out = tmp_path / "data"
    tiles = {"tiles/client.py": CLIENT, "tiles/errors.py": ERRORS, "tiles/tests/test_client.py": TESTS}
    tiles |= {"tiles/__init__.py": "from .client import TileClient, decode_pixels\n" * 2, "tiles/drift.py": COPIED}
    tiles |= {"tiles/_vendor/other.py": ERRORS.replace("TileError", "VendoredError")}
    wheel(out / "raw/pypi/tiles/tiles-1.0-py3-none-any.whl", "tiles", "MIT", tiles)
    wheel(
        out / "raw/pypi/copyleft/copyleft-1.0-py3-none-any.whl", "copyleft", "GPL-3.0-only", {"copyleft/a.py": ERRORS}
    )
    package = '{"name": "tile-address", "license": "MIT"}'
    files = {"package/package.json": package, "package/src/address.js": JAVASCRIPT}
    tarball(out / "raw/npm/tile-address/tile-address-2.1.0.tgz", files)
    return out
