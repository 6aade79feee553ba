"""How the client hears of work that takes a while, and sees its outcome."""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Awaitable, Coroutine
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from lsprotocol import types
from pygls.exceptions import JsonRpcException, JsonRpcRequestCancelled
from pygls.lsp.server import LanguageServer

from codemem.lsp.greeting import SCHEME
from codemem.lsp.options import Options

ANSWER = "codemem/answer"
"""Notification to clients that asked for it: {"id", "kind": "round" | "text" | "end" | "stopped", "text"}."""
CLIENT_SECONDS = 2.0
"""For a client to answer a small request of ours; one that never does costs no more than that."""
TAIL = 200
"""Characters of the answer so far in a progress report."""
KEPT_DOCUMENTS = 20
REFRESH_SECONDS = 0.2

_T = TypeVar("_T")


class Delivery:
    """One piece of work as the client sees it: progress, or pieces of an answer, and a way to stop it."""

    def __init__(self, server: LanguageServer, options: Options, title: str, answer: str | None = None) -> None:
        """`answer` is the client's name for an answer that comes in pieces."""
        self._server = server
        self._answer = answer if options.answers == "notification" else None
        self._title = title
        self._token: types.ProgressToken | None = None
        self._begun = self._ended = False
        self._text = ""

    @property
    def text(self) -> str:
        """The answer so far."""
        return self._text

    async def begin(self, client_token: types.ProgressToken | None = None) -> None:
        """Starts progress, under the client's token or one of ours if the client can show it."""
        self._begun = True
        token = client_token
        if token is None and _supports_progress(self._server.client_capabilities):
            ours = str(uuid4())
            with contextlib.suppress(TimeoutError, JsonRpcException):
                await asyncio.wait_for(self._server.work_done_progress.create_async(ours), CLIENT_SECONDS)
                token = ours
        if token is not None and not self._ended:
            self._token = token
            begin = types.WorkDoneProgressBegin(self._title, cancellable=True)
            self._server.work_done_progress.begin(token, begin)

    def report(self, message: str, percentage: int | None = None) -> None:
        if self._token is not None:
            report = types.WorkDoneProgressReport(message=message, percentage=percentage, cancellable=True)
            self._server.work_done_progress.report(self._token, report)

    def round(self, number: int, named: list[str]) -> str:
        """The model chose what to read; says so."""
        message = f"reading {', '.join(named)}"
        self._notify("round", f"round {number}: {message}")
        self.report(message)
        return message

    def piece(self, text: str) -> None:
        """The next piece of the answer."""
        self._text += text
        self._notify("text", text)
        if self._answer is None:
            self.report(" ".join(self._text[-TAIL:].split()))

    def indexing(self, _: str, about: dict[str, Any]) -> None:
        """How far indexing is, as the backend tells it; begins progress if nothing has."""
        if not self._begun:
            self._begun = True
            asyncio.ensure_future(self.begin()).add_done_callback(_ignore)
        done, total = about["done"], about["total"]
        share = min(100, round(100 * done / total)) if total else None
        self.report(f"{about['phase']}: {done:,}/{total:,} {about['unit']}", share)

    def end(self, message: str = "done") -> None:
        self._ended = True
        self._notify("end" if message == "done" else "stopped", "" if message == "done" else message)
        if self._token is not None:
            self._server.work_done_progress.end(self._token, types.WorkDoneProgressEnd(message=message))
            self._server.work_done_progress.tokens.pop(self._token, None)
            self._token = None

    def _notify(self, kind: str, text: str) -> None:
        if self._answer is not None:
            self._server.protocol.notify(ANSWER, {"id": self._answer, "kind": kind, "text": text})

    async def outcome(self, work: Coroutine[Any, Any, _T]) -> _T:
        """The work's result. Gives it up as soon as the client cancels the request or its progress, and raises."""
        result = asyncio.ensure_future(work)
        waits: list[Awaitable[Any]] = [result]
        if self._token is not None:
            waits.append(asyncio.wrap_future(self._server.work_done_progress.tokens[self._token]))
        try:
            await asyncio.wait([asyncio.ensure_future(wait) for wait in waits], return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not result.done():
                result.cancel()
                result.add_done_callback(_ignore)
        if result.cancelled() or not result.done():
            raise JsonRpcRequestCancelled
        return result.result()


def _ignore(result: "asyncio.Future[Any]") -> None:
    """Looks at an outcome that nobody wants, so that asyncio does not report it as forgotten."""
    if not result.cancelled():
        result.exception()


class Documents:
    """Answers as documents that the editor opens: from us, where it fetches them, or as files. They go with the server.

    A document of ours is opened at once and grows; a file is opened when the answer is there.
    """

    def __init__(self, server: LanguageServer) -> None:
        self._server = server
        self._folder: Path | None = None
        self._texts: dict[str, str] = {}
        """By URI, the latest last."""
        self._refreshing: asyncio.TimerHandle | None = None
        self._made = 0

    @property
    def grow(self) -> bool:
        """Whether the client fetches documents from us."""
        client = self._server.client_capabilities
        return _supports_documents(client) and bool(client.workspace and client.workspace.text_document_content)

    async def show(self, markdown: str) -> str | None:
        """The URI of a new document; None if the client cannot show any."""
        if not _supports_documents(self._server.client_capabilities):
            return None
        self._made += 1
        name = f"answer-{self._made}.md"
        uri = f"{SCHEME}:/{name}" if self.grow else self._write(name, markdown)
        self._texts[uri] = markdown
        self._forget_old()
        request = self._server.window_show_document_async(types.ShowDocumentParams(uri=uri, take_focus=True))
        with contextlib.suppress(TimeoutError, JsonRpcException):
            await asyncio.wait_for(request, CLIENT_SECONDS)
        return uri

    def text(self, uri: str) -> str | None:
        """What a document of ours holds; None if it is none, or gone."""
        return self._texts.get(uri) if uri.startswith(f"{SCHEME}:") else None

    def grown(self, uri: str, markdown: str) -> None:
        """A document of ours holds more; the client hears of that a few times a second."""
        if uri in self._texts:
            self._texts[uri] = markdown
            if self._refreshing is None:
                self._refreshing = asyncio.get_running_loop().call_later(REFRESH_SECONDS, self._refresh, uri)

    def _refresh(self, uri: str) -> None:
        self._refreshing = None
        refresh = types.TextDocumentContentRefreshParams(uri)
        # Its answer says nothing; one that never comes must hold up nothing.
        asked = asyncio.ensure_future(self._server.workspace_text_document_content_refresh_async(refresh))
        asked.add_done_callback(_ignore)

    def _write(self, name: str, markdown: str) -> str:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="codemem-answers-"))  # readable by its owner alone
        path = self._folder / name
        path.write_text(markdown, encoding="utf-8", errors="replace")
        return path.as_uri()

    def _forget_old(self) -> None:
        for uri in list(self._texts)[:-KEPT_DOCUMENTS]:
            del self._texts[uri]
            if self._folder is not None:
                (self._folder / uri.rsplit("/", 1)[-1]).unlink(missing_ok=True)

    def close(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def _supports_progress(client: types.ClientCapabilities) -> bool:
    return bool(client.window and client.window.work_done_progress)


def _supports_documents(client: types.ClientCapabilities) -> bool:
    return bool(client.window and client.window.show_document and client.window.show_document.support)
