"""A hub of our own on a local port: the two requests that fetching weights makes, with ranges, stalls and a log."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "c0ffee" * 6 + "c0ff"


@dataclass
class LocalHub:
    """Files of one repository, and what was asked for."""

    files: dict[str, bytes]
    commit: str = COMMIT
    stall_after: int | None = None
    """Send this many bytes of a file, then wait for `released`."""
    honest: bool = True
    """Otherwise the bytes sent are not those whose hash is stated."""
    released: threading.Event = field(default_factory=threading.Event)
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    """(method, path, Range) in order."""
    endpoint: str = ""

    def downloads(self, name: str) -> list[str | None]:
        """The ranges that were asked for of a file."""
        return [span for method, path, span in self.requests if method == "GET" and path.endswith(f"/{name}")]

    def listing(self) -> bytes:
        siblings = []
        for name, data in self.files.items():
            blob = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
            sibling: dict[str, object] = {"rfilename": name, "size": len(data), "blobId": blob}
            if name.endswith((".safetensors", ".gguf")):
                sha256 = hashlib.sha256(data).hexdigest()
                sibling["lfs"] = {"sha256": sha256, "size": len(data), "pointerSize": 134}
            siblings.append(sibling)
        return json.dumps({"id": "someone/tiny", "sha": self.commit, "siblings": siblings}).encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: LocalHub

    def do_HEAD(self) -> None:
        self._serve(body=False)

    def do_GET(self) -> None:
        self._serve(body=True)

    def log_message(self, format: str, *args: object) -> None:
        """Silence."""

    def _serve(self, *, body: bool) -> None:
        span = self.headers.get("Range")
        self.hub.requests.append((self.command, self.path.partition("?")[0], span))
        if "/api/models/" in self.path:
            self._send(200, self.hub.listing(), {}, body=body)
            return
        name = self.path.rpartition("/")[2]
        if name not in self.hub.files:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound"}, body=body)
            return
        data = self.hub.files[name]
        headers = {
            "X-Repo-Commit": self.hub.commit,
            "ETag": f'"{hashlib.sha256(data).hexdigest()}"',
            "Accept-Ranges": "bytes",
        }
        status = 200
        sent = data if self.hub.honest else bytes(len(data))
        if span is not None:
            start = int(span.removeprefix("bytes=").partition("-")[0])
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            status, sent = 206, sent[start:]
        self._send(status, sent, headers, body=body)

    def _send(self, status: int, data: bytes, headers: dict[str, str], *, body: bool) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if not body:
            return
        try:
            limit = self.hub.stall_after
            if limit is not None and len(data) > limit:
                self.wfile.write(data[:limit])
                self.wfile.flush()
                self.hub.released.wait()
                data = data[limit:]
            self.wfile.write(data)
        except ConnectionError:
            self.close_connection = True  # the client was killed, as some tests want


@contextmanager
def serve(hub: LocalHub) -> Iterator[LocalHub]:
    """Runs the hub until the block is left."""
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
