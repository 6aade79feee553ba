"""Where the server says that it runs, where it keeps its key, and how the command line reaches it.

Nothing here imports anything heavy.
"""

import json
import os
import secrets
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

import filelock

from codemem.config import Settings
from codemem.daemon.address import address_of
from codemem.errors import CodememError

HOST = "127.0.0.1"
PORT = 7878
"""By default; clients are configured with an address once."""


class HttpServerError(CodememError):
    """The server could not be started, or does not answer."""


@dataclass(frozen=True, slots=True)
class Running:
    """What a server says of itself."""

    pid: int
    port: int
    repositories: tuple[str, ...]
    """Absolute paths."""
    package: str
    """Tells installations apart: one that was upgraded is replaced."""

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"


class Place:
    """Files of the one server that a user has for a store."""

    def __init__(self, settings: Settings) -> None:
        self._address = address_of(settings)
        self._data = settings.places.data
        self._name = f"http-{zlib.crc32(os.fsencode(self._data)):08x}"

    @property
    def package(self) -> str:
        return self._address.name

    @property
    def log(self) -> Path:
        return self._file("log")

    @property
    def key_file(self) -> Path:
        return self._data / "http-key"

    def prepare(self) -> None:
        """Makes sure of a folder that is this user's alone. Raises AddressError."""
        self._address.prepare()

    def lock(self) -> filelock.BaseFileLock:
        """Held by the server as long as it lives."""
        return filelock.FileLock(self._file("lock"), mode=0o600)

    def key(self) -> str:
        """The user's key, made when there is none. It stays, so that clients need it once."""
        self._data.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with open(os.open(self.key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(f"{secrets.token_urlsafe(32)}\n")
        except FileExistsError:
            pass
        found = self.key_file.lstat()
        if found.st_uid != os.getuid() or found.st_mode & 0o077 or self.key_file.is_symlink():
            raise HttpServerError(f"{self.key_file} must be a file of yours with mode 0600: delete it for a new key")
        key = self.key_file.read_text("ascii").strip()
        if len(key) < 32:
            raise HttpServerError(f"{self.key_file} holds no key: delete it for a new one")
        return key

    def write(self, running: Running) -> None:
        """So that the command line finds the server. Whole or not at all."""
        path = self._file("json")
        new = path.with_suffix(".new")
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(asdict(running), file)
        new.rename(path)

    def remove(self) -> None:
        self._file("json").unlink(missing_ok=True)

    def running(self) -> Running | None:
        """The server that runs; None if there is none."""
        if not self._address.folder.is_dir():
            return None
        self.prepare()
        lock = self.lock()
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            return self._read()
        lock.release()
        return None

    def _read(self) -> Running | None:
        try:
            values = json.loads(self._file("json").read_text("utf-8"))
            return Running(**{**values, "repositories": tuple(values["repositories"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def _file(self, kind: str) -> Path:
        return self._address.folder / f"{self._name}.{kind}"
