"""What the tests of this folder know of a server that runs."""

import http.client
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codemem.config import Settings
from codemem.daemon.address import address_of
from codemem.daemon.client import connect
from codemem.http.place import Running

SECONDS = 60.0
"""Before a test gives up on something that must happen."""
FILES = {
    "src/retry.py": '''"""Retry with backoff."""


def retry(operation, attempts):
    """Call it until it succeeds."""
    for attempt in range(attempts):
        try:
            return operation()
        except ConnectionError:
            sleep(2 ** attempt)
''',
    "src/cache.py": '''class Cache:
    """Keeps what was fetched."""

    def lookup(self, key):
        return self.entries.get(key)

    def evict(self, oldest):
        del self.entries[oldest]
''',
    "src/<b>odd & name.py": "def odd():\n    return '<script>alert(1)</script>'\n",
    "README.md": "# Demo\n\nA client that retries.\n",
    "docs/guide.md": "# Guide\n\nHow entries leave the cache: the oldest first, while there is no room left at all.\n",
}


@dataclass(frozen=True)
class Served:
    """A server that runs."""

    settings: Settings
    running: Running
    key: str
    repository: Path

    def request(
        self, method: str, path: str, body: bytes | None = None, *, key: bool = True, **headers: str
    ) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and headers. Underscores in names of headers stand for hyphens."""
        connection = http.client.HTTPConnection("127.0.0.1", self.running.port, timeout=SECONDS)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if key:
            sent.setdefault("Authorization", f"Bearer {self.key}")
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            return answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()}
        finally:
            connection.close()

    def daemon(self) -> dict[str, Any]:
        connection = connect(address_of(self.settings))
        assert connection is not None
        with connection:
            status: dict[str, Any] = connection.request("status")
            return status


def wait_for(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not what():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
