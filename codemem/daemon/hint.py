"""Where the daemon of unchanged settings listens, noted beside its socket: configuration need not be read to find it.

A note is named by everything that the settings and the address are made from: the variables, the state of the user's
config.toml, the installation. If anything of that differs, there is no note, and the long way is taken (`address_of`).
"""

import os
import sys
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from codemem.config import Settings
    from codemem.daemon.address import Address

_RACY_NS = 2_000_000_000
"""A file that changed this shortly before it was looked at may change again with its time staying the same."""
_VARIABLES = ("HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME")


def find_socket() -> str | None:
    """The socket of the daemon for the present settings, if there is a note, in a folder that is this user's alone."""
    path = _note(os.environ, settled=False)
    if path is None:
        return None
    folder = os.path.dirname(path)
    try:
        state, around = os.lstat(folder), os.lstat(os.path.dirname(folder))
        with open(path, "rb") as file:
            name = file.read(256).decode("ascii")
    except (OSError, ValueError):
        return None
    private = state.st_uid == os.getuid() and state.st_mode & 0o170077 == 0o040000
    if not private or around.st_uid not in (os.getuid(), 0) or "/" in name or not name.endswith(".sock"):
        return None
    return f"{folder}/{name}"


def is_one_of_several() -> bool:
    """Whether torchrun started this process: `config.parallel_rank` then says which of how many it is."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def leave_note(settings: "Settings", address: "Address") -> None:
    """For the next one that asks, once the daemon of these settings has been reached at its address."""
    path = _note(os.environ, settled=True)
    if path is None or os.path.dirname(path) != str(address.folder) or os.path.exists(path):
        return
    if str(settings.places.config) != _config_folder(os.environ):
        return  # this machine keeps configuration elsewhere than is watched here
    part = f"{path}.{os.getpid()}"
    try:
        with open(part, "x", encoding="ascii") as file:
            file.write(address.socket.name)
        os.replace(part, path)
    except OSError:  # the next one reads the configuration, too
        return


def _config_folder(environment: "Mapping[str, str]") -> str:
    base = environment.get("XDG_CONFIG_HOME") or f"{environment.get('HOME', '')}/.config"
    return environment.get("CODEMEM_HOME") or f"{base}/codemem"


def _note(environment: "Mapping[str, str]", *, settled: bool) -> str | None:
    """Path of the note; None on systems other than Linux, and with `settled` while config.toml is too young."""
    user = os.getuid()
    places = (environment.get("XDG_RUNTIME_DIR", ""), f"/run/user/{user}", f"/tmp/runtime-{user}")  # noqa: S108
    runtime = next((place for place in places if place and os.path.isdir(f"{place}/codemem")), "")
    base = _config_folder(environment)
    if sys.platform != "linux" or not runtime.startswith("/") or not base.startswith("/"):
        return None
    try:
        found = os.stat(f"{base}/config.toml")
        config = (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)
    except OSError:
        config = (0, 0, 0, 0)
    if settled:
        import time

        if max(config[:2]) > time.time_ns() - _RACY_NS:
            return None
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    variables = [(name, value) for name, value in sorted(environment.items()) if name.startswith("CODEMEM_")]
    variables += [(name, environment.get(name, "")) for name in _VARIABLES]
    what = repr((variables, config, package, os.stat(f"{package}/__init__.py").st_mtime_ns))
    return f"{runtime}/codemem/{zlib.crc32(what.encode('utf-8', 'surrogateescape')):08x}.at"
