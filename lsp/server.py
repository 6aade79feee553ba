"""The server: which requests it answers, and who does. The work is the backend's; nothing heavy is imported here."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from lsprotocol import types
from lsprotocol.converters import get_converter
from pygls.exceptions import JsonRpcException, JsonRpcInvalidParams
from pygls.lsp.server import LanguageServer

from codemem import __version__
from codemem.errors import CodememError
from codemem.lsp import commands, editor, requests
from codemem.lsp.backend import Backend
from codemem.lsp.buffers import file_of, may_be_read
from codemem.lsp.greeting import dynamic, offered
from codemem.lsp.options import read_options
from codemem.lsp.protocol import CodememProtocol, RequestFailed
from codemem.lsp.transport import Opened
from codemem.lsp.workbench import Workbench

KEEP_UP_DELAY = 1.0
"""Seconds without another change before saved files are taken into memory."""
CLIENT_SECONDS = 5.0
"""For the client to tell its settings."""
_T = TypeVar("_T")


class CodememServer(LanguageServer):
    """One client's server."""

    def __init__(self, make_backend: Callable[[], Backend], opened: Opened) -> None:
        # pygls logs whole messages, questions and code included.
        logging.getLogger("pygls").setLevel(logging.CRITICAL + 1)
        super().__init__("codemem", __version__, protocol_cls=CodememProtocol, max_workers=2)
        self._make_backend = make_backend
        self._bench: asyncio.Future[Workbench] | None = None
        self._settling: asyncio.TimerHandle | None = None
        self._behind: set[asyncio.Task[None]] = set()
        self.opened = opened
        self.options = opened.greeting.options
        self.registered: dict[str, Any] = {}
        """What was registered with the client: method -> options."""
        protocol = self.protocol
        assert isinstance(protocol, CodememProtocol)
        protocol.opened, self.buffers = opened, protocol.buffers
        self.buffers.encoding = opened.greeting.encoding
        _register(self)

    def report_server_error(self, error: Exception, source: Any) -> None:
        """Says nothing: what a client sent wrongly is answered or passed over, and its text belongs in no message."""

    async def bench(self) -> Workbench:
        """The workbench, made at first use. Raises RequestFailed, e.g. for a configuration file that is wrong."""
        if self._bench is None:
            self._bench = asyncio.ensure_future(asyncio.to_thread(self._make_bench))
        return await _told(asyncio.shield(self._bench))

    def _make_bench(self) -> Workbench:
        bench = Workbench(self, self._make_backend(), self.buffers, self.options)
        bench.folders = self.folders()
        return bench

    def made_bench(self) -> Workbench | None:
        """The workbench if there is one already."""
        made = self._bench
        if made is None or not made.done() or made.cancelled() or made.exception():
            return None
        return made.result()

    def folders(self) -> list[Path]:
        """Folders of the workspace, or the root that older clients name."""
        found = [path for uri in self.workspace.folders if (path := file_of(uri)) is not None]
        if not found and self.workspace.root_path:
            found = [Path(self.workspace.root_path)]
        return [path for path in found if path.is_dir()]

    async def set_options(self, settings: dict[str, Any]) -> None:
        """Takes what it understands over what the client began with, and tells the user about the rest."""
        self.options, _ = read_options(dict(self.opened.greeting.began_with) | settings)
        self.warn(read_options(settings)[1])
        if bench := self.made_bench():
            bench.options = self.options
        await self.register_offered()

    def warn(self, problems: list[str]) -> None:
        for problem in problems:
            self.window_show_message(types.ShowMessageParams(types.MessageType.Warning, f"codemem: {problem}"))

    async def register_offered(self) -> None:
        """Registers and withdraws what the options turn on and off, where the client lets us."""
        client = get_converter().unstructure(self.client_capabilities, types.ClientCapabilities)
        wanted = {method: value for method, value in offered(self.options).values() if dynamic(client, method)}
        gone = [types.Unregistration(method, method) for method in self.registered if method not in wanted]
        new = [
            types.Registration(method, method, {"documentSelector": [{"scheme": "file"}], **value})
            for method, value in wanted.items()
            if method not in self.registered
        ]
        self.registered = wanted
        with contextlib.suppress(TimeoutError, JsonRpcException):
            if gone:
                withdrawn = self.client_unregister_capability_async(types.UnregistrationParams(gone))
                await asyncio.wait_for(withdrawn, CLIENT_SECONDS)
            if new:
                asked = self.client_register_capability_async(types.RegistrationParams(new))
                await asyncio.wait_for(asked, CLIENT_SECONDS)

    async def follow(self) -> None:
        """Files or folders changed: the next question sees it, the memory after a moment without changes."""
        bench = await self.bench()
        bench.folders = self.folders()
        if self._settling is not None:
            self._settling.cancel()
        self._settling = asyncio.get_running_loop().call_later(KEEP_UP_DELAY, self.keep_up, bench)

    def keep_up(self, bench: Workbench, *, warm: bool = False) -> None:
        """What the options ask for while nobody waits."""
        self._settling = None
        if self.options.keep_up and bench.folders:
            task = asyncio.ensure_future(self._keep_up(bench, warm=warm))
            self._behind.add(task)
            task.add_done_callback(self._behind.discard)

    async def _keep_up(self, bench: Workbench, *, warm: bool) -> None:
        if warm:
            await bench.warm()
        await bench.keep_up()

    @property
    def was_shut_down(self) -> bool:
        """Whether the client said `shutdown` before it left."""
        return self.protocol._shutdown

    def stop(self) -> None:
        """After the last message."""
        if bench := self.made_bench():
            bench.close()


async def _told(work: Awaitable[_T]) -> _T:
    """The outcome, or an error that names what failed in one line."""
    try:
        return await work
    except (JsonRpcException, asyncio.CancelledError):
        raise
    except CodememError as error:
        raise RequestFailed(" ".join(str(error).split())) from None
    except Exception as error:
        # Its text may hold code.
        raise RequestFailed(f"this is a bug in codemem ({type(error).__name__})") from None


def _register(server: CodememServer) -> None:
    _register_lifecycle(server)
    _register_changes(server)
    _register_commands(server)
    _register_editor(server)


def _register_lifecycle(server: CodememServer) -> None:
    @server.feature(types.INITIALIZED)
    async def initialized(_: types.InitializedParams) -> None:
        server.warn(server.opened.greeting.problems)
        await _watch_files(server)
        await server.register_offered()
        await _ask_settings(server)
        server.keep_up(await server.bench(), warm=True)

    @server.feature(types.WORKSPACE_DID_CHANGE_CONFIGURATION)
    async def configured(params: types.DidChangeConfigurationParams) -> None:
        told = params.settings.get("codemem") if isinstance(params.settings, dict) else None
        if not await _ask_settings(server) and isinstance(told, dict):
            await server.set_options(told)


async def _watch_files(server: CodememServer) -> None:
    """Asks the client to tell of files that change on disk, where it can be asked."""
    workspace = server.client_capabilities.workspace
    watching = workspace and workspace.did_change_watched_files
    if not (watching and watching.dynamic_registration):
        return
    options = types.DidChangeWatchedFilesRegistrationOptions([types.FileSystemWatcher("**/*")])
    registration = types.Registration("codemem-files", types.WORKSPACE_DID_CHANGE_WATCHED_FILES, options)
    with contextlib.suppress(TimeoutError, JsonRpcException):
        request = server.client_register_capability_async(types.RegistrationParams([registration]))
        await asyncio.wait_for(request, CLIENT_SECONDS)


async def _ask_settings(server: CodememServer) -> bool:
    """Takes the client's settings for `codemem`, if it has any; whether it did."""
    workspace = server.client_capabilities.workspace
    if not (workspace and workspace.configuration):
        return False
    request = server.workspace_configuration_async(
        types.ConfigurationParams([types.ConfigurationItem(section="codemem")])
    )
    settings: Any = None
    with contextlib.suppress(TimeoutError, JsonRpcException):
        settings = await asyncio.wait_for(request, CLIENT_SECONDS)
    if isinstance(settings, list | tuple) and settings and isinstance(settings[0], dict) and settings[0]:
        await server.set_options(settings[0])
        return True
    return False


def _register_changes(server: CodememServer) -> None:
    files = types.FileOperationRegistrationOptions(
        [types.FileOperationFilter(types.FileOperationPattern("**/*"), scheme="file")]
    )

    @server.feature(types.TEXT_DOCUMENT_DID_SAVE)
    async def saved(_: types.DidSaveTextDocumentParams) -> None:
        await server.follow()

    @server.feature(types.WORKSPACE_DID_CHANGE_WATCHED_FILES)
    async def changed(params: types.DidChangeWatchedFilesParams) -> None:
        if any(may_be_read(event.uri) for event in params.changes):
            await server.follow()

    @server.feature(types.WORKSPACE_DID_CREATE_FILES, files)
    async def created(_: types.CreateFilesParams) -> None:
        await server.follow()

    @server.feature(types.WORKSPACE_DID_RENAME_FILES, files)
    async def renamed(_: types.RenameFilesParams) -> None:
        await server.follow()

    @server.feature(types.WORKSPACE_DID_DELETE_FILES, files)
    async def deleted(_: types.DeleteFilesParams) -> None:
        await server.follow()

    @server.feature(types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS)
    async def moved(_: types.DidChangeWorkspaceFoldersParams) -> None:
        await server.follow()


def _register_commands(server: CodememServer) -> None:
    @server.command(commands.ASK)
    async def ask(params: types.ExecuteCommandParams) -> Any:
        request = requests.read_request(params.arguments)
        if not request.text:
            raise requests.nothing_asked()
        bench = await server.bench()
        if request.uri is not None and request.span is not None:
            return await _told(bench.ask_selection(request, params.work_done_token))
        return await _told(bench.ask(request, request.text, params.work_done_token))

    @server.command(commands.ASK_SELECTION)
    async def ask_selection(params: types.ExecuteCommandParams) -> Any:
        request, bench = requests.read_request(params.arguments), await server.bench()
        return await _told(bench.ask_selection(request, params.work_done_token))

    @server.command(commands.EXPLAIN)
    async def explain(params: types.ExecuteCommandParams) -> Any:
        request, bench = requests.read_request(params.arguments), await server.bench()
        return await _told(bench.explain(request, params.work_done_token))

    @server.command(commands.FIND)
    async def find(params: types.ExecuteCommandParams) -> Any:
        request, bench = requests.read_request(params.arguments), await server.bench()
        return await _told(bench.find(request))

    @server.command(commands.RELATED)
    async def related(params: types.ExecuteCommandParams) -> Any:
        request, bench = requests.read_request(params.arguments), await server.bench()
        return await _told(bench.related(request))

    @server.command(commands.REINDEX)
    async def reindex(params: types.ExecuteCommandParams) -> Any:
        request, bench = requests.read_request(params.arguments), await server.bench()
        return await _told(bench.reindex(request, params.work_done_token))

    @server.command(commands.STATUS)
    async def status(_: types.ExecuteCommandParams) -> Any:
        bench = await server.bench()
        return await _told(bench.status())


def _register_editor(server: CodememServer) -> None:
    """What is offered of these is the greeting's and the options' choice."""

    @server.feature(types.WORKSPACE_SYMBOL)
    async def symbols(params: types.WorkspaceSymbolParams) -> Any:
        bench = await server.bench()
        return await _told(editor.workspace_symbols(bench, params.query[: requests.MAX_TEXT]))

    @server.feature(types.WORKSPACE_TEXT_DOCUMENT_CONTENT)
    async def content(params: types.TextDocumentContentParams) -> Any:
        bench = await server.bench()
        text = bench.documents.text(params.uri)
        if text is None:
            raise JsonRpcInvalidParams("there is no such document")
        return types.TextDocumentContentResult(text)

    @server.feature(types.TEXT_DOCUMENT_CODE_ACTION)
    def actions(params: types.CodeActionParams) -> Any:
        return editor.code_actions(params)

    @server.feature(types.TEXT_DOCUMENT_CODE_LENS)
    async def lenses(params: types.CodeLensParams) -> Any:
        bench = await server.bench()
        return await _told(editor.code_lenses(bench, params.text_document.uri))

    @server.feature(types.TEXT_DOCUMENT_HOVER)
    async def hovers(params: types.HoverParams) -> Any:
        bench = await server.bench()
        return await _told(editor.hover(bench, params))
