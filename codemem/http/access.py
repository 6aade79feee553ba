"""Who may ask: programs of this user that know the key, and pages that this server served.

Any page of the web can make a browser send requests to 127.0.0.1, and with DNS rebinding even under a name of its own;
any user of the machine can connect. So a request must name this server in `Host`, must not come from another origin,
and must carry the key, which only this user can read. Bodies are bounded in size and in time.
"""

import asyncio
import hmac
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from codemem.http.errors import ApiError, HungUpError, api_error

MAX_BODY = 1024**2
"""Bytes of a request."""
BODY_SECONDS = 30.0
"""How long a client may take to send a body."""
TICKET_SECONDS = 600.0
MAX_TICKETS = 32

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "content-security-policy": CONTENT_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
_HEADERS = [(name.encode(), value.encode()) for name, value in HEADERS.items()]


class Tickets:
    """Passes that are good once, for a few minutes: what stands in a link may end in a history."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ends: dict[str, float] = {}

    def issue(self) -> str:
        now = self._clock()
        self._ends = {ticket: end for ticket, end in self._ends.items() if end > now}
        while len(self._ends) >= MAX_TICKETS:
            del self._ends[next(iter(self._ends))]
        ticket = secrets.token_urlsafe(24)
        self._ends[ticket] = now + TICKET_SECONDS
        return ticket

    def redeem(self, ticket: str) -> bool:
        """Whether it was good; it is not afterwards."""
        return self._ends.pop(ticket, 0.0) > self._clock()


class Guard:
    """Lets through what may pass to the application, and bounds it."""

    def __init__(self, app: App, *, port: int, key: str, failed: Callable[[BaseException], None]) -> None:
        self._app, self._key, self._failed = app, key.encode(), failed
        hosts = [f"{name}:{port}" for name in ("127.0.0.1", "localhost")]
        self._hosts = {host.encode() for host in hosts}
        self._origins = {f"http://{host}".encode() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"{scope['type']} is not served")
        begun = False

        async def guarded(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                message["headers"] = [*message.get("headers", []), *_HEADERS]
            await send(message)

        try:
            self._check(scope)
            await self._app(scope, _bounded(scope, receive), guarded)
        except HungUpError:
            pass
        except Exception as error:
            told = api_error(error)
            if told.status == 500:
                self._failed(error)
            if not begun:
                await refuse(told, guarded)

    def _check(self, scope: Scope) -> None:
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        if {value.lower() for value in _values(headers, b"host")} - self._hosts or not _values(headers, b"host"):
            raise ApiError(403, "this server answers to 127.0.0.1 and localhost alone", "wrong_host")
        if set(_values(headers, b"origin")) - self._origins:
            raise ApiError(403, "pages of other origins may not ask", "wrong_origin")
        if is_private(scope["path"]) and not self._has_key(headers):
            raise ApiError(401, "a request needs the header `Authorization: Bearer KEY`", "invalid_api_key")

    def _has_key(self, headers: list[tuple[bytes, bytes]]) -> bool:
        scheme, _, key = b" ".join(_values(headers, b"authorization")).partition(b" ")
        return scheme.lower() == b"bearer" and hmac.compare_digest(key.strip(), self._key)


def is_private(path: str) -> bool:
    """Whether a path needs the key. The page itself holds nothing, and a ticket is a key of its own."""
    return path != "/api/session" and (path.startswith(("/v1", "/api")))


def _values(headers: list[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    return [value for key, value in headers if key == name]


def _bounded(scope: Scope, receive: Receive) -> Receive:
    """Raises ApiError for a body that is too large or too slow."""
    declared = b"".join(_values(scope["headers"], b"content-length"))
    if declared.isdigit() and int(declared) > MAX_BODY:
        raise _too_large()
    read, more = 0, True
    end = asyncio.get_running_loop().time() + BODY_SECONDS

    async def bounded() -> Message:
        nonlocal read, more
        if not more:
            return await receive()
        try:
            async with asyncio.timeout_at(end):
                message = await receive()
        except TimeoutError as error:
            raise ApiError(408, "the request's body did not come in time", "timeout") from error
        read += len(message.get("body", b""))
        more = message.get("more_body", False)
        if read > MAX_BODY:
            raise _too_large()
        return message

    return bounded


def _too_large() -> ApiError:
    return ApiError(413, f"a request may hold {MAX_BODY:,} bytes", "too_large")


async def refuse(error: ApiError, send: Send) -> None:
    """Answers with an error."""
    body = error.body
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if error.status in (408, 413):
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
