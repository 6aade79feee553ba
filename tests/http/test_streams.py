"""Streams that begin before there is anything to say, or fail on the way; and limits that nothing else reaches."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from codemem.daemon.protocol import RemoteError
from codemem.errors import EXIT_WEIGHTS
from codemem.http import access
from codemem.http.access import Guard, Message, Scope
from codemem.http.answering import Event, Stream
from codemem.http.app import _chunks, _lines
from codemem.http.chat import Chat, Reply, annotations
from codemem.http.errors import ApiError, api_error

RESULT: dict[str, Any] = {
    "answer": "Yes.", "found": True, "citations": [], "places": [], "notes": [], "fresh": True, "commit": None,
    "behind": {}, "stats": {"tokens": 2},
}  # fmt: skip


class Scripted:
    """Answers with what it was given; None stands for silence."""

    def __init__(self, events: Sequence[Event | Exception | None]) -> None:
        self._events = list(events)
        self.closed = False

    async def event(self, _: float | None = None) -> Event | None:
        event = self._events.pop(0)
        if isinstance(event, Exception):
            raise event
        return event

    def close(self) -> None:
        self.closed = True


def collect(lines: AsyncIterator[bytes]) -> list[bytes]:
    async def inside() -> list[bytes]:
        return [line async for line in lines]

    return asyncio.run(inside())


def test_a_silent_stream_gives_signs_of_life() -> None:
    answering: Any = Scripted([None, Event("piece", {"text": "Yes."}), Event("result", RESULT)])
    chunks = collect(_chunks(answering, None, Reply(Chat("codemem", "q", stream=True))))
    assert [chunk for chunk in chunks if chunk.startswith(b":")] == [b": still at it\n\n"] * 2
    assert chunks[-1] == b"data: [DONE]\n\n"
    assert answering.closed


def test_a_failure_on_the_way_is_told_and_ends_the_stream() -> None:
    failed = RemoteError({"message": "the weights are gone", "data": {"exit_code": EXIT_WEIGHTS}})
    answering: Any = Scripted([failed])
    chunks = collect(_chunks(answering, Event("piece", {"text": "Y"}), Reply(Chat("codemem", "q", stream=True))))
    error = json.loads(chunks[-1].removeprefix(b"data: "))["error"]
    assert (error["code"], error["message"]) == ("weights_missing", "the weights are gone")
    answering = Scripted([failed])
    assert json.loads(collect(_lines(answering, None))[-1])["event"] == "failed"
    assert answering.closed


def test_what_nobody_foresaw_names_its_type_alone() -> None:
    told = api_error(ValueError("def secret(): pass"))
    assert told.status == 500
    assert "ValueError" in str(told)
    assert "secret" not in told.body.decode()


def test_annotations_stop_where_the_text_names_no_more() -> None:
    place = {"path": "a.py", "start_line": 1, "end_line": 2, "repository": "/r", "symbol": None}
    result = RESULT | {"citations": [place, place]}
    found = annotations(result, "Yes.\n\n[1] `a.py:1-2`")
    assert [each["url_citation"]["url"] for each in found] == ["file:///r/a.py#L1-L2"]


def talk_to_guard(receive_all: Sequence[Message], app: Any, headers: Any = ()) -> list[Message]:
    """What a guard sends."""
    sent: list[Message] = []
    waiting = list(receive_all)

    async def receive() -> Message:
        if not waiting:
            await asyncio.Event().wait()
        return waiting.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {
        "type": "http", "path": "/v1/models",
        "headers": [(b"host", b"localhost:1"), (b"authorization", b"Bearer k"), *headers],
    }  # fmt: skip
    failures: list[BaseException] = []
    asyncio.run(Guard(app, port=1, key="k", failed=failures.append)(scope, receive, send))
    return sent


async def read_body(scope: Scope, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def test_a_body_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "BODY_SECONDS", 0.01)
    part = {"type": "http.request", "body": b"{", "more_body": True}
    assert talk_to_guard([part], read_body)[0]["status"] == 408
    whole = {"type": "http.request", "body": b"{}", "more_body": False}
    assert talk_to_guard([part, whole], read_body)[0]["status"] == 204


def test_two_hosts_must_both_be_right() -> None:
    body = {"type": "http.request", "body": b"", "more_body": False}
    assert talk_to_guard([body], read_body, [(b"host", b"example.org")])[0]["status"] == 403


def test_a_failing_application_is_answered_and_noted() -> None:
    async def fail(*_: object) -> None:
        raise ApiError(409, "no", "no")

    assert talk_to_guard([], fail)[0]["status"] == 409


def test_a_client_that_hangs_up_closes_the_source() -> None:
    closed = False

    async def endless() -> AsyncIterator[bytes]:
        nonlocal closed
        try:
            while True:
                yield b"x"
                await asyncio.sleep(0)
        finally:
            closed = True

    async def inside() -> None:
        async def receive() -> Message:
            await asyncio.sleep(0.01)
            return {"type": "http.disconnect"}

        async def send(_: Message) -> None:
            pass

        await Stream(endless(), "text/plain")({}, receive, send)
        assert closed

    asyncio.run(inside())
