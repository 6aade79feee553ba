"""`find` and `ask` with a daemon, and without one that was there a moment ago."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from app.conftest import write
from app.fake_engine import FakeEngine

from codemem.cli.warm import parse
from codemem.config import Settings
from codemem.daemon import protocol
from codemem.daemon.address import Address, address_of
from codemem.daemon.hint import find_socket
from codemem.index import IndexOptions, index
from codemem.workspace import open_workspace
from daemon.conftest import Daemons

FOUND = {
    "query": "retry", "model": "fake", "commit": None, "fresh": False, "took_ms": 1, "route_ms": 1, "router": "both",
    "behind": {"added": 1, "changed": 0, "removed": 0}, "notes": ["something to know"],
    "results": [
        {"repository": "/r", "path": "src/retry.py", "start_line": 4, "end_line": 10, "symbol": "retry", "score": 0.5,
         "text": "def retry"},
    ],
}  # fmt: skip


def run(*arguments: str, where: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "codemem", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=where, check=False)


@pytest.fixture
def canned(address: Address) -> Iterator[Callable[[bytes], None]]:
    """A daemon that answers one request with what it is given, then hangs up."""
    threads: list[threading.Thread] = []
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(address.socket))
    listener.listen()

    def serve(answer: bytes) -> None:
        stream, _ = listener.accept()
        with stream, stream.makefile("rb") as lines:
            lines.readline()
            stream.sendall(answer)

    def start(answer: bytes) -> None:
        threads.append(threading.Thread(target=serve, args=(answer,), daemon=True))
        threads[-1].start()

    yield start
    listener.close()
    for thread in threads:
        thread.join(20)


def test_a_daemons_answer_needs_nothing_heavy(
    address: Address, canned: Callable[[bytes], None], tmp_path: Path
) -> None:
    canned(protocol.result(1, FOUND))
    script = (
        "import sys\n"
        "sys.argv = ['codemem', 'find', 'retry']\n"
        "from codemem.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: code = end.code\n"
        "heavy = 'torch numpy safetensors tree_sitter typer rich git importlib.metadata codemem.find codemem.indexer'\n"
        "print(code, sorted(set(heavy.split()) & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout == "src/retry.py:4-10  retry  0.5\n0 []\n"
    assert done.stderr.splitlines() == [
        "codemem: something to know",
        "codemem: the memory is behind by 1 new file: the daemon brings it up to date",
    ]


def test_a_daemon_that_was_found_once_is_found_without_the_configuration(
    daemons: Daemons, repository: Path, settings: Settings, address: Address
) -> None:
    with open_workspace(repository, settings, whole=True) as workspace:
        index(workspace, settings, lambda _: FakeEngine(), IndexOptions())
    daemons.start()
    daemons.connect().close()
    script = (
        "import sys\n"
        "sys.argv = ['codemem', 'find', 'retry']\n"
        "before = set(sys.modules)\n"
        "from codemem.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: code = end.code\n"
        "slow = {'codemem.config', 'codemem.cli.editor', 'dataclasses', 'tomllib', 'platformdirs'}\n"
        "print(code, sorted(slow & set(sys.modules) - before))\n"
    )

    def ask() -> list[str]:
        command = [sys.executable, "-c", script]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=repository)
        assert done.stdout.startswith("src/retry.py:")
        return done.stdout.splitlines()

    assert "codemem.config" in ask()[-1]
    assert ask()[-1] == "0 []"
    config = settings.places.config / "config.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text('daemon = "off"\n')
    assert "codemem.config" in ask()[-1], "another configuration may mean another daemon, or none"
    config.unlink()
    address.folder.chmod(0o755)
    assert find_socket() is None, "others may write there"
    address.folder.chmod(0o700)
    assert find_socket() == str(address.socket)


def test_json_is_the_daemons(canned: Callable[[bytes], None], tmp_path: Path) -> None:
    canned(protocol.result(1, FOUND))
    assert json.loads(run("find", "retry", "--json", where=tmp_path).stdout) == FOUND


def test_an_error_has_its_message_and_exit_code(canned: Callable[[bytes], None], tmp_path: Path) -> None:
    canned(protocol.failure(1, protocol.FAILED, "not indexed: run `codemem index`", 3))
    done = run("find", "retry", where=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "codemem: not indexed: run `codemem index`\n")


def test_if_the_daemon_dies_find_answers_without_it_and_says_so(
    canned: Callable[[bytes], None], repository: Path, settings: Settings
) -> None:
    with open_workspace(repository, settings, whole=True) as workspace:
        index(workspace, settings, lambda _: FakeEngine(), IndexOptions("outline"))
    canned(b"")
    done = run("find", "retry", where=repository)
    assert done.returncode == 0
    assert done.stdout.startswith("src/retry.py:4-10  retry")
    assert "going on without it" in done.stderr


def test_if_the_daemon_dies_in_the_middle_of_an_answer_it_is_said(
    canned: Callable[[bytes], None], tmp_path: Path
) -> None:
    canned(protocol.notification("piece", {"id": 1, "text": "It is \x1b[31mred"}))
    done = run("ask", "What retries?", where=tmp_path)
    assert (done.returncode, done.stdout) == (1, "It is \ufffd[31mred\n")
    assert "ask again" in done.stderr


def test_ask_through_a_daemon_is_as_without(daemons: Daemons, repository: Path, settings: Settings) -> None:
    with open_workspace(repository, settings, whole=True) as workspace:
        index(workspace, settings, lambda _: FakeEngine(), IndexOptions())
    daemons.start()
    daemons.connect().close()
    answered = run("ask", "What retries?", where=repository)
    text, place = answered.stdout.splitlines()
    assert (answered.returncode, text) == (0, "The function retry does.")
    assert place.startswith("src/")
    result: Any = json.loads(run("ask", "What retries?", "--json", where=repository).stdout)
    assert result["answer"] == text
    assert "cited_texts" not in result


def test_what_a_hook_starts_leaves_the_work_to_the_daemon(
    daemons: Daemons, repository: Path, settings: Settings, address: Address
) -> None:
    with open_workspace(repository, settings, whole=True) as workspace:
        index(workspace, settings, lambda _: FakeEngine(), IndexOptions())
        place = workspace.places[0]
    daemons.start()
    daemons.connect().close()
    write(repository, {"src/new.py": "def arrive():\n    pass\n"})
    (place / "sync.dirty").touch()
    assert run("hook", "run", where=repository).returncode == 0
    assert not (place / "sync.dirty").exists()
    status = json.loads(run("status", "--json", where=repository).stdout)
    assert (status["fresh"], status["in_memory"]) == (True, 4)
    assert status["daemon"]["pid"] == daemons.processes[0].pid
    assert "index: " in address.log.read_text()


def test_a_daemon_starts_on_demand_and_stops_when_told(
    settings: Settings, repository: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = settings.places.config
    home.mkdir(parents=True)
    (home / "config.toml").write_text(
        f'model = "tiny"\nthreads = 1\ndevice = "cpu"\n[models]\ntiny = "{tiny_weights}"\n'
    )
    assert run("index", where=repository).returncode == 0
    plain = json.loads(run("find", "retry", "--json", where=repository).stdout)
    assert not address_of(Settings.load()).socket.exists(), "'auto' starts nothing"
    monkeypatch.setenv("CODEMEM_DAEMON", "on")
    try:
        warm = json.loads(run("find", "retry", "--json", where=repository).stdout)
        status = json.loads(run("serve", "status", "--json", where=repository).stdout)
        assert status["daemon"]["models"] == ["tiny"]
        os.kill(status["daemon"]["pid"], 0)
        again = json.loads(run("serve", "start", "--json", where=repository).stdout)
        assert again["daemon"]["pid"] == status["daemon"]["pid"]
    finally:
        stopped = json.loads(run("serve", "stop", "--json", where=repository).stdout)
    assert stopped["stopped"] is True
    for result in (plain, warm):
        del result["took_ms"], result["route_ms"]
    assert warm == plain
    ended = json.loads(run("serve", "status", "--json", where=repository).stdout)
    assert (ended["running"], ended["daemon"]) == (False, None)
    assert any(
        "find: " in line for line in json.loads(run("serve", "logs", "--json", where=repository).stdout)["lines"]
    )


@pytest.mark.parametrize(
    ("arguments", "params"),
    [
        (["find", "a b"], {"query": "a b"}),
        (["find", "-k", "3", "x", "--router=outline"], {"query": "x", "k": 3, "router": "outline"}),
        (["find", "x", "--catch-up", "0.5", "--model", "m"], {"query": "x", "catch_up": 0.5, "model": "m"}),
        (["find", "x", "-C", "/a", "-C", "/b/../c"], {"query": "x", "paths": ["/a", "/c"]}),
        (["ask", "Why?"], {"question": "Why?"}),
    ],
)
def test_plain_calls_are_understood(arguments: list[str], params: dict[str, Any]) -> None:
    call = parse(arguments)
    assert call is not None
    assert call.params == {"paths": [os.getcwd()], **params}


@pytest.mark.parametrize(
    "arguments",
    [
        [], ["index"], ["--debug", "find", "x"], ["find"], ["find", ""], ["find", "x", "y"], ["find", "x", "-k"],
        ["find", "x", "-k", "0"], ["find", "x", "-k", "many"], ["find", "x", "--router", "other"], ["find", "--help"],
        ["find", "x", "--catch-up", "-1"], ["find", "x", "--catch-up", "1e3"], ["find", "--batch", "-"],
        ["find", "x", "--overlay", "a=b"], ["find", "x", "--device", "cpu"], ["find", "x", "-C", ""],
        ["find", "--", "x"], ["ask", "x", "-k", "3"],
    ],
)  # fmt: skip
def test_everything_else_is_left_to_the_command_line_proper(arguments: list[str]) -> None:
    assert parse(arguments) is None
