"""One connection to a daemon. With `hint` and `protocol` it is all that `codemem find` imports where a daemon runs:
half of what a user waits for is Python reading modules. So no dataclasses, no typing, no pathlib in any of the three.
"""

import itertools
import socket

from codemem.daemon import protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any, Self

    OnEvent = Callable[[str, dict[str, Any]], None]
    """Called with a notification's method and params."""


class DaemonGoneError(Exception):
    """The daemon ended, or closed the connection, before it answered."""


def _ignore(_: str, __: "dict[str, Any]") -> None:
    pass


class Connection:
    """One connection; one request at a time. Hanging up cancels what was asked."""

    def __init__(self, stream: socket.socket) -> None:
        self._socket = stream
        self._lines = stream.makefile("rb")
        self._identities = itertools.count(1)

    @classmethod
    def to(cls, path: str) -> "Self | None":
        """To a socket; None if nobody listens there: there is none, or it is of a daemon that was killed."""
        stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            stream.connect(path)
        except OSError:
            stream.close()
            return None
        return cls(stream)

    def request(self, method: str, params: "Mapping[str, Any] | None" = None, on_event: "OnEvent" = _ignore) -> "Any":
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

    def _exchange(self, line: bytes) -> "Iterator[protocol.Message]":
        try:
            self._socket.sendall(line)
            while answer := self._lines.readline(protocol.MAX_LINE):
                yield protocol.from_line(answer)
        except (OSError, protocol.ProtocolError) as error:
            raise DaemonGoneError from error

    def close(self) -> None:
        self._lines.close()
        self._socket.close()

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
