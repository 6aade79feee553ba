"""Code actions, code lenses, hovers and symbols: what an editor asks for unasked. Nothing here runs the model."""

from collections.abc import Sequence
from typing import Any

from lsprotocol import types

from codemem.lsp import commands, markdown, requests
from codemem.lsp.greeting import ACTION_KIND
from codemem.lsp.workbench import Workbench

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


def code_actions(params: types.CodeActionParams) -> list[types.CodeAction]:
    """For diagnostics and selections; for a mere cursor only where the user asked for actions."""
    context = params.context
    actions = [_on_diagnostic(params, diagnostic) for diagnostic in context.diagnostics]
    if params.range.start != params.range.end or context.trigger_kind != types.CodeActionTriggerKind.Automatic:
        place = {"uri": params.text_document.uri, "range": _range(params.range)}
        question = {**place, "text": "Where and why was this decided?"}
        actions += [
            _action("Explain with the repository's memory", commands.EXPLAIN, place),
            _action("Find what else does this", commands.RELATED, place),
            _action("Where is this decided?", commands.ASK_SELECTION, question),
        ]
    return [action for action in actions if _wanted(action, context.only)]


def _on_diagnostic(params: types.CodeActionParams, diagnostic: types.Diagnostic) -> types.CodeAction:
    arguments = {
        "uri": params.text_document.uri,
        "range": _range(diagnostic.range),
        "diagnostic": diagnostic.message[: requests.MAX_TEXT],
    }
    title = "Explain this message with the repository's memory"
    action = _action(title, commands.EXPLAIN, arguments, types.CodeActionKind.QuickFix)
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
    return [_symbol(place) for place in await bench.symbols(query)]


def _symbol(symbol: dict[str, Any]) -> types.WorkspaceSymbol:
    span = types.Range(types.Position(symbol["start_line"] - 1, 0), types.Position(symbol["end_line"], 0))
    return types.WorkspaceSymbol(
        location=types.Location(markdown.file_uri(symbol["repository"], symbol["path"]), span),
        name=symbol["name"],
        kind=_KINDS.get(symbol["kind"], types.SymbolKind.Variable),
        container_name=symbol["scope"] or symbol["path"],
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
    return [lens for symbol in await bench.definitions(uri) for lens in _lenses(uri, symbol["start_line"])]


def _lenses(uri: str, line: int) -> list[types.CodeLens]:
    place = types.Position(line - 1, 0)
    span = types.Range(place, place)
    arguments = [{"uri": uri, "range": _range(span)}]
    return [
        types.CodeLens(span, command=types.Command(title, command, arguments=arguments))
        for title, command in (("explain", commands.EXPLAIN), ("related", commands.RELATED))
    ]
