"""Who answers for the tools: the daemon's model, which all of a user's programs share, or one of this process alone.

Both tell at once how it stands with the model, find without it while it loads, and give results as the JSON of the
command line (`find --json`, `ask --json`).
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NoReturn, Protocol

from codemem.ask import AskEvent, Piece, RoundDone
from codemem.config import Settings
from codemem.daemon.async_client import Daemons
from codemem.daemon.client import DaemonGoneError
from codemem.errors import CodememError
from codemem.search import Target
from codemem.service import ModelState, Service, explain
from codemem.snapshot import Snapshot

OnStep = Callable[[str, Mapping[str, Any]], None]
"""Called in the event loop with `round` or `piece` and what it is about, as the daemon tells them."""


class Answers(Protocol):
    """What the tools need."""

    async def state(self) -> ModelState: ...

    async def find(self, query: str, count: int) -> Mapping[str, Any]:
        """Never waits for a model to load."""

    async def ask(self, question: str, on_step: OnStep) -> Mapping[str, Any]:
        """Waits as long as it takes. Cancelling it ends the work."""

    def begin(self) -> None:
        """Has the model loaded behind."""

    async def end(self) -> None: ...


class SharedModel:
    """The daemon's. It is started if none runs, and ends by itself when it has been idle."""

    def __init__(self, settings: Settings, trees: Service, target: Target) -> None:
        self._trees, self._target = trees, target
        self._daemons = Daemons(settings)
        self._warming: asyncio.Task[None] | None = None
        self._failed: str | None = None
        self._name: str | None = None

    async def state(self) -> ModelState:
        status = await self._daemons.status()
        loaded = status["models"] if status is not None else []
        if self._name not in loaded:
            self._name = await self._wanted()
        if self._name in loaded:
            return ModelState("ready", self._name)
        if self._warming is not None and not self._warming.done():
            return ModelState("loading", self._name)
        return ModelState("failed" if self._failed else "none", self._name, self._failed)

    async def find(self, query: str, count: int) -> Mapping[str, Any]:
        state = await self.state()
        if state.state == "ready":
            with contextlib.suppress(DaemonGoneError):
                found: Mapping[str, Any] = await self._daemons.request("find", self._about(query=query, k=count))
                return found
        elif state.state == "none" and state.name is not None:  # the daemon has been idle, and ended
            self.begin()
        outline = replace(self._target, router="outline")
        result = await asyncio.wrap_future(self._trees.find(outline, query, k=count))
        why = state.error or (f"model {state.name!r} is loading" if state.name else None)
        more = [f"answered by the outline alone: {why}"] if why else []
        return result.to_json() | {"notes": [*result.notes, *more]}

    async def ask(self, question: str, on_step: OnStep) -> Mapping[str, Any]:
        result: Mapping[str, Any] = await self._daemons.request("ask", self._about(question=question), on_step)
        return result

    def begin(self) -> None:
        if self._warming is None or self._warming.done():
            self._warming = asyncio.create_task(self._warm())

    async def end(self) -> None:
        if self._warming is not None:
            self._warming.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._warming

    async def _warm(self) -> None:
        """A query loads the model of the trees' memory; without a memory there is none to load."""
        self._failed = None
        try:
            await self._daemons.request("find", self._about(query="main", k=1))
        except (CodememError, DaemonGoneError) as error:
            self._failed = explain(error) if isinstance(error, CodememError) else "the daemon ended"

    async def _wanted(self) -> str | None:
        """The model of these trees' memory; None while they have an outline alone, or nothing."""

        def look(trees: Sequence[Snapshot]) -> str | None:
            return next((tree.manifest.info.model for tree in trees if tree.manifest.info.model), None)

        try:
            return await asyncio.wrap_future(self._trees.read(self._target, look))
        except CodememError:
            return None

    def _about(self, **more: Any) -> dict[str, Any]:
        return {"paths": [str(path) for path in self._target.paths], **more}


class OwnModel:
    """A service's own, for those who want no daemon."""

    def __init__(self, service: Service, target: Target) -> None:
        self._service, self._target = service, target

    async def state(self) -> ModelState:
        return self._service.model

    async def find(self, query: str, count: int) -> Mapping[str, Any]:
        result = await asyncio.wrap_future(self._service.find(self._target, query, k=count))
        return result.to_json()

    async def ask(self, question: str, on_step: OnStep) -> Mapping[str, Any]:
        stopped, loop = threading.Event(), asyncio.get_running_loop()

        def hear(event: AskEvent) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(_pass_on, event, on_step)

        try:
            work = self._service.ask(self._target, question, hear, cancelled=stopped.is_set)
            return (await asyncio.wrap_future(work)).to_json()
        finally:
            stopped.set()

    def begin(self) -> None:
        self._service.keep_up(self._target)

    async def end(self) -> None:
        pass


def trees_alone(settings: Settings) -> Service:
    """A service that reads trees and finds by the outline; its model is the daemon's."""
    return Service(settings, _no_model)


def _no_model(_: str) -> NoReturn:
    raise CodememError("this process has no model: the daemon has")


def _pass_on(event: AskEvent, on_step: OnStep) -> None:
    if isinstance(event, RoundDone):
        on_step("round", event.details)
    elif isinstance(event, Piece):
        on_step("piece", {"text": event.text})
