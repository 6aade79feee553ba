"""Asking a daemon, and starting one. Nothing here imports anything heavy."""

import contextlib
import itertools
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

from codemem.config import Settings
from codemem.daemon import protocol
from codemem.daemon.address import Address, address_of
from codemem.errors import CodememError

START_SECONDS = 60.0
"""A daemon listens before it loads a model: what takes long is importing, on a slow disk."""
STARTS = 3
"""A daemon may find another that is about to end, and end too."""

OnEvent = Callable[[str, dict[str, Any]], None]
"""Called with a notification's method and params."""


class DaemonGoneError(Exception):
    """The daemon ended, or closed the connection, before it answered."""


class StartError(CodememError):
    """The daemon could not be started; its log says why."""


def _ignore(_: str, __: dict[str, Any]) -> None:
    pass


class Connection:
    """One connection; one request at a time. Hanging up cancels what was asked."""

    def __init__(self, stream: socket.socket) -> None:
        self._socket = stream
        self._lines = stream.makefile("rb")
        self._identities = itertools.count(1)

    def request(self, method: str, params: Mapping[str, Any] | None = None, on_event: OnEvent = _ignore) -> Any:
        """The result. Raises RemoteError, or DaemonGoneError."""
        identity = next(self._identities)
        for message in self._exchange(protocol.request(identity, method, params or {})):
            if message.get("id") == identity:
                if "error" in message:
                    raise protocol.RemoteError(message["error"])
                return message.get("result")
            about = message.get("params")
            if isinstance(about, dict) and about.get("id") == identity:
                on_event(str(message.get("method")), about)
        raise DaemonGoneError

    def _exchange(self, line: bytes) -> Iterator[protocol.Message]:
        try:
            self._socket.sendall(line)
            while answer := self._lines.readline(protocol.MAX_LINE):
                yield protocol.from_line(answer)
        except (OSError, protocol.ProtocolError) as error:
            raise DaemonGoneError from error

    def close(self) -> None:
        self._lines.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def connect(address: Address) -> Connection | None:
    """None if no daemon listens there. Raises AddressError if the place is not this user's alone."""
    if not address.folder.exists():
        return None
    address.prepare()
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        stream.connect(str(address.socket))
    except OSError:  # none, or the socket of one that was killed
        stream.close()
        return None
    return Connection(stream)


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
    return connect_or_start(address) if settings.user.daemon == "on" else connect(address)


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
