"""pygls' protocol with four differences: commands can be cancelled while they run, a request that cannot be understood
is answered, errors tell no code, and open documents are kept by `Buffers`."""

from typing import Any

from cattrs import Converter
from lsprotocol import types
from pygls.exceptions import JsonRpcException, JsonRpcInvalidParams
from pygls.lsp.server import LanguageServer
from pygls.protocol import LanguageServerProtocol, lsp_method

from codemem.lsp.buffers import Buffers


class RequestFailed(JsonRpcException):
    """Could not be done, for a reason that the message names."""

    CODE = int(types.LSPErrorCodes.RequestFailed)
    MESSAGE = "Request Failed"


class CodememProtocol(LanguageServerProtocol):
    """Handles messages for the language server."""

    def __init__(self, server: LanguageServer, converter: Converter) -> None:
        self.buffers = Buffers()
        super().__init__(server, converter)

    def structure_message(self, data: dict[str, Any]) -> Any:
        """As pygls does; what it cannot read is refused by its id, for a client waits for every answer."""
        try:
            return super().structure_message(data)
        except JsonRpcException:
            request = data.get("id")
            if isinstance(request, int | str) and isinstance(data.get("method"), str):
                error = JsonRpcInvalidParams("the parameters are not those of the method")
                self._send_response(request, error=error.to_response_error())
            raise

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
