"""What the commands do: questions to the service, and their outcome for the client."""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams
from pygls.lsp.server import LanguageServer

from codemem.ask import AskEvent, Piece, RoundDone
from codemem.index import PURPOSES, IndexOptions
from codemem.lsp import markdown
from codemem.lsp.buffers import Buffer, Buffers, file_of
from codemem.lsp.delivery import Delivery, Documents
from codemem.lsp.options import Options
from codemem.lsp.protocol import RequestFailed
from codemem.lsp.requests import Request, nothing_asked
from codemem.progress import Progress
from codemem.results import AskResult, FindResult, FoundPlace
from codemem.search import Target
from codemem.service import Service
from codemem.symbols import at_line

SELECTION_LINES = 12
"""Of a selection's text in a question: what it names is found by, the whole is read from the memory."""


class Workbench:
    """One editor's view of the service. Methods are called in the loop and never block it."""

    def __init__(self, server: LanguageServer, service: Service, buffers: Buffers, options: Options) -> None:
        self._server = server
        self.service = service
        self.buffers = buffers
        self.options = options
        self._documents = Documents()
        self.folders: Sequence[Path] = ()
        self.explained: dict[tuple[str, str], AskResult] = {}
        """Explanations by URI and what was explained, for hover."""

    def close(self) -> bool:
        """Whether everything stopped in time."""
        self._documents.close()
        return self.service.close()

    def keep_up(self) -> None:
        """Loads the model and takes into memory what was saved, behind. What is wrong shows when something is asked."""
        self.service.keep_up(Target(list(self.folders), model=self.options.model or None))

    def target(self, uri: str | None = None) -> Target:
        """The workspace's folders with what is not saved yet; without folders, that of the file asked about."""
        folders = list(self.folders)
        path = file_of(uri) if uri else None
        if not folders and path is not None:
            folders = [path.parent]
        if not folders:
            raise RequestFailed("no folder is open")
        return Target(folders, buffers=self.buffers.unsaved(), model=self.options.model or None)

    async def ask(self, request: Request, question: str, token: types.ProgressToken | None) -> dict[str, Any]:
        """{"markdown", "document", "result"}: the answer, the URI it was opened under, and `ask`'s JSON."""
        result = await self._answer(request, question, token)
        text = markdown.answer_document(result)
        return {"markdown": text, "document": await self._show(text), "result": result.to_json()}

    async def _answer(self, request: Request, question: str, token: types.ProgressToken | None) -> AskResult:
        delivery = Delivery(self._server, self.options, "codemem", request.id)
        stopped = threading.Event()
        loop = asyncio.get_running_loop()

        def forward(event: AskEvent) -> None:
            loop.call_soon_threadsafe(show, event)

        def show(event: AskEvent) -> None:
            if stopped.is_set():
                return
            if isinstance(event, RoundDone):
                delivery.round(event.number, list(event.named))
            elif isinstance(event, Piece):
                delivery.piece(event.text)

        target = self.target(request.uri)
        await delivery.begin(token)
        if (reason := self.waiting()) is not None:
            delivery.report(reason)
        outcome = "stopped"
        try:
            result = await delivery.outcome(
                self.service.ask(target, question, forward, cancelled=stopped.is_set), stopped.set
            )
            outcome = "done"
            return result
        finally:
            stopped.set()
            delivery.end(outcome)

    def waiting(self) -> str | None:
        """Why an answer will take longer than usual."""
        model = self.service.model
        if model.state in ("none", "loading"):
            return "loading the model"
        return "waiting for the model" if self.service.busy else None

    async def ask_selection(self, request: Request, token: types.ProgressToken | None) -> dict[str, Any]:
        """A question about what is selected, or explains it if there is no question."""
        if not request.text:
            return await self.explain(request, token)
        subject = await self._subject(request)
        return await self.ask(request, f"{request.text}\n\nThis is about {subject}", token)

    async def explain(self, request: Request, token: types.ProgressToken | None) -> dict[str, Any]:
        """What a selection, the definition at the cursor, or a diagnostic there means in this repository."""
        subject = await self._subject(request)
        if request.diagnostic:
            question = (
                f"What does this message mean here, and what causes it: {request.diagnostic}\n\nIt is about {subject}"
            )
        else:
            question = f"What does it do, why, and what uses it: {subject}"
        answer = await self._answer(request, question, token)
        uri, span = request.place()
        name = await self.symbol_at(uri, span.start)
        if answer.found and name:
            self.explained[uri, name] = answer
        text = markdown.answer_document(answer)
        return {"markdown": text, "document": await self._show(text), "result": answer.to_json()}

    async def related(self, request: Request) -> dict[str, Any]:
        """Places elsewhere that a selection or the definition at the cursor has to do with."""
        uri, span = request.place()
        subject = await self._subject(request)
        count = request.count or self.options.results
        result = await self._find(uri, subject, count + 3)
        path = file_of(uri)
        others = [place for place in result.results if not _covers(place, path, span)][:count]
        return await self._found("Related places", _with_results(result, others))

    async def find(self, request: Request) -> dict[str, Any]:
        """{"markdown", "document", "result", "locations"} for a query."""
        if not request.text:
            raise nothing_asked()
        result = await self._find(request.uri, request.text, request.count or self.options.results)
        return await self._found(request.text, result)

    async def _find(self, uri: str | None, query: str, count: int) -> FindResult:

        return await asyncio.wrap_future(self.service.find(self.target(uri), query, k=count))

    async def _found(self, title: str, result: FindResult) -> dict[str, Any]:
        text = markdown.places_document(title, result)
        locations = [location(place) for place in result.results]
        return {
            "markdown": text,
            "document": await self._show(text),
            "result": result.to_json(),
            "locations": locations,
        }

    async def reindex(self, request: Request, token: types.ProgressToken | None) -> dict[str, Any]:
        """{"markdown", "results"}: indexes the folders of the workspace, with progress."""
        if request.purpose is not None and request.purpose not in PURPOSES:
            raise JsonRpcInvalidParams(f"'purpose' must be one of {', '.join(PURPOSES)}")
        options = IndexOptions(request.purpose, self.options.model or None)
        delivery = Delivery(self._server, self.options, "codemem: indexing", request.id)
        stopped = threading.Event()
        loop = asyncio.get_running_loop()

        def watch(moment: Progress) -> None:
            share = round(100 * moment.done / moment.total) if moment.total else None
            message = f"{moment.phase}: {moment.done:,}/{moment.total:,} {moment.unit}"
            loop.call_soon_threadsafe(lambda: None if stopped.is_set() else delivery.report(message, share))

        folders = list(self.target(request.uri).paths)
        await delivery.begin(token)
        outcome = "stopped"
        try:
            results = [
                await delivery.outcome(
                    self.service.index(folder, options, report=watch, cancelled=stopped.is_set), stopped.set
                )
                for folder in folders
            ]
            outcome = "done"
        finally:
            stopped.set()
            self.service.forget()
            delivery.end(outcome)
        lines = [f"- `{result.path}`: {result.documents:,} documents, {result.encoded:,} encoded" for result in results]
        return {"markdown": "\n".join(["# Indexed", "", *lines, ""]), "results": [r.to_json() for r in results]}

    async def status(self) -> dict[str, Any]:
        """{"markdown", "results", "model"}"""

        results = [await asyncio.wrap_future(self.service.status(folder)) for folder in self.target().paths]
        model = self.service.model
        text = markdown.status_document(results, model)
        return {"markdown": text, "results": [result.to_json() for result in results], "model": asdict(model)}

    async def _show(self, text: str) -> str | None:
        return await self._documents.show(self._server, text) if self.options.answers == "document" else None

    async def symbol_at(self, uri: str, place: types.Position) -> str | None:
        """The qualified name of the definition around a position, as the tree has it now."""

        path = file_of(uri)
        if path is None:
            return None

        def look(snapshots: Sequence[Any]) -> str | None:
            for snapshot in snapshots:
                root = snapshot.workspace.root
                if path.is_relative_to(root):
                    symbol = at_line(snapshot, path.relative_to(root).as_posix(), place.line + 1)
                    return symbol.qualified_name if symbol else None
            return None

        return await asyncio.wrap_future(self.service.read(self.target(uri), look))

    async def _subject(self, request: Request) -> str:
        """`Cache.lookup` in src/cache.py, lines 4-5, with the first lines of what is selected."""
        uri, span = request.place()
        path = file_of(uri)
        if path is None:
            raise RequestFailed("only files can be asked about")
        name = await self.symbol_at(uri, span.start)
        buffer = self.buffers.get(uri) or _from_disk(uri, path)
        selected = buffer.text_of(span, self.buffers.encoding) if buffer else ""
        lines = (
            f"line {span.start.line + 1}"
            if span.start.line == span.end.line
            else (f"lines {span.start.line + 1}-{span.end.line + 1}")
        )
        shown = "\n".join(selected.strip("\r\n").splitlines()[:SELECTION_LINES])
        subject = f"`{name}` in {self._relative(path)}, {lines}" if name else f"{self._relative(path)}, {lines}"
        return f"{subject}:\n{shown}" if shown.strip() else subject

    def _relative(self, path: Path) -> str:
        for folder in self.folders:
            if path.is_relative_to(folder):
                return path.relative_to(folder).as_posix()
        return path.name


def location(place: FoundPlace) -> dict[str, Any]:
    """As LSP writes a place: whole lines, counted from 0, the end excluded."""
    return {
        "uri": markdown.file_uri(place.repository, place.path),
        "range": {
            "start": {"line": place.start_line - 1, "character": 0},
            "end": {"line": place.end_line, "character": 0},
        },
    }


def _covers(place: FoundPlace, path: Path | None, span: types.Range) -> bool:
    """Whether a place is where the cursor is."""
    same = path is not None and Path(place.repository, place.path) == path
    return same and place.start_line <= span.end.line + 1 and place.end_line >= span.start.line + 1


def _with_results(result: FindResult, places: Sequence[FoundPlace]) -> FindResult:
    return replace(result, results=list(places))


def _from_disk(uri: str, path: Path) -> Buffer | None:
    """A file that the editor has not opened."""
    try:
        return Buffer(uri, path.read_bytes().decode("utf-8", "replace"), 0)
    except OSError:
        return None
