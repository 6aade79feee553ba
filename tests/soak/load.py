"""Mixed load on a daemon: questions, indexing, edits and commits at once, as long as asked; its memory stays flat."""

import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.conftest import git, write

from codemem.daemon.address import Address
from codemem.daemon.client import Connection, connect
from codemem.daemon.protocol import RemoteError
from codemem.errors import EXIT_NOTHING_INDEXED

WORDS = ("retry", "cache", "evict", "open", "close", "parse", "route", "merge")
CLIENTS = 6


@dataclass
class Load:
    """What was seen."""

    requests: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    resident: list[int] = field(default_factory=list)
    """Bytes of the daemon's own memory (private pages), at even intervals."""

    @property
    def growth(self) -> float:
        """Of the last quarter over the second one, as a share: the first is warming up."""
        quarter = max(len(self.resident) // 4, 1)
        early, late = self.resident[quarter : 2 * quarter], self.resident[-quarter:]
        return (sorted(late)[len(late) // 2] / sorted(early)[len(early) // 2] - 1) if early else 0.0


def start_daemon(command: Sequence[str], address: Address) -> "subprocess.Popen[bytes]":
    """Python with these arguments, once it listens."""
    process = subprocess.Popen([sys.executable, *command], cwd="/", env=os.environ)
    deadline = time.monotonic() + 60
    while (connection := connect(address)) is None:
        assert time.monotonic() < deadline, "the daemon did not start"
        assert process.poll() is None, "the daemon ended"
        time.sleep(0.02)
    connection.close()
    return process


def private_bytes(pid: int) -> int:
    """Memory of a process that no file backs: mapped segments come and go as the system likes."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    (line,) = (line for line in text.splitlines() if line.startswith("RssAnon:"))
    return int(line.split()[1]) * 1024


def check_load(
    repositories: list[Path], address: Address, daemon_pid: int, *, seed: int, seconds: float, samples: int = 40
) -> Load:
    """Clients, each with a connection of its own, for so long. What they hear is checked as it comes."""
    return _Run(repositories, address, seed).go(daemon_pid, seconds, samples)


class _Run:
    def __init__(self, repositories: list[Path], address: Address, seed: int) -> None:
        self._repositories, self._address, self._seed = repositories, address, seed
        self._seen, self._end, self._lock = Load(), threading.Event(), threading.Lock()

    def go(self, daemon_pid: int, seconds: float, samples: int) -> Load:
        work = [self._edit, *([self._client] * CLIENTS)]
        threads = [
            threading.Thread(target=self._guarded, args=(one, number), daemon=True) for number, one in enumerate(work)
        ]
        for thread in threads:
            thread.start()
        for _ in range(samples):
            self._end.wait(seconds / samples)
            self._seen.resident.append(private_bytes(daemon_pid))
        self._end.set()
        for thread in threads:
            thread.join(120)
            if thread.is_alive():
                self._seen.errors.append("a client was never answered")
        return self._seen

    def _guarded(self, work: Callable[[random.Random], None], number: int) -> None:
        try:
            work(random.Random(self._seed * 1000 + number))  # noqa: S311 - a test that can be repeated
        except Exception as error:
            with self._lock:
                self._seen.errors.append(f"{type(error).__name__}: {error}")
            self._end.set()

    def _count(self, what: str) -> None:
        with self._lock:
            self._seen.requests[what] += 1

    def _client(self, choose: random.Random) -> None:
        connection = _connected(self._address)
        while not self._end.is_set():
            method, params = _request(choose, self._repositories)
            _ask(connection, method, params)
            self._count(method)
            if choose.random() < 0.05:
                connection.close()
                connection = _connected(self._address)
        connection.close()

    def _edit(self, choose: random.Random) -> None:
        while not self._end.wait(0.15):
            root = choose.choice(self._repositories)
            name = f"{choose.choice(WORDS)}.py"
            body = "".join(f"    {choose.choice(WORDS)} += {choose.randrange(99)}\n" for _ in range(20))
            write(root, {name: f"def {choose.choice(WORDS)}(key):\n{body}"})
            if choose.random() < 0.3:
                git(root, "add", "-A")
                git(root, "commit", "-q", "--allow-empty", "-m", "Edit")
            self._count("edit")


def _connected(address: Address) -> Connection:
    connection = connect(address)
    assert connection is not None, "the daemon is gone"
    return connection


def _request(choose: random.Random, repositories: list[Path]) -> tuple[str, dict[str, Any]]:
    root = str(choose.choice(repositories))
    method = choose.choices(("find", "ask", "index", "status"), (70, 10, 15, 5))[0]
    if method == "find":
        return method, {"paths": [root], "query": choose.choice(WORDS), "k": 5, "catch_up": choose.choice((0, 0.2, 2))}
    if method == "ask":
        return method, {"paths": [root], "question": f"What does {choose.choice(WORDS)} do?", "max_tokens": 32}
    return (method, {"path": root}) if method == "index" else (method, {})


def _ask(connection: Connection, method: str, params: dict[str, Any]) -> None:
    try:
        answer = connection.request(method, params)
    except RemoteError as error:
        if error.exit_code != EXIT_NOTHING_INDEXED:  # nobody has indexed this repository yet
            raise
        return
    if method == "find":
        assert answer["query"] == params["query"]
        assert all(place["repository"] in params["paths"] for place in answer["results"])
    elif method == "ask":
        assert answer["question"] == params["question"]
    elif method == "index":
        # Less than all where a file was edited between its listing and its reading: the next index takes it up.
        assert answer["encoded"] + answer["reused"] <= answer["documents"], answer
