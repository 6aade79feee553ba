"""How the client hears of work that takes a while, and sees its outcome."""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from lsprotocol import types
from pygls.exceptions import JsonRpcException, JsonRpcRequestCancelled
from pygls.lsp.server import LanguageServer

from codemem.lsp.options import Options

ANSWER = "codemem/answer"
"""Notification to clients that asked for it: {"id", "kind": "round" | "text" | "end" | "stopped", "text"}."""
CLIENT_SECONDS = 2.0
"""For a client to answer a small request of ours; one that never does costs no more than that."""
TAIL = 200
"""Characters of the answer so far in a progress report."""
KEPT_DOCUMENTS = 20

_T = TypeVar("_T")


class Delivery:
    """One piece of work as the client sees it: progress, or pieces of an answer, and a way to stop it."""

    def __init__(self, server: LanguageServer, options: Options, title: str, answer_id: str | None = None) -> None:
        self._server = server
        self._pieces = options.answers == "notification"
        self._title = title
        self._id = answer_id or str(uuid4())
        self._token: types.ProgressToken | None = None
        self._text = ""

    async def begin(self, client_token: types.ProgressToken | None) -> None:
        """Starts progress, under the client's token or one of ours if the client can show it."""
        if client_token is not None:
            self._token = client_token
        elif _supports_progress(self._server.client_capabilities):
            token = str(uuid4())
            with contextlib.suppress(TimeoutError, JsonRpcException):
                await asyncio.wait_for(self._server.work_done_progress.create_async(token), CLIENT_SECONDS)
                self._token = token
        if self._token is not None:
            begin = types.WorkDoneProgressBegin(self._title, cancellable=True)
            self._server.work_done_progress.begin(self._token, begin)

    def report(self, message: str, percentage: int | None = None) -> None:
        if self._token is not None:
            report = types.WorkDoneProgressReport(message=message, percentage=percentage, cancellable=True)
            self._server.work_done_progress.report(self._token, report)

    def round(self, number: int, named: list[str]) -> None:
        """The model chose what to read."""
        message = f"reading {', '.join(named)}"
        self._notify("round", f"round {number}: {message}")
        self.report(message)

    def piece(self, text: str) -> None:
        """The next piece of the answer."""
        self._text += text
        self._notify("text", text)
        if not self._pieces:
            self.report(" ".join(self._text[-TAIL:].split()))

    def end(self, message: str = "done") -> None:
        self._notify("end" if message == "done" else "stopped", "" if message == "done" else message)
        if self._token is not None:
            self._server.work_done_progress.end(self._token, types.WorkDoneProgressEnd(message=message))
            self._server.work_done_progress.tokens.pop(self._token, None)
            self._token = None

    def _notify(self, kind: str, text: str) -> None:
        if self._pieces:
            self._server.protocol.notify(ANSWER, {"id": self._id, "kind": kind, "text": text})

    async def outcome(self, work: "Future[_T]", stop: Callable[[], None]) -> _T:
        """The work's result. Calls `stop` and raises as soon as the client cancels the request or its progress."""
        result = asyncio.wrap_future(work)
        waits: list[Awaitable[Any]] = [result]
        if self._token is not None:
            waits.append(asyncio.wrap_future(self._server.work_done_progress.tokens[self._token]))
        try:
            await asyncio.wait([asyncio.ensure_future(wait) for wait in waits], return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            stop()
            raise
        if not result.done():
            stop()
            result.add_done_callback(_ignore)
            raise JsonRpcRequestCancelled
        return result.result()


def _ignore(result: "asyncio.Future[Any]") -> None:
    """Looks at an outcome that nobody wants, so that asyncio does not report it as forgotten."""
    if not result.cancelled():
        result.exception()


class Documents:
    """Answers as files that the editor opens; they go when the server does."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._files: list[Path] = []

    async def show(self, server: LanguageServer, markdown: str) -> str | None:
        """The URI of the document; None if the client cannot show any."""
        if not _supports_documents(server.client_capabilities):
            return None
        uri = self._write(markdown).as_uri()
        request = server.window_show_document_async(types.ShowDocumentParams(uri=uri, take_focus=True))
        with contextlib.suppress(TimeoutError, JsonRpcException):
            await asyncio.wait_for(request, CLIENT_SECONDS)
        return uri

    def _write(self, markdown: str) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="codemem-answers-"))  # readable by its owner alone
        path = self._folder / f"answer-{len(self._files) + 1}.md"
        path.write_text(markdown, encoding="utf-8", errors="replace")
        self._files.append(path)
        for old in self._files[:-KEPT_DOCUMENTS]:
            old.unlink(missing_ok=True)
        return path

    def close(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def _supports_progress(client: types.ClientCapabilities) -> bool:
    return bool(client.window and client.window.work_done_progress)


def _supports_documents(client: types.ClientCapabilities) -> bool:
    return bool(client.window and client.window.show_document and client.window.show_document.support)
