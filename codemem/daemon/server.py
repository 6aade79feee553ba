"""The daemon: a socket, clients, and when to end."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from logging.handlers import RotatingFileHandler
from typing import Any

import filelock

from codemem.daemon import frugal, protocol
from codemem.daemon.address import Address
from codemem.daemon.gate import CancelledError
from codemem.daemon.methods import Call, Methods
from codemem.daemon.params import Params
from codemem.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_WEIGHTS, CodememError
from codemem.indexer import IndexerError
from codemem.model.errors import ModelError, WeightsCorrupt, WeightsMissing

IDLE_SECONDS = 30 * 60.0
LOG_BYTES = 1_000_000
LOOK_SECONDS = 60.0
"""Between looks at whether it is idle, and at what memory can be given back."""

log = logging.getLogger("codemem.daemon")
"""Methods, durations and kinds of errors; never a question, a path or code."""


def serve(address: Address, methods: Callable[[], Methods], *, idle_seconds: float = IDLE_SECONDS) -> bool:
    """Serves until asked to end or idle for so long; False at once if another daemon serves this address."""
    address.prepare()
    os.umask(0o077)  # whatever this process writes is for this user
    lock = filelock.FileLock(address.lock, mode=0o600)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        return False
    try:
        _log_to(address)
        frugal.prepare()
        asyncio.run(_Server(address, methods(), idle_seconds).run())
    finally:
        lock.release()
    return True


def _log_to(address: Address) -> None:
    handler = RotatingFileHandler(address.log, maxBytes=LOG_BYTES, backupCount=1, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log.handlers[:] = [handler]
    log.setLevel(logging.INFO)
    log.propagate = False


class _Server:
    def __init__(self, address: Address, methods: Methods, idle_seconds: float) -> None:
        self._address, self._methods, self._idle_seconds = address, methods, idle_seconds
        self._end = asyncio.Event()
        self._clients = 0
        self._last = time.monotonic()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._end.set)
        # We hold the lock: a socket that stands here is of a daemon that was killed.
        self._address.socket.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            server = await asyncio.start_unix_server(
                self._serve, self._address.socket, limit=protocol.MAX_LINE, backlog=128
            )
        finally:
            os.umask(before)
        log.info("started, pid %d", os.getpid())
        idle = asyncio.create_task(self._watch_idle())
        try:
            await self._end.wait()
        finally:
            idle.cancel()
            # No one new: whoever comes now starts the next daemon, which waits for our lock.
            self._address.socket.unlink(missing_ok=True)
            server.close()
            await asyncio.to_thread(self._methods.close)
            log.info("ended")

    async def _watch_idle(self) -> None:
        looked, served = time.monotonic(), 0
        while True:
            if self._clients or not self._methods.idle:
                self._last = time.monotonic()
            left = self._last + self._idle_seconds - time.monotonic()
            if left <= 0:
                log.info("idle for %.0f s", self._idle_seconds)
                self._end.set()
                return
            if served != self._methods.served and time.monotonic() - looked >= LOOK_SECONDS:
                looked, served = time.monotonic(), self._methods.served
                await asyncio.to_thread(frugal.give_back_memory)
            await asyncio.sleep(min(max(left, 0.05), LOOK_SECONDS))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients += 1
        client = _Client(self._methods, writer, self._end)
        try:
            if _is_ours(writer.get_extra_info("socket")):
                while line := await reader.readline():
                    client.hear(line)
        except (ConnectionError, ValueError):  # hung up, or a line that is too long
            pass
        finally:
            client.hang_up()
            self._clients -= 1
            self._last = time.monotonic()


def _is_ours(stream: socket.socket) -> bool:
    """Whether the other end is a process of this user, where the system tells."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    _, user, _ = struct.unpack("3i", stream.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return bool(user in (os.getuid(), 0))


class _Client:
    """One connection. It is only touched in the event loop; work calls back into that."""

    def __init__(self, methods: Methods, writer: asyncio.StreamWriter, end: asyncio.Event) -> None:
        self._methods, self._writer, self._end = methods, writer, end
        self._loop = asyncio.get_running_loop()
        self._calls: dict[int | str, threading.Event] = {}

    def hear(self, line: bytes) -> None:
        identity: int | str | None = None
        try:
            message = protocol.from_line(line)
            identity = _identity(message)
            self._act(identity, message)
        except protocol.ProtocolError as error:
            self._send(protocol.failure(identity, error.code, str(error)))

    def hang_up(self) -> None:
        for cancelled in self._calls.values():
            cancelled.set()
        self._writer.close()

    def _act(self, identity: int | str | None, message: protocol.Message) -> None:
        method, params = str(message.get("method")), message.get("params", {})
        if method == "cancel":
            wanted = params.get("id") if isinstance(params, dict) else None
            if cancelled := self._calls.get(wanted):  # type: ignore[arg-type]
                cancelled.set()
            return
        if identity is None:
            raise protocol.ProtocolError(protocol.INVALID_REQUEST, "a request needs an id")
        if identity in self._calls:
            raise protocol.ProtocolError(protocol.INVALID_REQUEST, "this id is in use")
        if method == "status":
            self._send(protocol.result(identity, self._methods.status()))
        elif method == "shutdown":
            self._send(protocol.result(identity, None))
            self._end.set()
        else:
            self._call(identity, method, params)

    def _call(self, identity: int | str, method: str, params: Any) -> None:
        def emit(name: str, about: dict[str, Any]) -> None:
            self._later(self._send, protocol.notification(name, {"id": identity, **about}))

        started, cancelled = time.monotonic(), threading.Event()
        call = Call(method, Params(params), emit, cancelled)
        future = self._methods.submit(call)
        self._calls[identity] = cancelled
        future.add_done_callback(lambda done: self._later(self._done, identity, call, started, done))

    def _later(self, callback: Callable[..., None], *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(callback, *arguments)

    def _done(self, identity: int | str, call: Call, started: float, done: "Future[Any]") -> None:
        self._calls.pop(identity, None)
        error = done.exception()
        took = (time.monotonic() - started) * 1000
        if error is None:
            log.info("%s: %.0f ms", call.method, took)
            self._send(protocol.result(identity, done.result()))
            return
        log.info("%s: %s after %.0f ms%s", call.method, type(error).__name__, took, _frames(error))
        if call.cancelled.is_set() or isinstance(error, CancelledError):
            self._send(protocol.failure(identity, protocol.CANCELLED, "cancelled", EXIT_INTERRUPTED))
        else:
            self._send(protocol.failure(identity, protocol.FAILED, *_explain(error)))

    def _send(self, line: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(line)


def _identity(message: protocol.Message) -> int | str | None:
    identity = message.get("id")
    if identity is not None and (isinstance(identity, bool) or not isinstance(identity, int | str)):
        raise protocol.ProtocolError(protocol.INVALID_REQUEST, "an id must be a number or a text")
    return identity


def _explain(error: BaseException) -> tuple[str, int]:
    """One line for the user, and the exit code, as the command line has them."""
    if isinstance(error, WeightsMissing | WeightsCorrupt):
        return str(error), EXIT_WEIGHTS
    if isinstance(error, CodememError):
        return str(error), error.exit_code
    if isinstance(error, ModelError | IndexerError):
        return str(error), EXIT_FAILED
    if isinstance(error, OSError):
        return f"the system refused: {error.filename or ''} {error.strerror or error}", EXIT_FAILED
    return f"this is a bug in codemem ({type(error).__name__}): see `codemem serve logs`", EXIT_FAILED


def _frames(error: BaseException) -> str:
    """Where an unforeseen error came from, without its text, which may hold code."""
    if isinstance(error, CodememError | ModelError | IndexerError | OSError):
        return ""
    frames = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.append(f"{code.co_qualname}:{trace.tb_lineno}")
        trace = trace.tb_next
    return " at " + " > ".join(frames)
