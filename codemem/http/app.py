"""The routes: OpenAI's under `/v1`, the page's under `/api`, and the page itself."""

import contextlib
import json
from collections.abc import AsyncIterator, Callable
from importlib import resources
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from codemem import __version__
from codemem.daemon.async_client import Daemons
from codemem.daemon.client import DaemonGoneError
from codemem.errors import CodememError
from codemem.http.access import App, Guard, Tickets
from codemem.http.answering import Answering, Event, Stream, while_heard
from codemem.http.chat import Reply, checked_question, event, parse_chat, parse_object, sources_text
from codemem.http.errors import ApiError, api_error
from codemem.http.repositories import Repositories

FIRST_SECONDS = 1.0
"""How long a stream waits for a first event, so that what fails at once fails with a status."""
ALIVE_SECONDS = 10.0
"""A sign of life in a stream while a model loads: proxies and clients give up on silence."""
PAGE = {
    "/": ("index.html", "text/html"),
    "/style.css": ("style.css", "text/css"),
    "/app.js": ("app.js", "text/javascript"),
    "/map.js": ("map.js", "text/javascript"),
    "/service.js": ("service.js", "text/javascript"),
    "/treemap.js": ("treemap.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}


class Routes:
    """Handlers over the daemon and the trees."""

    def __init__(self, daemons: Daemons, repositories: Repositories, key: str) -> None:
        self._daemons, self._repositories, self._key = daemons, repositories, key
        self._tickets = Tickets()

    def all(self) -> list[Route]:
        return [
            Route("/v1/models", self.models),
            Route("/v1/models/{model:path}", self.model),
            Route("/v1/chat/completions", self.chat, methods=["POST"]),
            Route("/api/ticket", self.ticket, methods=["POST"]),
            Route("/api/session", self.session, methods=["POST"]),
            Route("/api/status", self.status),
            Route("/api/tree", self.tree),
            Route("/api/lines", self.lines),
            Route("/api/ask", self.ask, methods=["POST"]),
            *(Route(path, _file(name, kind)) for path, (name, kind) in PAGE.items()),
        ]

    async def models(self, _: Request) -> Response:
        return JSONResponse({"object": "list", "data": [_model(name) for name in self._repositories.models]})

    async def model(self, request: Request) -> Response:
        name = request.path_params["model"]
        self._repositories.of_model(name)
        return JSONResponse(_model(name))

    async def chat(self, request: Request) -> Response:
        chat = parse_chat(await request.body())
        paths = [str(path) for path in self._repositories.of_model(chat.model)]
        params = {"paths": paths, "question": chat.question, "max_tokens": chat.max_tokens}
        answering = Answering(self._daemons, params)
        reply = Reply(chat)
        if not chat.stream:
            with contextlib.closing(answering):
                return JSONResponse(reply.whole(await while_heard(request, answering.result())))
        first = await _first(answering)
        return Stream(_chunks(answering, first, reply), "text/event-stream")

    async def ticket(self, _: Request) -> Response:
        """For a link to the page that whoever sees it later cannot use."""
        return JSONResponse({"ticket": self._tickets.issue()})

    async def session(self, request: Request) -> Response:
        """The key, for a ticket."""
        ticket = parse_object(await request.body()).get("ticket")
        if not isinstance(ticket, str) or not self._tickets.redeem(ticket):
            raise ApiError(401, "this link was used already or is too old: `codemem serve start --http` makes another",
                           "invalid_ticket")  # fmt: skip
        return JSONResponse({"key": self._key})

    async def status(self, _: Request) -> Response:
        served = [{"name": each.name, "path": str(each.path)} for each in self._repositories.served]
        about = {"version": __version__, "repositories": served, "daemon": await self._daemons.status()}
        return JSONResponse(about)

    async def tree(self, request: Request) -> Response:
        repository = self._repositories.by_name(request.query_params.get("repository", ""))
        return JSONResponse(await self._repositories.tree(repository))

    async def lines(self, request: Request) -> Response:
        query = request.query_params
        repository = self._repositories.by_name(query.get("repository", ""))
        start, end = (_line(query.get(name, ""), name) for name in ("start", "end"))
        return JSONResponse(await self._repositories.lines(repository, query.get("path", ""), start, end))

    async def ask(self, request: Request) -> Response:
        """A question of the page: rounds with every layer, pieces of the answer, the result; one JSON object a line."""
        asked = parse_object(await request.body())
        repository = self._repositories.by_name(str(asked.get("repository")))
        question = checked_question(asked.get("question"), "question")
        answering = Answering(self._daemons, {"paths": [str(repository.path)], "question": question})
        first = await _first(answering)
        return Stream(_lines(answering, first), "application/x-ndjson")


def make_app(
    daemons: Daemons, repositories: Repositories, *, key: str, port: int, failed: Callable[[BaseException], None]
) -> App:
    """The whole application; `failed` hears of errors that nobody foresaw."""
    routes = Routes(daemons, repositories, key).all()
    known: tuple[type[Exception], ...] = (ApiError, CodememError, DaemonGoneError, Exception)
    app = Starlette(routes=routes, exception_handlers={404: _nowhere, 405: _nowhere} | dict.fromkeys(known, _told))
    return Guard(app, port=port, key=key, failed=failed)


async def _told(_: Request, error: Exception) -> Response:
    told = api_error(error)
    return JSONResponse(told.json, told.status)


async def _nowhere(_: Request, error: Exception) -> Response:
    """Starlette's own refusals, in the form of all others."""
    status = getattr(error, "status_code", 404)
    what = ApiError(status, "there is nothing here" if status == 404 else "not by this method", "not_found")
    return JSONResponse(what.json, status)


async def _first(answering: Answering) -> Event | None:
    try:
        return await answering.event(FIRST_SECONDS)
    except BaseException:
        answering.close()
        raise


async def _events(answering: Answering, first: Event | None) -> AsyncIterator[Event | None]:
    """All events up to the result; None as a sign of life."""
    current = first
    while True:
        yield current
        if current is not None and current.name == "result":
            return
        current = await answering.event(ALIVE_SECONDS)


async def _chunks(answering: Answering, first: Event | None, reply: Reply) -> AsyncIterator[bytes]:
    """The answer as server-sent events."""
    text = ""
    yield reply.begun()
    with contextlib.closing(answering):
        try:
            async for happened in _events(answering, first):
                if happened is None:
                    yield b": still at it\n\n"
                elif happened.name == "piece":
                    text += happened.about["text"]
                    yield reply.piece(happened.about["text"])
                elif happened.name == "result":
                    rest = sources_text(happened.about)
                    rest = rest if text else rest.lstrip()
                    yield reply.piece(rest)
                    for chunk in reply.ended(happened.about, text + rest):
                        yield chunk
        except Exception as error:
            yield event(api_error(error).json)


async def _lines(answering: Answering, first: Event | None) -> AsyncIterator[bytes]:
    """The answer as the page wants it."""
    with contextlib.closing(answering):
        try:
            async for happened in _events(answering, first):
                yield _line_of("alive", {}) if happened is None else _line_of(happened.name, happened.about)
        except Exception as error:
            yield _line_of("failed", api_error(error).json["error"])


def _line_of(name: str, about: Any) -> bytes:
    return json.dumps({"event": name, "about": about}).encode() + b"\n"


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "codemem"}


def _line(text: str, name: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise ApiError(400, f"{name} must be a line's number", "invalid_value", param=name)
    return int(text)


def _file(name: str, kind: str) -> Callable[[Request], Any]:
    body = resources.files("codemem.http").joinpath("static", name).read_bytes()

    async def serve(_: Request) -> Response:
        return Response(body, media_type=kind)

    return serve
