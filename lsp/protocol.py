"""pygls' protocol with five differences: `initialize` was answered before pygls was imported, commands can be cancelled
while they run, a request that cannot be understood is answered, errors tell no code, and open documents are kept by
`Buffers`."""

from typing import Any

from cattrs import Converter
from lsprotocol import types
from pygls.exceptions import JsonRpcException, JsonRpcInvalidParams
from pygls.lsp.server import LanguageServer
from pygls.protocol import LanguageServerProtocol, lsp_method

from codemem.lsp.buffers import Buffers
from codemem.lsp.transport import Opened


class RequestFailed(JsonRpcException):
    """Could not be done, for a reason that the message names."""

    CODE = int(types.LSPErrorCodes.RequestFailed)
    MESSAGE = "Request Failed"


class CodememProtocol(LanguageServerProtocol):
    """Handles messages for the language server."""

    def __init__(self, server: LanguageServer, converter: Converter) -> None:
        self.buffers = Buffers()
        self.opened: Opened | None = None
        """Whose `initialize` was answered."""
        super().__init__(server, converter)

    def structure_message(self, data: dict[str, Any]) -> Any:
        """As pygls does; what it cannot read is refused by its id, for a client waits for every answer."""
        try:
            return super().structure_message(data)
        except JsonRpcException:
            request = data.get("id")
            if self._is_answered(request) and data.get("method") == types.INITIALIZE:
                # It holds more than we read. The client was told that we serve it, so without that.
                return super().structure_message(
                    data | {"params": {"processId": None, "rootUri": None, "capabilities": {}}}
                )
            if isinstance(request, int | str) and isinstance(data.get("method"), str):
                error = JsonRpcInvalidParams("the parameters are not those of the method")
                self._send_response(request, error=error.to_response_error())
            raise

    def _send_response(self, msg_id: Any, result: Any | None = None, error: Any | None = None) -> None:
        """As pygls does, but for what was answered before it came."""
        if self._is_answered(msg_id):
            self.opened = None
        else:
            super()._send_response(msg_id, result, error)

    def _is_answered(self, request: Any) -> bool:
        return self.opened is not None and self.opened.request == request

    @lsp_method(types.WORKSPACE_EXECUTE_COMMAND)
    async def lsp_workspace__execute_command(  # type: ignore[override]
        self, params: types.ExecuteCommandParams
    ) -> Any:
        """A coroutine, where pygls has a generator: `$/cancelRequest` reaches it at once."""
        handler = self.fm.commands.get(params.command)
        if handler is None:
            raise JsonRpcInvalidParams(f"there is no command {params.command!r}")
        return await handler(params)

    @lsp_method(types.TEXT_DOCUMENT_DID_OPEN)
    def lsp_text_document__did_open(self, params: types.DidOpenTextDocumentParams) -> None:
        self.buffers.opened(params.text_document)

    @lsp_method(types.TEXT_DOCUMENT_DID_CHANGE)
    def lsp_text_document__did_change(self, params: types.DidChangeTextDocumentParams) -> None:
        self.buffers.changed(params)

    @lsp_method(types.TEXT_DOCUMENT_DID_CLOSE)
    def lsp_text_document__did_close(self, params: types.DidCloseTextDocumentParams) -> None:
        self.buffers.closed(params.text_document.uri)
