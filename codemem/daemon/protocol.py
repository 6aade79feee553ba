"""Messages between a daemon and its clients: JSON-RPC 2.0, one JSON object a line.

A request is answered by one result or error with its id. Before that come notifications that carry the id in their
params: `progress`, and for `ask` `round` and `piece`. A client sends `cancel` with an id; one that hangs up has
cancelled everything it asked.
"""

import json

from codemem.errors import EXIT_FAILED, CodememError

MAX_LINE = 64 * 1024**2
"""Bytes of a message."""

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
UNKNOWN_METHOD = -32601
INVALID_PARAMS = -32602
FAILED = -32000
"""What was asked could not be done; `data.exit_code` says how the command line ends."""
CANCELLED = -32800

TYPE_CHECKING = False  # `typing` takes longer to import than a message to answer: see `connection`
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Message = dict[str, Any]
else:
    Message = dict


class ProtocolError(Exception):
    """A message that is none. `code` is one of the numbers above."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class RemoteError(CodememError):
    """What the daemon answered instead of a result."""

    def __init__(self, error: "Mapping[str, Any]") -> None:
        super().__init__(str(error.get("message", "the daemon failed")))
        self.code = error.get("code")
        data = error.get("data")
        self.exit_code = data.get("exit_code", EXIT_FAILED) if isinstance(data, dict) else EXIT_FAILED


def to_line(message: "Mapping[str, Any]") -> bytes:
    return json.dumps({"jsonrpc": "2.0", **message}).encode("ascii") + b"\n"


def from_line(line: bytes) -> "Message":
    """Raises ProtocolError."""
    try:
        message = json.loads(line)
    except ValueError as error:
        raise ProtocolError(PARSE_ERROR, "a message must be one JSON object a line") from error
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        raise ProtocolError(INVALID_REQUEST, "a message must be a JSON-RPC 2.0 object")
    return message


def request(identity: int | str, method: str, params: "Mapping[str, Any]") -> bytes:
    return to_line({"id": identity, "method": method, "params": params})


def notification(method: str, params: "Mapping[str, Any]") -> bytes:
    return to_line({"method": method, "params": params})


def result(identity: int | str, value: object) -> bytes:
    return to_line({"id": identity, "result": value})


def failure(identity: int | str | None, code: int, message: str, exit_code: int = EXIT_FAILED) -> bytes:
    return to_line({"id": identity, "error": {"code": code, "message": message, "data": {"exit_code": exit_code}}})
