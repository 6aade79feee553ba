"""pygls' own client, driven from tests that are not asynchronous."""

import asyncio
import resource
import sys
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Self, TypeVar

from lsprotocol import types
from pygls.lsp.client import LanguageClient

SECONDS = 60
"""For anything that a test waits for: an upper bound for a loaded machine, not an expectation."""
_T = TypeVar("_T")


def capabilities(**window: Any) -> types.ClientCapabilities:
    """Of an editor that can do what is asked of it."""
    return types.ClientCapabilities(
        general=types.GeneralClientCapabilities(position_encodings=[types.PositionEncodingKind.Utf8]),
        window=types.WindowClientCapabilities(**window),
        workspace=types.WorkspaceClientCapabilities(
            configuration=False,
            workspace_folders=True,
            did_change_watched_files=types.DidChangeWatchedFilesClientCapabilities(dynamic_registration=True),
        ),
    )


class Editor:
    """A client with its server. Use it in `with`."""

    def __init__(self, environment: dict[str, str], where: Path) -> None:
        self._environment = environment
        self._where = where
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.client = LanguageClient("test", "1")
        self.messages: list[str] = []
        self.shown: list[str] = []
        self.registered: list[str] = []
        self.withdrawn: list[str] = []
        self.refreshed: list[str] = []
        self.answers: list[Any] = []
        self.progress: list[types.ProgressParams] = []
        self.error_output = b""
        self.settings: dict[str, Any] = {}
        self.asked_settings = 0
        self.heard = threading.Condition()
        self._listen()

    def _listen(self) -> None:
        client = self.client

        @client.feature(types.WINDOW_SHOW_MESSAGE)
        def message(params: types.ShowMessageParams) -> None:
            self._hear(self.messages, params.message)

        @client.feature(types.WINDOW_SHOW_DOCUMENT)
        def document(params: types.ShowDocumentParams) -> types.ShowDocumentResult:
            self._hear(self.shown, params.uri)
            return types.ShowDocumentResult(success=True)

        @client.feature(types.CLIENT_REGISTER_CAPABILITY)
        def register(params: types.RegistrationParams) -> None:
            for registration in params.registrations:
                self._hear(self.registered, registration.method)

        @client.feature(types.CLIENT_UNREGISTER_CAPABILITY)
        def unregister(params: types.UnregistrationParams) -> None:
            for gone in params.unregisterations:
                self._hear(self.withdrawn, gone.method)

        @client.feature(types.WORKSPACE_TEXT_DOCUMENT_CONTENT_REFRESH)
        def refresh(params: types.TextDocumentContentRefreshParams) -> None:
            self._hear(self.refreshed, params.uri)

        @client.feature(types.WINDOW_WORK_DONE_PROGRESS_CREATE)
        def create(_: types.WorkDoneProgressCreateParams) -> None:
            return None

        @client.feature(types.PROGRESS)
        def progress(params: types.ProgressParams) -> None:
            self._hear(self.progress, params)

        @client.feature(types.WORKSPACE_CONFIGURATION)
        def configuration(_: types.ConfigurationParams) -> list[Any]:
            with self.heard:
                self.asked_settings += 1
                self.heard.notify_all()
            return [self.settings]

        @client.feature("codemem/answer")
        def answer(params: Any) -> None:
            self._hear(self.answers, params)

    def _hear(self, heard: list[Any], what: Any) -> None:
        with self.heard:
            heard.append(what)
            self.heard.notify_all()

    def wait_for(self, condition: Any) -> None:
        """Until something heard makes the condition true."""
        with self.heard:
            assert self.heard.wait_for(condition, SECONDS), "the server did not say it"

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(SECONDS)

    def call(self, function: Any, *arguments: Any) -> Any:
        """Something of the client that must be called in its loop."""

        async def inside() -> Any:
            return function(*arguments)

        return self.run(inside())

    def start(
        self, *, options: Any = None, client: types.ClientCapabilities | None = None, folders: list[Path] | None = None
    ) -> types.InitializeResult:
        self.launch()
        return self.initialize(options=options, client=client, folders=folders)

    def launch(self) -> None:
        """The server's process; it was told nothing yet."""
        arguments = ("-m", "codemem", "lsp")
        self.run(self.client.start_io(sys.executable, *arguments, env=self._environment, cwd=self._where))

    def resident_bytes(self) -> int:
        """Memory of the server's process."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * resource.getpagesize()

    def initialize(
        self, *, options: Any = None, client: types.ClientCapabilities | None = None, folders: list[Path] | None = None
    ) -> types.InitializeResult:
        folders = [self._where] if folders is None else folders
        params = types.InitializeParams(
            client or capabilities(),
            process_id=None,
            initialization_options=options,
            workspace_folders=[types.WorkspaceFolder(folder.as_uri(), folder.name) for folder in folders],
        )
        self.started = self.run(self.client.initialize_async(params))
        self.call(self.client.initialized, types.InitializedParams())
        return self.started

    def request(self, method: str, params: Any) -> Any:
        return self.send(method, params).result(SECONDS)

    def send(self, method: str, params: Any, request: str | None = None) -> "Future[Any]":
        """The answer will be in the future, JsonRpcException for an error."""
        sent: Future[Any] = self.call(lambda: self.client.protocol.send_request(method, params, msg_id=request))
        return sent

    def expect(self, request: str) -> "Future[Any]":
        """Where the answer will be to a request that is written by hand."""
        answer: Future[Any] = Future()
        self.client.protocol._request_futures[request] = answer
        return answer

    def command(self, name: str, *arguments: Any) -> Any:
        return self.request(types.WORKSPACE_EXECUTE_COMMAND, types.ExecuteCommandParams(name, list(arguments)))

    def notify(self, method: str, params: Any) -> None:
        self.call(self.client.protocol.notify, method, params)

    def open(self, path: Path, text: str | None = None) -> str:
        """Opens a document; its URI."""
        text = path.read_text() if text is None else text
        item = types.TextDocumentItem(path.as_uri(), "python", 1, text)
        self.notify(types.TEXT_DOCUMENT_DID_OPEN, types.DidOpenTextDocumentParams(item))
        return item.uri

    def write_raw(self, data: bytes) -> None:
        """Bytes, as they are, to the server's standard input."""

        async def inside() -> None:
            process = self.client._server
            assert process is not None
            assert process.stdin is not None
            process.stdin.write(data)
            await process.stdin.drain()

        self.run(inside())

    @property
    def process(self) -> asyncio.subprocess.Process:
        assert self.client._server is not None
        return self.client._server

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self.client._server is not None and self.process.returncode is None:
                self.run(self._leave())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(SECONDS)
            self._loop.close()

    async def _leave(self) -> None:
        self.client.protocol.send_request(types.SHUTDOWN, None)
        self.client.protocol.notify(types.EXIT, None)
        await asyncio.wait_for(self.client.stop(), SECONDS)
        assert self.process.stderr is not None
        self.error_output = await self.process.stderr.read()
