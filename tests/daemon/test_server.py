"""The daemon as a process: its socket, its clients, and how it begins and ends."""

import json
import os
import signal
import socket
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from app.conftest import write
from app.fake_engine import FakeEngine

from codemem.config import Settings
from codemem.daemon import protocol
from codemem.daemon.address import Address, AddressError
from codemem.daemon.client import DaemonGoneError, connect
from codemem.daemon.protocol import RemoteError
from codemem.index import IndexOptions, index
from codemem.workspace import open_workspace
from daemon.conftest import WAIT_SECONDS, Daemons, wait_for
from daemon.fake_daemon import ENDLESS


@pytest.fixture
def indexed(repository: Path, settings: Settings, engine: FakeEngine) -> Path:
    with open_workspace(repository, settings, whole=True) as workspace:
        index(workspace, settings, lambda _: engine, IndexOptions())
    return repository


def exchange(address: Address, *lines: bytes) -> list[dict[str, Any]]:
    """Sends lines; as many answers."""
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(WAIT_SECONDS)
        stream.connect(str(address.socket))
        stream.sendall(b"".join(lines))
        with stream.makefile("rb") as answers:
            return [json.loads(answers.readline()) for _ in lines]


def test_questions_over_the_socket(daemons: Daemons, indexed: Path, address: Address) -> None:
    daemons.start()
    paths = {"paths": [str(indexed)]}
    with daemons.connect() as connection:
        for mode, path in [(0o600, address.socket), (0o700, address.folder), (0o600, address.log)]:
            assert stat.S_IMODE(path.stat().st_mode) == mode
        found = connection.request("find", {"query": "retry", **paths})
        assert found["results"][0]["path"] == "src/retry.py"
        heard: list[str] = []
        answered = connection.request(
            "ask", {"question": "What retries?", **paths}, lambda method, _: heard.append(method)
        )
        assert (answered["answer"], heard) == ("The function retry does.", ["round", "piece"])
        with pytest.raises(RemoteError, match="nowhere") as refused:
            connection.request("find", {"query": "retry", "paths": [str(indexed / "nowhere")]})
        assert refused.value.exit_code == 1
        with pytest.raises(RemoteError, match="codemem index") as unknown:
            connection.request("find", {"query": "retry", "paths": [str(indexed.parent)]})
        assert unknown.value.exit_code == 3
    log = address.log.read_text()
    assert "find: " in log
    assert "retries" not in log
    assert str(indexed) not in log


def test_a_question_ends_when_cancelled_and_when_its_client_hangs_up(
    daemons: Daemons, indexed: Path, address: Address
) -> None:
    daemons.start()
    daemons.connect().close()
    question = protocol.request("q", "ask", {"question": ENDLESS, "paths": [str(indexed)]})
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(WAIT_SECONDS)
        stream.connect(str(address.socket))
        with stream.makefile("rb") as answers:
            stream.sendall(question)
            assert json.loads(answers.readline())["params"] == {"id": "q", "text": "and so on "}
            stream.sendall(protocol.request("f", "find", {"query": "retry", "paths": [str(indexed)]}))
            while "result" not in (message := json.loads(answers.readline())):
                assert message["method"] == "piece", "a query is answered while an answer goes on"
            assert message["id"] == "f"
            stream.sendall(protocol.notification("cancel", {"id": "q"}))
            while "error" not in (message := json.loads(answers.readline())):
                assert message["method"] == "piece"
            assert (message["id"], message["error"]["code"]) == ("q", protocol.CANCELLED)
            stream.sendall(question)
            assert json.loads(answers.readline())["method"] == "piece"
    with daemons.connect() as connection:
        wait_for(lambda: connection.request("status")["running"] == 0)


def test_malformed_messages_are_answered_and_the_connection_goes_on(daemons: Daemons, address: Address) -> None:
    daemons.start()
    daemons.connect().close()
    answers = exchange(
        address,
        b"nonsense\n",
        b"[1]\n",
        protocol.to_line({"id": [1], "method": "status"}),
        protocol.to_line({"method": "find"}),
        protocol.request(4, "nonsense", {}),
        protocol.to_line({"id": 5, "method": "find", "params": []}),
        protocol.request(6, "status", {}),
    )
    assert [(a["id"], a["error"]["code"]) for a in answers[:-1]] == [
        (None, protocol.PARSE_ERROR),
        (None, protocol.INVALID_REQUEST),
        (None, protocol.INVALID_REQUEST),
        (None, protocol.INVALID_REQUEST),
        (4, protocol.UNKNOWN_METHOD),
        (5, protocol.INVALID_PARAMS),
    ]
    assert answers[-1]["result"]["protocol"] == 1


def test_two_started_at_once_become_one(daemons: Daemons) -> None:
    one, two = daemons.start(), daemons.start()
    wait_for(lambda: one.poll() is not None or two.poll() is not None)
    loser, winner = (one, two) if one.poll() is not None else (two, one)
    assert loser.returncode == 3
    with daemons.connect() as connection:
        assert connection.request("status")["pid"] == winner.pid


def test_after_a_kill_the_next_one_takes_the_socket_over(daemons: Daemons, address: Address) -> None:
    killed = daemons.start()
    with daemons.connect() as connection:
        killed.kill()
        killed.wait()
        with pytest.raises(DaemonGoneError):
            connection.request("status")
    assert address.socket.exists()
    assert connect(address) is None
    second = daemons.start()
    with daemons.connect() as connection:
        assert connection.request("status")["pid"] == second.pid


def test_it_ends_when_asked_and_when_told_by_signal_and_when_idle(daemons: Daemons, address: Address) -> None:
    asked = daemons.start()
    with daemons.connect() as connection:
        connection.request("shutdown")
    assert asked.wait(WAIT_SECONDS) == 0
    assert not address.socket.exists()
    told = daemons.start()
    daemons.connect().close()
    os.kill(told.pid, signal.SIGTERM)
    assert told.wait(WAIT_SECONDS) == 0
    assert daemons.start("0").wait(WAIT_SECONDS) == 0
    assert not address.socket.exists()
    assert "idle" in address.log.read_text()


def test_many_clients_at_once_get_their_own_answers(daemons: Daemons, indexed: Path, address: Address) -> None:
    daemons.start()
    daemons.connect().close()
    answers: dict[int, Any] = {}

    def ask_for(number: int) -> None:
        connection = connect(address)
        assert connection is not None
        with connection:
            answers[number] = connection.request("find", {"paths": [str(indexed)], "query": f"retry {number}"})

    threads = [threading.Thread(target=ask_for, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_SECONDS)
    assert {number: answer["query"] for number, answer in answers.items()} == {n: f"retry {n}" for n in range(50)}


def test_a_folder_that_others_may_enter_is_refused(address: Address) -> None:
    address.folder.chmod(0o755)
    with pytest.raises(AddressError, match="0700"):
        connect(address)
    address.folder.rmdir()
    address.folder.symlink_to(address.folder.parent)
    with pytest.raises(AddressError, match="0700"):
        connect(address)
    address.folder.unlink()


def test_two_versions_live_side_by_side(daemons: Daemons, indexed: Path, address: Address) -> None:
    """Each at a socket of its own, over one store and one manifest; the end of one is not the other's."""
    old, new = daemons.start(), daemons.start("600", "2")
    other = Address(address.folder, f"2{address.name.removeprefix('1')}")
    wait_for(other.socket.exists)
    query = {"query": "retry", "paths": [str(indexed)]}
    with daemons.connect() as ours:
        theirs = connect(other)
        assert theirs is not None
        with theirs:
            assert [c.request("status")["pid"] for c in (ours, theirs)] == [old.pid, new.pid]
            write(indexed, {"src/arrive.py": "def arrive():\n    pass\n"})
            made = [c.request("index", {"path": str(indexed)}) for c in (ours, theirs)]
            assert [(result["encoded"], result["documents"]) for result in made] == [(1, 4), (0, 4)]
            found = [c.request("find", query) for c in (ours, theirs)]
            assert found[0]["results"] == found[1]["results"]
            theirs.request("shutdown")
        assert new.wait(WAIT_SECONDS) == 0
        assert ours.request("find", query)["fresh"] is True
