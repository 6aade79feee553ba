"""Where a daemon listens. Nothing here imports anything heavy: it is on the way of every `codemem find`."""

import os
import stat
import warnings
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import platformdirs

import codemem
from codemem.config import Settings
from codemem.errors import CodememError

PROTOCOL = 1
"""Changes when a message does; daemons of two protocols live side by side."""
LONGEST_SOCKET_PATH = 100
"""Bytes; the system's limit is 108, on a Mac 104."""


class AddressError(CodememError):
    """There is no place for a socket that only this user can reach."""


@dataclass(frozen=True, slots=True)
class Address:
    """The files of one daemon. One serves exactly one installation, configuration and store."""

    folder: Path
    name: str

    @property
    def socket(self) -> Path:
        return self.folder / f"{self.name}.sock"

    @property
    def lock(self) -> Path:
        """Held by the daemon as long as it lives: of two started at once, one ends."""
        return self.folder / f"{self.name}.lock"

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    def prepare(self) -> None:
        """Makes the folder, for this user alone. Raises AddressError if it is someone else's."""
        if len(os.fsencode(self.socket)) > LONGEST_SOCKET_PATH:
            raise AddressError(f"the path of the daemon's socket is too long: {self.socket}")
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            found, around = self.folder.lstat(), self.folder.parent.lstat()
        except OSError as error:
            raise AddressError(f"{self.folder} cannot be used for the daemon's socket: {error.strerror}") from error
        private = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
        if not private or around.st_uid not in (os.getuid(), 0):
            raise AddressError(f"{self.folder} must be a folder of yours with mode 0700 for the daemon's socket")


def address_of(settings: Settings) -> Address:
    """The daemon of this installation for these settings.

    An upgraded package, another configuration or another store is another daemon: none answers with old code or for
    other settings. The old one ends when it has been idle.
    """
    package, user = Path(codemem.__file__), replace(settings.user, daemon="auto")
    identity = repr((str(package), package.stat().st_mtime_ns, str(settings.places.data), user))
    # Tells a few configurations of one user apart; importing hashlib costs as much as asking.
    digest = f"{zlib.crc32(identity.encode('utf-8', 'surrogateescape')):08x}"
    with warnings.catch_warnings():
        # Without XDG_RUNTIME_DIR a folder in /tmp is taken; `prepare` sees to it that it is ours alone.
        warnings.simplefilter("ignore")
        folder = platformdirs.user_runtime_path("codemem", appauthor=False)
    return Address(folder, f"{PROTOCOL}-{digest}")
