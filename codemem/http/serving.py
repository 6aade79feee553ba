"""The server's process: a socket on loopback, uvicorn, and a log without anything that was asked."""

import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from logging.handlers import RotatingFileHandler
from pathlib import Path

import filelock
import uvicorn

from codemem.config import Settings
from codemem.daemon.async_client import Daemons
from codemem.errors import CodememError
from codemem.http.app import make_app
from codemem.http.place import HOST, HttpServerError, Place, Running
from codemem.http.repositories import Repositories, named

LOG_BYTES = 1_000_000
MAX_CONNECTIONS = 128
PREDECESSOR_SECONDS = 15.0
"""For a server that was told to end."""

log = logging.getLogger("codemem.http")
"""Kinds of errors and where they came from; never a question, a path or code."""


def serve(settings: Settings, paths: Sequence[Path], *, port: int) -> None:
    """Serves until it is told to end by a signal. Writes one JSON line to standard output: `port`, or `error`."""
    os.umask(0o077)  # whatever this process writes is for this user
    place = Place(settings)
    place.prepare()
    lock = place.lock()
    try:
        lock.acquire(timeout=PREDECESSOR_SECONDS)
        served = named(paths, settings)
        listening = _listen(port)
    except filelock.Timeout:
        _tell(error="another server is still there: `codemem serve stop`")
        return
    except CodememError as error:
        _tell(error=" ".join(str(error).split()))
        return
    bound = listening.getsockname()[1]
    running = Running(os.getpid(), bound, tuple(str(each.path) for each in served), place.package)
    repositories = Repositories(served, settings)
    try:
        _log_to(place.log)
        app = make_app(Daemons(settings), repositories, key=place.key(), port=bound, failed=_note)
        place.write(running)
        _tell(port=bound)
        log.info("started, pid %d, port %d", os.getpid(), bound)
        # uvicorn ends on these and then raises them again, for whoever stood there before it: that must not be the end.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _, __: None)
        uvicorn.Server(_configuration(app)).run(sockets=[listening])
    finally:
        place.remove()
        listening.close()
        repositories.close()
        log.info("ended")
        lock.release()


def _configuration(app: object) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        http="h11",
        ws="none",
        lifespan="off",
        interface="asgi3",
        loop="asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MAX_CONNECTIONS,
        h11_max_incomplete_event_size=16 * 1024,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=1,
    )


def _listen(port: int) -> socket.socket:
    """Loopback alone, IPv4: one address that `Host` can be compared with. Raises HttpServerError."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise HttpServerError(f"port {port} cannot be used ({error.strerror}): choose another with --port") from error
    return listening


def _tell(**what: object) -> None:
    """To whoever started us, who then stops listening."""
    print(json.dumps(what), flush=True)
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _log_to(path: Path) -> None:
    handler = RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=1, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log.handlers[:] = [handler]
    log.setLevel(logging.INFO)
    log.propagate = False
    # Its messages carry tracebacks, whose last line may hold what was asked.
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL + 1)


def _note(error: BaseException) -> None:
    frames = []
    trace = error.__traceback__
    while trace is not None:
        frames.append(f"{trace.tb_frame.f_code.co_qualname}:{trace.tb_lineno}")
        trace = trace.tb_next
    log.info("%s at %s", type(error).__name__, " > ".join(frames))
