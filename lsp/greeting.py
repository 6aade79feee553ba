"""What the server answers to `initialize`, from plain JSON: importing LSP's types takes longer than an editor may wait.

Nothing here or imported here may be heavy. A test holds the answer against LSP's types and the handlers that there are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from codemem import __version__
from codemem.lsp.commands import COMMANDS
from codemem.lsp.options import Options, read_options

Encoding = Literal["utf-8", "utf-16", "utf-32"]
ENCODINGS = ("utf-8", "utf-16", "utf-32")
ACTION_KIND = "codemem"
"""Our own kind: editors list such actions apart from fixes and refactorings."""
SCHEME = "codemem"
"""Of answers as documents, where the client fetches such documents from us."""
_INCREMENTAL = 2
"""TextDocumentSyncKind.Incremental"""


@dataclass(frozen=True, slots=True)
class Greeting:
    """One client's beginning."""

    result: dict[str, Any]
    """InitializeResult"""
    encoding: Encoding
    options: Options
    began_with: Mapping[str, Any]
    """The client's initializationOptions."""
    problems: list[str]
    """A line for each option that was not understood."""


def greet(params: Mapping[str, Any]) -> Greeting:
    """The answer to a client's InitializeParams, whatever they hold."""
    raw = params.get("initializationOptions")
    options, problems = read_options(raw)
    client = params.get("capabilities")
    encoding = _encoding(client)
    capabilities = {
        "positionEncoding": encoding,
        "textDocumentSync": {"openClose": True, "change": _INCREMENTAL, "save": {"includeText": False}},
        "executeCommandProvider": {"commands": list(COMMANDS), "workDoneProgress": True},
        "workspaceSymbolProvider": True,
        "workspace": _workspace(client),
        **{provider: value for provider, (method, value) in offered(options).items() if not dynamic(client, method)},
    }
    result = {"capabilities": capabilities, "serverInfo": {"name": "codemem", "version": __version__}}
    return Greeting(result, encoding, options, raw if isinstance(raw, dict) else {}, problems)


def offered(options: Options) -> dict[str, tuple[str, Any]]:
    """What the options turn on: capability -> (method, its value). No more is claimed: another server may serve it."""
    found: dict[str, tuple[str, Any]] = {}
    if options.code_actions:
        found["codeActionProvider"] = ("textDocument/codeAction", {"codeActionKinds": [ACTION_KIND, "quickfix"]})
    if options.code_lens:
        found["codeLensProvider"] = ("textDocument/codeLens", {})
    if options.hover:
        found["hoverProvider"] = ("textDocument/hover", {})
    return found


def dynamic(client: Any, method: str) -> bool:
    """Whether the client lets us register a method of documents later, and withdraw it."""
    return at(client, "textDocument", method.removeprefix("textDocument/"), "dynamicRegistration") is True


def at(value: Any, *keys: str) -> Any:
    """What lies below the keys; None if there is nothing, or something else on the way."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _encoding(client: Any) -> Encoding:
    """The first of the client's that we have; LSP's default if it names none."""
    wanted = at(client, "general", "positionEncodings")
    known = [name for name in wanted if name in ENCODINGS] if isinstance(wanted, list) else []
    return cast(Encoding, known[0]) if known else "utf-16"


def _workspace(client: Any) -> dict[str, Any]:
    files = {"filters": [{"scheme": "file", "pattern": {"glob": "**/*"}}]}
    workspace: dict[str, Any] = {
        "workspaceFolders": {"supported": True, "changeNotifications": True},
        "fileOperations": {"didCreate": files, "didRename": files, "didDelete": files},
    }
    if serves_documents(client):
        workspace["textDocumentContent"] = {"schemes": [SCHEME]}
    return workspace


def serves_documents(client: Any) -> bool:
    """Whether the client fetches documents of a scheme of ours (LSP 3.18)."""
    return isinstance(at(client, "workspace", "textDocumentContent"), Mapping)
