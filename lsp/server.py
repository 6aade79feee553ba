"""The server: which requests it answers, and who does.

Nothing heavy is imported before the client was told what the server can do: the workbench, with the indexer and numpy
behind it, is made in a thread after `initialized`, and the model loads behind that.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.lsp.server import LanguageServer

from codemem import __version__
from codemem.lsp import requests
from codemem.lsp.buffers import Buffers, file_of
from codemem.lsp.options import Options, read_options
from codemem.lsp.protocol import CodememProtocol, RequestFailed

if TYPE_CHECKING:
    from codemem.lsp.workbench import Workbench
    from codemem.service import Service

KEEP_UP_DELAY = 1.0
"""Seconds without another change before saved files are taken into memory."""
CLIENT_SECONDS = 5.0
"""For the client to tell its settings."""
_T = TypeVar("_T")


class CodememServer(LanguageServer):
    """One client's server."""

    def __init__(self, make_service: "Callable[[], Service]") -> None:
        # pygls logs whole messages, questions and code included.
        logging.getLogger("pygls").setLevel(logging.CRITICAL + 1)
        super().__init__("codemem", __version__, protocol_cls=CodememProtocol, max_workers=2)
        self._make_service = make_service
        self._bench: asyncio.Future[Workbench] | None = None
        self._settling: asyncio.TimerHandle | None = None
        self.options = Options()
        self.began_with: dict[str, Any] = {}
        """The client's initializationOptions."""
        self.problems: list[str] = []
        _register(self)

    @property
    def buffers(self) -> Buffers:
        protocol = self.protocol
        assert isinstance(protocol, CodememProtocol)
        return protocol.buffers

    def report_server_error(self, error: Exception, source: Any) -> None:
        """Says nothing: what a client sent wrongly is answered or passed over, and its text belongs in no message."""

    async def bench(self) -> "Workbench":
        """The workbench, made at first use. Raises RequestFailed, e.g. for a configuration file that is wrong."""
        if self._bench is None:
            self._bench = asyncio.ensure_future(asyncio.to_thread(self._make_bench))
        return await _told(asyncio.shield(self._bench))

    def _make_bench(self) -> "Workbench":
        from codemem.lsp.workbench import Workbench

        bench = Workbench(self, self._make_service(), self.buffers, self.options)
        bench.folders = self.folders()
        return bench

    def folders(self) -> list[Path]:
        """Folders of the workspace, or the root that older clients name."""
        found = [path for uri in self.workspace.folders if (path := file_of(uri)) is not None]
        if not found and self.workspace.root_path:
            found = [Path(self.workspace.root_path)]
        return [path for path in found if path.is_dir()]

    def set_options(self, settings: dict[str, Any]) -> None:
        """Takes what it understands over what the client began with, and tells the user about the rest."""
        self.options, _ = read_options(self.began_with | settings)
        for problem in read_options(settings)[1]:
            self.window_show_message(types.ShowMessageParams(types.MessageType.Warning, f"codemem: {problem}"))
        if self._bench is not None and self._bench.done() and not self._bench.exception():
            self._bench.result().options = self.options

    async def follow(self) -> None:
        """Files or folders changed: reading sees it at once, the memory after a moment without changes."""
        bench = await self.bench()
        bench.folders = self.folders()
        bench.service.forget()
        if self._settling is not None:
            self._settling.cancel()
        self._settling = asyncio.get_running_loop().call_later(KEEP_UP_DELAY, self._keep_up, bench)

    def _keep_up(self, bench: "Workbench") -> None:
        self._settling = None
        if self.options.keep_up and not bench.service.busy and bench.folders:
            bench.keep_up()

    def stop(self) -> bool:
        """After the last message; whether everything stopped in time."""
        if (
            self._bench is not None
            and self._bench.done()
            and not self._bench.cancelled()
            and not self._bench.exception()
        ):
            return self._bench.result().close()
        return self._bench is None


async def _told(work: Awaitable[_T]) -> _T:
    """The outcome, or an error that names what failed in one line."""
    from codemem.service import explain

    try:
        return await work
    except (JsonRpcException, asyncio.CancelledError):
        raise
    except Exception as error:
        raise RequestFailed(explain(error)) from None


def _register(server: CodememServer) -> None:
    _register_lifecycle(server)
    _register_changes(server)
    _register_commands(server)
    _register_editor(server)


def _register_lifecycle(server: CodememServer) -> None:
    @server.feature(types.INITIALIZE)
    def initialize(params: types.InitializeParams) -> None:
        encoding = str(getattr(server.workspace.position_encoding, "value", server.workspace.position_encoding))
        server.buffers.encoding = "utf-8" if encoding == "utf-8" else "utf-32" if encoding == "utf-32" else "utf-16"
        options, server.problems = read_options(params.initialization_options)
        server.options = options
        if isinstance(params.initialization_options, dict):
            server.began_with = params.initialization_options
        _register_optional(server)

    @server.feature(types.INITIALIZED)
    async def initialized(_: types.InitializedParams) -> None:
        for problem in server.problems:
            server.window_show_message(types.ShowMessageParams(types.MessageType.Warning, f"codemem: {problem}"))
        await _watch_files(server)
        await _ask_settings(server)
        bench = await server.bench()
        if bench.folders:
            bench.keep_up()

    @server.feature(types.WORKSPACE_DID_CHANGE_CONFIGURATION)
    async def configured(params: types.DidChangeConfigurationParams) -> None:
        told = params.settings.get("codemem") if isinstance(params.settings, dict) else None
        if not await _ask_settings(server) and isinstance(told, dict):
            server.set_options(told)


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
        server.set_options(settings[0])
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
    async def changed(_: types.DidChangeWatchedFilesParams) -> None:
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
    @server.command(requests.ASK)
    async def ask(params: types.ExecuteCommandParams) -> Any:
        request = requests.read_request(params.arguments)
        if not request.text:
            raise requests.nothing_asked()
        bench = await server.bench()
        if request.uri is not None and request.span is not None:
            return await _told(bench.ask_selection(request, params.work_done_token))
        return await _told(bench.ask(request, request.text, params.work_done_token))

    @server.command(requests.ASK_SELECTION)
    async def ask_selection(params: types.ExecuteCommandParams) -> Any:
        request, bench = requests.read_request(params.arguments), await server.bench()
        return await _told(bench.ask_selection(request, params.work_done_token))

    @server.command(requests.EXPLAIN)
    async def explain(params: types.ExecuteCommandParams) -> Any:
        request, bench = requests.read_request(params.arguments), await server.bench()
        return await _told(bench.explain(request, params.work_done_token))

    @server.command(requests.FIND)
    async def find(params: types.ExecuteCommandParams) -> Any:
        request, bench = requests.read_request(params.arguments), await server.bench()
        return await _told(bench.find(request))

    @server.command(requests.RELATED)
    async def related(params: types.ExecuteCommandParams) -> Any:
        request, bench = requests.read_request(params.arguments), await server.bench()
        return await _told(bench.related(request))

    @server.command(requests.REINDEX)
    async def reindex(params: types.ExecuteCommandParams) -> Any:
        request, bench = requests.read_request(params.arguments), await server.bench()
        return await _told(bench.reindex(request, params.work_done_token))

    @server.command(requests.STATUS)
    async def status(_: types.ExecuteCommandParams) -> Any:
        bench = await server.bench()
        return await _told(bench.status())


def _register_editor(server: CodememServer) -> None:
    @server.feature(types.WORKSPACE_SYMBOL)
    async def symbols(params: types.WorkspaceSymbolParams) -> Any:
        bench = await server.bench()
        from codemem.lsp.editor import workspace_symbols

        return await _told(workspace_symbols(bench, params.query[: requests.MAX_TEXT]))


def _register_optional(server: CodememServer) -> None:
    """What the client's options turn on; the editor is told of nothing else, for another server may serve it."""
    options = server.options
    if options.code_actions:
        kinds: list[types.CodeActionKind | str] = ["codemem", types.CodeActionKind.QuickFix]

        @server.feature(types.TEXT_DOCUMENT_CODE_ACTION, types.CodeActionOptions(kinds))
        async def actions(params: types.CodeActionParams) -> Any:
            await server.bench()
            from codemem.lsp.editor import code_actions

            return code_actions(params)

    if options.code_lens:

        @server.feature(types.TEXT_DOCUMENT_CODE_LENS)
        async def lenses(params: types.CodeLensParams) -> Any:
            bench = await server.bench()
            from codemem.lsp.editor import code_lenses

            return await _told(code_lenses(bench, params.text_document.uri))

    if options.hover:

        @server.feature(types.TEXT_DOCUMENT_HOVER)
        async def hovers(params: types.HoverParams) -> Any:
            bench = await server.bench()
            from codemem.lsp.editor import hover

            return await _told(hover(bench, params))
