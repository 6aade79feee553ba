"""Who may ask, and what a request may hold; and how the server begins and ends."""

import http.client
import json
import socket
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from app.conftest import write
from loopback_server import SECONDS, Served, wait_for

from codemem.config import Settings
from codemem.http import control
from codemem.http.access import MAX_BODY, MAX_TICKETS, TICKET_SECONDS, Tickets
from codemem.http.place import HttpServerError, Place

PRIVATE = ["/v1/models", "/v1/models/codemem", "/api/status", "/api/tree?repository=demo", "/api/lines"]


def chat(question: str = "What retries?") -> bytes:
    return json.dumps({"model": "codemem", "messages": [{"role": "user", "content": question}]}).encode()


@pytest.mark.parametrize("path", PRIVATE)
@pytest.mark.parametrize("header", [None, "Bearer wrong", "Bearer", "Basic {key}", "Bearer {key}x", ""])
def test_without_the_key_nothing_is_told(served: Served, path: str, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header.format(key=served.key)}
    status, body, answered = served.request("GET", path, key=False, **headers)
    assert status == 401
    assert json.loads(body)["error"]["code"] == "invalid_api_key"
    assert answered["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/ask", "/api/ticket"])
def test_without_the_key_nothing_is_done(served: Served, path: str) -> None:
    assert served.request("POST", path, chat(), key=False)[0] == 401


@pytest.mark.parametrize(
    "host", ["example.org", "example.org:{port}", "127.0.0.1", "localhost:1", "127.0.0.1.nip.io:{port}", ""]
)
@pytest.mark.parametrize("path", ["/", "/v1/models"])
def test_another_name_is_refused_even_with_the_key(served: Served, host: str, path: str) -> None:
    """What a page gets that had its name pointed at this machine."""
    status, body, _ = served.request("GET", path, Host=host.format(port=served.running.port))
    assert status == 403
    assert json.loads(body)["error"]["code"] == "wrong_host"


@pytest.mark.parametrize("origin", ["https://example.org", "null", "http://127.0.0.1:1", "https://127.0.0.1:{port}"])
def test_pages_of_other_origins_are_refused(served: Served, origin: str) -> None:
    status, body, headers = served.request(
        "POST", "/v1/chat/completions", chat(), Origin=origin.format(port=served.running.port)
    )
    assert status == 403
    assert json.loads(body)["error"]["code"] == "wrong_origin"
    assert not any(name.startswith("access-control") for name in headers)


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_its_own_page_may_ask(served: Served, name: str) -> None:
    own = f"{name}:{served.running.port}"
    assert served.request("GET", "/v1/models", Host=own, Origin=f"http://{own}")[0] == 200


def test_every_answer_forbids_what_the_page_does_not_need(served: Served) -> None:
    for path, status in [("/", 200), ("/app.js", 200), ("/nowhere", 404), ("/v1/models", 200)]:
        answered = served.request("GET", path)
        assert answered[0] == status
        assert "default-src 'none'" in answered[2]["content-security-policy"]
        assert "unsafe" not in answered[2]["content-security-policy"]
        assert answered[2]["x-content-type-options"] == "nosniff"
        assert "server" not in answered[2]


def test_too_large_a_body_is_refused(served: Served) -> None:
    """By its announced length alone: the server need not read it, and may hang up on a client that goes on sending."""
    with socket.create_connection(("127.0.0.1", served.running.port), SECONDS) as connection:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{served.running.port}\r\n"
        head += f"Authorization: Bearer {served.key}\r\nContent-Length: {MAX_BODY + 1}\r\n\r\n"
        connection.sendall(head.encode())
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert answer.status == 413
        assert json.loads(answer.read())["error"]["code"] == "too_large"


def test_a_body_that_grows_too_large_in_pieces_is_refused(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.running.port), SECONDS) as connection:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{served.running.port}\r\n"
        head += f"Authorization: Bearer {served.key}\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head.encode())
        piece = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        with suppress(BrokenPipeError, ConnectionResetError):  # it may have refused before all is sent
            for _ in range(MAX_BODY // 0x10000 + 1):
                connection.sendall(piece)
        assert b" 413 " in connection.recv(4096)


@pytest.mark.parametrize(
    "body", [b"", b"nonsense", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"model": "codemem", "messages": "hi"}',
             b'{"model": 1, "messages": [{"role": "user", "content": "hi"}]}',
             b'{"model": "codemem", "messages": [{"role": "user", "content": "\\ud800"}]}'],
)  # fmt: skip
def test_a_malformed_body_is_explained(served: Served, body: bytes) -> None:
    status, answer, _ = served.request("POST", "/v1/chat/completions", body)
    assert status == 400
    assert json.loads(answer)["error"]["message"]


def test_random_bytes_do_not_end_the_server(served: Served) -> None:
    for garbage in (
        b"\0\xff" * 5000,
        b"GET / HTTP/9.9\r\n\r\n",
        b"A" * 100_000,
        b"POST /v1/chat/completions HTTP/1.1\r\n",
    ):
        with socket.create_connection(("127.0.0.1", served.running.port), SECONDS) as connection:
            connection.sendall(garbage)
    assert served.request("GET", "/v1/models")[0] == 200


@pytest.mark.parametrize(
    "path", ["../outside.txt", "/etc/passwd", "src/../../outside.txt", ".git/config", "src/cache.py%00", ".env"]
)
def test_no_path_leads_out_of_what_is_read(served: Served, path: str) -> None:
    status, body, _ = served.request("GET", f"/api/lines?repository=demo&path={path}&start=1&end=2")
    assert status == 422
    assert "is no file that codemem reads" in json.loads(body)["error"]["message"]


def test_a_ticket_is_good_once(served: Served) -> None:
    link = control.page_link(served.settings, served.running)
    ticket = link.partition("#ticket=")[2]
    body = json.dumps({"ticket": ticket}).encode()
    assert json.loads(served.request("POST", "/api/session", body, key=False)[1]) == {"key": served.key}
    for again in (body, b'{"ticket": ""}', b'{"ticket": null}', b"{}"):
        assert served.request("POST", "/api/session", again, key=False)[0] == 401


def test_tickets_end_and_are_few() -> None:
    now = 0.0
    tickets = Tickets(lambda: now)
    first = tickets.issue()
    late = [tickets.issue() for _ in range(MAX_TICKETS)]
    assert not tickets.redeem(first), "the oldest makes room"
    assert tickets.redeem(late[0])
    now = TICKET_SECONDS + 1
    assert not tickets.redeem(late[1])


def test_what_it_keeps_is_this_users_alone_and_holds_nothing_asked(served: Served) -> None:
    served.request("POST", "/v1/chat/completions", chat("What is so very secret?"))
    place = Place(served.settings)
    assert stat.S_IMODE(place.key_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.log.stat().st_mode) == 0o600
    log = place.log.read_text()
    assert "started" in log
    assert "secret" not in log
    assert served.key not in log
    listening = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    port = f"{served.running.port:04X}"
    assert [line[1] for line in listening if line[1].endswith(f":{port}") and line[3] == "0A"] == [f"0100007F:{port}"]


def test_a_key_that_others_could_read_is_refused(tmp_path: Path) -> None:
    place = Place(Settings.load({"CODEMEM_HOME": str(tmp_path)}))
    key = place.key()
    assert place.key() == key
    place.key_file.chmod(0o644)
    with pytest.raises(HttpServerError, match="0600"):
        place.key()
    place.key_file.unlink()
    assert place.key() != key


def test_started_again_elsewhere_it_serves_both_under_the_same_address(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a store of its own, so that the server of the other tests stays."""
    monkeypatch.setenv("CODEMEM_HOME", str(tmp_path / "home"))
    settings = Settings.load()
    other = tmp_path / "a" / "demo"
    write(other, {"a.py": "def a():\n    pass\n"})
    assert not control.stop(settings)
    try:
        first = control.start(settings, [served.repository], 0)
        assert control.start(settings, [served.repository], None) == first
        both = control.start(settings, [other], None)
        assert both.port == first.port
        assert both.repositories == (str(served.repository), str(other))
        reached = Served(settings, both, Place(settings).key(), other)
        assert [m["id"] for m in json.loads(reached.request("GET", "/v1/models")[1])["data"]] == [
            "codemem", "codemem/demo", "codemem/demo~2"]  # fmt: skip
        with pytest.raises(HttpServerError, match="--port"):
            control.start(settings, [other], served.running.port)
    finally:
        control.stop(settings)
    assert Place(settings).running() is None
    assert Place(settings).log.read_text().endswith("ended\n"), "in good order"
    assert not list(Place(settings).log.parent.glob(f"{Place(settings).log.stem}.json"))
    wait_for(lambda: not control.stop(settings))


def test_without_the_libraries_it_says_what_to_install(served: Served) -> None:
    script = "import sys; sys.modules['uvicorn'] = None; from codemem.cli import main; main()"
    command = [sys.executable, "-c", script, "serve", "start", "--http"]
    done = subprocess.run(command, cwd=served.repository, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "codemem[http]" in done.stderr
