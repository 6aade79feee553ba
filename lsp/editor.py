"""Code actions, code lenses, hovers and symbols: what an editor asks for unasked. Nothing here runs the model."""

import asyncio
from collections.abc import Sequence
from typing import Any

from lsprotocol import types

from codemem.indexer import Symbol, read_file
from codemem.indexer.document import SourceFile
from codemem.lsp import markdown, requests
from codemem.lsp.workbench import Workbench
from codemem.symbols import SymbolPlace, matching

SYMBOL_LIMIT = 100
_KINDS = {
    "module": types.SymbolKind.Module,
    "class": types.SymbolKind.Class,
    "interface": types.SymbolKind.Interface,
    "struct": types.SymbolKind.Struct,
    "enum": types.SymbolKind.Enum,
    "trait": types.SymbolKind.Interface,
    "type": types.SymbolKind.Class,
    "function": types.SymbolKind.Function,
    "method": types.SymbolKind.Method,
    "constructor": types.SymbolKind.Constructor,
    "constant": types.SymbolKind.Constant,
    "variable": types.SymbolKind.Variable,
    "property": types.SymbolKind.Property,
    "macro": types.SymbolKind.Function,
    "section": types.SymbolKind.String,
}
ACTION_KIND = "codemem"
"""Our own kind: editors list such actions apart from fixes and refactorings."""


def code_actions(params: types.CodeActionParams) -> list[types.CodeAction]:
    """For diagnostics and selections; for a mere cursor only where the user asked for actions."""
    context = params.context
    actions = [_on_diagnostic(params, diagnostic) for diagnostic in context.diagnostics]
    if params.range.start != params.range.end or context.trigger_kind != types.CodeActionTriggerKind.Automatic:
        place = {"uri": params.text_document.uri, "range": _range(params.range)}
        question = {**place, "text": "Where and why was this decided?"}
        actions += [
            _action("Explain with the repository's memory", requests.EXPLAIN, place),
            _action("Find what is related to this", requests.RELATED, place),
            _action("Where is this decided?", requests.ASK_SELECTION, question),
        ]
    return [action for action in actions if _wanted(action, context.only)]


def _on_diagnostic(params: types.CodeActionParams, diagnostic: types.Diagnostic) -> types.CodeAction:
    arguments = {
        "uri": params.text_document.uri,
        "range": _range(diagnostic.range),
        "diagnostic": diagnostic.message[: requests.MAX_TEXT],
    }
    title = "Explain this message with the repository's memory"
    action = _action(title, requests.EXPLAIN, arguments, types.CodeActionKind.QuickFix)
    action.diagnostics = [diagnostic]
    return action


def _action(title: str, command: str, arguments: dict[str, Any], kind: str = ACTION_KIND) -> types.CodeAction:
    return types.CodeAction(title, kind=kind, command=types.Command(title, command, arguments=[arguments]))


def _wanted(action: types.CodeAction, only: Sequence[types.CodeActionKind | str] | None) -> bool:
    """Kinds are paths: 'a' asks for 'a.b' too."""
    kind = _text(action.kind or "")
    return only is None or any(wanted == "" or f"{kind}.".startswith(f"{wanted}.") for wanted in map(_text, only))


def _text(kind: types.CodeActionKind | str) -> str:
    """Kinds that LSP knows come as members of an enumeration, others as text."""
    return kind.value if isinstance(kind, types.CodeActionKind) else kind


def _range(span: types.Range) -> dict[str, Any]:
    start, end = span.start, span.end
    return {
        "start": {"line": start.line, "character": start.character},
        "end": {"line": end.line, "character": end.character},
    }


async def workspace_symbols(bench: Workbench, query: str) -> list[types.WorkspaceSymbol]:
    """Names alone: editors filter again by the letters typed, and would hide anything else."""
    target = bench.target()
    places = await asyncio.wrap_future(bench.service.read(target, lambda trees: matching(trees, query, SYMBOL_LIMIT)))
    return [_symbol(place) for place in places]


def _symbol(place: SymbolPlace) -> types.WorkspaceSymbol:
    symbol = place.symbol
    span = types.Range(types.Position(symbol.start_line - 1, 0), types.Position(symbol.end_line, 0))
    return types.WorkspaceSymbol(
        location=types.Location(markdown.file_uri(place.repository, place.path), span),
        name=symbol.name,
        kind=_KINDS.get(symbol.kind, types.SymbolKind.Variable),
        container_name=symbol.scope or place.path,
    )


async def hover(bench: Workbench, params: types.HoverParams) -> types.Hover | None:
    """An explanation that was asked for before."""
    uri = params.text_document.uri
    if not any(known == uri for known, _ in bench.explained):
        return None
    name = await bench.symbol_at(uri, params.position)
    answer = bench.explained.get((uri, name)) if name else None
    if answer is None:
        return None
    text = markdown.answer_document(answer)
    return types.Hover(types.MarkupContent(types.MarkupKind.Markdown, text))


async def code_lenses(bench: Workbench, uri: str) -> list[types.CodeLens]:
    """Two above every definition of the buffer, unsaved text included."""
    buffer = bench.buffers.get(uri)
    if buffer is None or buffer.path is None:
        return []
    name, data = buffer.path.name, buffer.data

    def definitions() -> Sequence[Symbol]:
        read = read_file(name, data)
        return read.symbols if isinstance(read, SourceFile) else ()

    symbols = await asyncio.wrap_future(bench.service.aside(definitions))
    return [lens for symbol in symbols for lens in _lenses(uri, symbol)]


def _lenses(uri: str, symbol: Symbol) -> list[types.CodeLens]:
    place = types.Position(symbol.start_line - 1, 0)
    span = types.Range(place, place)
    arguments = [{"uri": uri, "range": _range(span)}]
    return [
        types.CodeLens(span, command=types.Command(title, command, arguments=arguments))
        for title, command in (("explain", requests.EXPLAIN), ("related", requests.RELATED))
    ]
