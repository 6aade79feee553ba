"""One question under way at the daemon, and what becomes of it when its client hangs up."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from codemem.daemon.async_client import Daemons
from codemem.http.access import Receive, Scope, Send
from codemem.http.errors import HungUpError

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Event:
    """`round` and `piece` as the daemon tells them (docs/daemon.md), then `result`."""

    name: str
    about: Mapping[str, Any]


class Answering:
    """Begins at once. Close it: what is still under way is then cancelled at the daemon."""

    def __init__(self, daemons: Daemons, params: Mapping[str, Any]) -> None:
        self._events: asyncio.Queue[Event | Exception] = asyncio.Queue()
        self._task = asyncio.create_task(self._run(daemons, params))

    async def event(self, seconds: float | None = None) -> Event | None:
        """The next event; None if there is none in so many seconds. Raises what the question failed with."""
        try:
            async with asyncio.timeout(seconds):
                event = await self._events.get()
        except TimeoutError:
            return None
        if isinstance(event, Exception):
            raise event
        return event

    async def result(self) -> Mapping[str, Any]:
        """Waits for the end."""
        while (event := await self.event()) is None or event.name != "result":
            pass
        return event.about

    def close(self) -> None:
        self._task.cancel()

    async def _run(self, daemons: Daemons, params: Mapping[str, Any]) -> None:
        def hear(name: str, about: Mapping[str, Any]) -> None:
            self._events.put_nowait(Event(name, about))

        try:
            self._events.put_nowait(Event("result", await daemons.request("ask", params, hear)))
        except Exception as error:
            self._events.put_nowait(error)


async def while_heard(request: Request, work: Awaitable[_T]) -> _T:
    """The outcome of work that is cancelled when the client hangs up. The request's body must have been read.

    Raises HungUpError.
    """
    return await _race(work, request.receive)


class Stream(Response):
    """Sends lines as they come. Closes their source however it ends, so that nothing is worked out for nobody."""

    def __init__(self, lines: AsyncIterator[bytes], media_type: str) -> None:
        super().__init__(media_type=media_type)
        self._lines = lines
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def write() -> None:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            async for line in self._lines:
                await send({"type": "http.response.body", "body": line, "more_body": True})
            await send({"type": "http.response.body", "body": b""})

        try:
            await _race(write(), receive)
        except HungUpError:
            pass
        finally:
            close = getattr(self._lines, "aclose", None)
            if close is not None:
                await close()


async def _race(work: Awaitable[_T], receive: Receive) -> _T:
    worker = asyncio.ensure_future(work)
    watcher = asyncio.ensure_future(_hung_up(receive))
    try:
        await asyncio.wait({worker, watcher}, return_when=asyncio.FIRST_COMPLETED)
        if not worker.done():
            raise HungUpError
        return worker.result()
    finally:
        for task in (worker, watcher):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
