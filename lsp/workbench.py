"""What the commands do: questions to the backend, and their outcome for the client."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams
from pygls.lsp.server import LanguageServer

from codemem.errors import CodememError
from codemem.lsp import markdown
from codemem.lsp.backend import Backend
from codemem.lsp.buffers import Buffer, Buffers, file_of
from codemem.lsp.delivery import Delivery, Documents
from codemem.lsp.options import Options
from codemem.lsp.protocol import RequestFailed
from codemem.lsp.requests import Request, nothing_asked

SELECTION_LINES = 12
"""Of a selection's text in a question: what it names is found by, the whole is read from the memory."""
FIND_SECONDS = 0.5
"""For bringing the memory up to date before `find`; the rest is done behind."""
PURPOSES = ("ask", "find", "outline")


class Workbench:
    """One editor's view of the backend. Methods are called in the loop and never block it."""

    def __init__(self, server: LanguageServer, backend: Backend, buffers: Buffers, options: Options) -> None:
        self._server = server
        self._backend = backend
        self.buffers = buffers
        self.options = options
        self.documents = Documents(server)
        self.folders: Sequence[Path] = ()
        self.explained: dict[tuple[str, str], dict[str, Any]] = {}
        """Explanations by URI and what was explained, for hover."""
        self._loading = False
        self._catching_up = False

    def close(self) -> None:
        self.documents.close()
        self._backend.close()

    async def warm(self) -> None:
        """Loads the model, behind. What is wrong shows when something is asked."""
        self._loading = True
        try:
            with contextlib.suppress(CodememError):
                await self._backend.request("warm", {"paths": [*map(str, self.folders)], **self._model()})
        finally:
            self._loading = False

    async def keep_up(self) -> None:
        """Takes into memory what was saved, behind, for what each folder was indexed for; shows it if it takes long."""
        if self._catching_up:
            return
        self._catching_up = True
        delivery = Delivery(self._server, self.options, "codemem: indexing")
        try:
            for folder in self.folders:
                with contextlib.suppress(CodememError):
                    await self._backend.request("index", {"path": str(folder), "refresh": True}, delivery.indexing)
        finally:
            self._catching_up = False
            delivery.end()

    def target(self, uri: str | None = None) -> dict[str, Any]:
        """The workspace's folders with what is not saved yet; without folders, that of the file asked about."""
        folders = list(self.folders)
        path = file_of(uri) if uri else None
        if not folders and path is not None:
            folders = [path.parent]
        if not folders:
            raise RequestFailed("no folder is open")
        buffers = {str(path): text for path, text in self.buffers.unsaved().items()}
        return {"paths": [*map(str, folders)], "buffers": buffers, **self._model()}

    def _model(self) -> dict[str, str]:
        return {"model": self.options.model} if self.options.model else {}

    async def ask(self, request: Request, question: str, token: types.ProgressToken | None) -> dict[str, Any]:
        """{"markdown", "document", "result"}: the answer, the URI it was opened under, and `ask`'s JSON."""
        delivery = Delivery(self._server, self.options, "codemem", request.id or str(uuid4()))
        target = self.target(request.uri)
        await delivery.begin(token)
        documents = self.options.answers == "document"
        uri = None
        if documents and self.documents.grow:
            uri = await self.documents.show(markdown.growing_document(question, "finding what to read", ""))

        def hear(kind: str, about: dict[str, Any]) -> None:
            doing = ""
            if kind == "round":
                doing = delivery.round(about["number"], about["named"])
            elif kind == "piece":
                delivery.piece(about["text"])
            if uri is not None:
                self.documents.grown(uri, markdown.growing_document(question, doing, delivery.text))

        if self._loading:
            delivery.report("loading the model")
        outcome = "stopped"
        try:
            work = self._backend.request("ask", {**target, "question": question}, hear)
            result: dict[str, Any] = await delivery.outcome(work)
            outcome = "done"
        finally:
            delivery.end(outcome)
        result.pop("cited_texts", None)
        text = markdown.answer_document(result)
        if uri is not None:
            self.documents.grown(uri, text)
        elif documents:
            uri = await self.documents.show(text)
        return {"markdown": text, "document": uri, "result": result}

    async def ask_selection(self, request: Request, token: types.ProgressToken | None) -> dict[str, Any]:
        """A question about what is selected, or explains it if there is no question."""
        if not request.text:
            return await self.explain(request, token)
        subject, _ = await self._subject(request)
        return await self.ask(request, f"{request.text}\n\nThis is about {subject}", token)

    async def explain(self, request: Request, token: types.ProgressToken | None) -> dict[str, Any]:
        """What a selection, the definition at the cursor, or a diagnostic there means in this repository."""
        subject, name = await self._subject(request)
        if request.diagnostic:
            question = (
                f"What does this message mean here, and what causes it: {request.diagnostic}\n\nIt is about {subject}"
            )
        else:
            question = f"What does it do, why, and what uses it: {subject}"
        answered = await self.ask(request, question, token)
        if answered["result"]["found"] and name:
            self.explained[request.place()[0], name] = answered["result"]
        return answered

    async def related(self, request: Request) -> dict[str, Any]:
        """Places elsewhere that a selection or the definition at the cursor has to do with."""
        uri, span = request.place()
        subject, _ = await self._subject(request)
        count = request.count or self.options.results
        result = await self._find(uri, subject, count + 3)
        path = file_of(uri)
        others = [place for place in result["results"] if not _covers(place, path, span)][:count]
        return await self._found("Related places", {**result, "results": others})

    async def find(self, request: Request) -> dict[str, Any]:
        """{"markdown", "document", "result", "locations"} for a query."""
        if not request.text:
            raise nothing_asked()
        result = await self._find(request.uri, request.text, request.count or self.options.results)
        return await self._found(request.text, result)

    async def _find(self, uri: str | None, query: str, count: int) -> dict[str, Any]:
        """Never waits for a model that is loading: the outline answers then, and says so."""
        how = {"query": query, "k": count, "catch_up": FIND_SECONDS, "at_once": True}
        result: dict[str, Any] = await self._backend.request("find", {**self.target(uri), **how})
        return result

    async def _found(self, title: str, result: dict[str, Any]) -> dict[str, Any]:
        text = markdown.places_document(title, result)
        locations = [location(place) for place in result["results"]]
        uri = await self.documents.show(text) if self.options.answers == "document" else None
        return {"markdown": text, "document": uri, "result": result, "locations": locations}

    async def reindex(self, request: Request, token: types.ProgressToken | None) -> dict[str, Any]:
        """{"markdown", "results"}: indexes the folders of the workspace, with progress."""
        if request.purpose is not None and request.purpose not in PURPOSES:
            raise JsonRpcInvalidParams(f"'purpose' must be one of {', '.join(PURPOSES)}")
        how = {"purpose": request.purpose, "whole": True, **self._model()}
        delivery = Delivery(self._server, self.options, "codemem: indexing")
        folders = self.target(request.uri)["paths"]
        await delivery.begin(token)
        outcome = "stopped"
        try:
            results = [
                await delivery.outcome(self._backend.request("index", {"path": folder, **how}, delivery.indexing))
                for folder in folders
            ]
            outcome = "done"
        finally:
            delivery.end(outcome)
        lines = [
            f"- `{done['path']}`: {done['documents']:,} documents, {done['encoded']:,} encoded" for done in results
        ]
        return {"markdown": "\n".join(["# Indexed", "", *lines, ""]), "results": results}

    async def status(self) -> dict[str, Any]:
        """{"markdown", "results", "model", "daemon"}: what is indexed, which models are loaded and where."""
        told = await self._backend.request("trees", {"paths": self.target()["paths"]})
        loaded = ", ".join(told["models"])
        model = "loading" if self._loading and not loaded else loaded or "none loaded"
        where = "in the daemon" if self._backend.in_daemon else "in this server"
        text = markdown.status_document(told["trees"], f"{model}, {where}")
        return {"markdown": text, "results": told["trees"], "model": model, "daemon": self._backend.in_daemon}

    async def symbols(self, query: str) -> list[dict[str, Any]]:
        """Definitions by name, as the trees and buffers have them now."""
        found: list[dict[str, Any]] = await self._backend.request("symbols", {**self.target(), **_text("query", query)})
        return found

    async def definitions(self, uri: str) -> list[dict[str, Any]]:
        """Definitions of an open document, unsaved text included."""
        buffer = self.buffers.get(uri)
        if buffer is None or buffer.path is None or not buffer.text.strip():
            return []
        what = {"name": buffer.path.name, "text": buffer.text}
        found: list[dict[str, Any]] = await self._backend.request("definitions", what)
        return found

    async def symbol_at(self, uri: str, place: types.Position) -> str | None:
        """The qualified name of the definition around a position, as the tree has it now."""
        path = file_of(uri)
        if path is None:
            return None
        found = await self._backend.request(
            "definition", {**self.target(uri), "file": str(path), "line": place.line + 1}
        )
        return found["qualified_name"] if found else None

    async def _subject(self, request: Request) -> tuple[str, str | None]:
        """`Cache.lookup` in src/cache.py, lines 4-5, with the first lines of what is selected; and that name."""
        uri, span = request.place()
        path = file_of(uri)
        if path is None:
            raise RequestFailed("only files can be asked about")
        name = await self.symbol_at(uri, span.start)
        buffer = self.buffers.get(uri) or await asyncio.to_thread(_from_disk, uri, path)
        selected = buffer.text_of(span, self.buffers.encoding) if buffer else ""
        first, last = span.start.line + 1, span.end.line + 1
        lines = f"line {first}" if first == last else f"lines {first}-{last}"
        where = f"{self._relative(path)}, {lines}"
        subject = f"`{name}` in {where}" if name else where
        shown = "\n".join(selected.strip("\r\n").splitlines()[:SELECTION_LINES])
        return (f"{subject}:\n{shown}" if shown.strip() else subject), name

    def _relative(self, path: Path) -> str:
        for folder in self.folders:
            if path.is_relative_to(folder):
                return path.relative_to(folder).as_posix()
        return path.name


def location(place: Mapping[str, Any]) -> dict[str, Any]:
    """As LSP writes a place: whole lines, counted from 0, the end excluded."""
    return {
        "uri": markdown.file_uri(place["repository"], place["path"]),
        "range": {
            "start": {"line": place["start_line"] - 1, "character": 0},
            "end": {"line": place["end_line"], "character": 0},
        },
    }


def _covers(place: Mapping[str, Any], path: Path | None, span: types.Range) -> bool:
    """Whether a place is where the cursor is."""
    same = path is not None and Path(place["repository"], place["path"]) == path
    return same and place["start_line"] <= span.end.line + 1 and place["end_line"] >= span.start.line + 1


def _text(name: str, value: str) -> dict[str, str]:
    """A text that may be empty, which the backend takes for none."""
    return {name: value} if value.strip() else {}


def _from_disk(uri: str, path: Path) -> Buffer | None:
    """A file that the editor has not opened."""
    try:
        return Buffer(uri, path.read_bytes().decode("utf-8", "replace"), 0)
    except OSError:
        return None
