"""What goes wrong for a client, and how it is told: the error object of OpenAI's API."""

import json
from typing import Any

from codemem.errors import EXIT_NOTHING_INDEXED, EXIT_WEIGHTS, CodememError


class ApiError(Exception):
    """A request that cannot be done. `status` is the HTTP status; clients retry 408, 409, 429 and from 500 on."""

    def __init__(self, status: int, message: str, code: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.param = status, code, param

    @property
    def json(self) -> dict[str, Any]:
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}

    @property
    def body(self) -> bytes:
        return json.dumps(self.json).encode()


class HungUpError(Exception):
    """Nobody is there to hear the answer."""


_CODES = {EXIT_NOTHING_INDEXED: "not_indexed", EXIT_WEIGHTS: "weights_missing"}


def api_error(error: BaseException) -> ApiError:
    """Any failure as one for the client. What nobody foresaw names its type alone: its text may hold code."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, CodememError):
        message = " ".join(str(error).split())
        # What only the user can mend is not worth asking again for: no status that clients retry.
        return ApiError(422, message, _CODES.get(error.exit_code, "failed"))
    from codemem.daemon.client import DaemonGoneError

    if isinstance(error, DaemonGoneError):
        return ApiError(503, "the daemon ended before it answered: ask again", "daemon_gone")
    return ApiError(500, f"this is a bug in codemem ({type(error).__name__})", "bug")
