"""Starting and stopping the server from the command line. Nothing here imports anything heavy."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from codemem.config import Settings
from codemem.http.place import HOST, PORT, HttpServerError, Place, Running

STOP_SECONDS = 10.0
ANSWER_SECONDS = 10.0


def start(settings: Settings, paths: Sequence[Path], port: int | None) -> Running:
    """The server that runs with these repositories, started if need be.

    One that runs without some of them, or of another version of codemem, is replaced by one that serves its
    repositories too, with the same key. Raises HttpServerError or AddressError.
    """
    place = Place(settings)
    place.prepare()
    wanted = [str(path) for path in paths]
    running = place.running()
    if running is not None:
        same = running.package == place.package and port in (None, running.port)
        if same and set(wanted) <= set(running.repositories):
            return running
        wanted = list(dict.fromkeys([*running.repositories, *wanted]))
        port = running.port if port is None else port
        stop(settings)
    _start(place, [path for path in wanted if Path(path).is_dir()], PORT if port is None else port)
    started = place.running()
    if started is None:
        raise HttpServerError(f"the server ended at once: see {place.log}")
    return started


def stop(settings: Settings) -> bool:
    """Whether one ran. Raises HttpServerError if it does not end."""
    place = Place(settings)
    running = place.running()
    if running is None:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(running.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while place.running() is not None:
        if time.monotonic() > deadline:
            raise HttpServerError(f"the server does not end: pid {running.pid}")
        time.sleep(0.02)
    return True


def page_link(settings: Settings, running: Running) -> str:
    """A link to the page that is good once, for some minutes. Raises HttpServerError."""
    connection = HTTPConnection(HOST, running.port, timeout=ANSWER_SECONDS)
    try:
        connection.request("POST", "/api/ticket", headers={"Authorization": f"Bearer {Place(settings).key()}"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise HttpServerError("the server does not know your key: `codemem serve stop`, then start it again")
        # Behind '#': a browser keeps that to itself.
        return f"{running.url}/#ticket={json.loads(body)['ticket']}"
    except (OSError, HTTPException) as error:
        raise HttpServerError(f"the server at {running.url} does not answer") from error
    finally:
        connection.close()


def _start(place: Place, paths: Sequence[str], port: int) -> None:
    """Raises HttpServerError."""
    # -P, and another folder than the user's: nothing of a repository may be imported.
    command = [sys.executable, "-P", "-m", "codemem", "serve", "run-http", "--port", str(port)]
    command += [argument for path in paths for argument in ("-C", path)]
    with open(os.open(place.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, cwd="/", start_new_session=True
        )
    assert process.stdout is not None
    with process.stdout:
        line = process.stdout.readline()
    try:
        said = json.loads(line)
    except ValueError:
        process.wait()
        raise HttpServerError(f"the server could not be started: see {place.log}") from None
    if "error" in said:
        process.wait()
        raise HttpServerError(said["error"])
    process.returncode = 0  # it outlives us and is not waited for
