"""Asking a daemon, and starting one. Nothing here imports anything heavy."""

import contextlib
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from codemem.config import Settings
from codemem.daemon.address import Address, address_of
from codemem.daemon.connection import Connection, DaemonGoneError
from codemem.daemon.hint import leave_note
from codemem.errors import CodememError

OnEvent = Callable[[str, dict[str, Any]], None]
"""Called with a notification's method and params."""
__all__ = [
    "Connection",
    "DaemonGoneError",
    "OnEvent",
    "StartError",
    "connect",
    "connect_as_configured",
    "connect_or_start",
    "daemon_status",
]
START_SECONDS = 60.0
"""A daemon listens before it loads a model: what takes long is importing, on a slow disk."""
STARTS = 3
"""A daemon may find another that is about to end, and end too."""


class StartError(CodememError):
    """The daemon could not be started; its log says why."""


def connect(address: Address) -> Connection | None:
    """None if no daemon listens there. Raises AddressError if the place is not this user's alone."""
    if not address.folder.exists():
        return None
    address.prepare()
    return Connection.to(str(address.socket))


def daemon_status(address: Address) -> dict[str, Any] | None:
    """What the daemon says of itself; None if none answers."""
    try:
        connection = connect(address)
        if connection is None:
            return None
        with connection:
            status: dict[str, Any] = connection.request("status")
            return status
    except (CodememError, DaemonGoneError):
        return None


def connect_or_start(address: Address) -> Connection:
    """Starts a daemon unless one listens. Raises StartError or AddressError."""
    address.prepare()
    for _ in range(STARTS):
        if connection := connect(address) or _start(address):
            return connection
    raise StartError(f"the daemon could not be started: see {address.log}")


def connect_as_configured(settings: Settings) -> Connection | None:
    """A daemon if the user wants one: one that runs, or with `daemon = "on"` one that is started. None: do without.

    Raises AddressError or StartError.
    """
    if settings.user.daemon == "off":
        return None
    address = address_of(settings)
    connection = connect_or_start(address) if settings.user.daemon == "on" else connect(address)
    if connection is not None:
        leave_note(settings, address)
    return connection


def _start(address: Address) -> Connection | None:
    """None if the daemon that was started ended, because of an error or because another holds the lock."""
    import subprocess  # not needed where a daemon runs

    # -P, and another folder than the user's: nothing of a repository may be imported.
    command = [sys.executable, "-P", "-m", "codemem", "serve", "run"]
    with open(os.open(address.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True
        )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        ended = process.poll() is not None
        if connection := connect(address):
            # The daemon outlives us: it is not waited for.
            process.returncode = process.returncode or 0
            return connection
        if ended:
            return None
        time.sleep(0.02)
    with contextlib.suppress(OSError):
        process.terminate()
    return None
