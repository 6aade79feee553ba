"""What a daemon can be asked: `find`, `ask`, `index`, `status`, and what editors look at besides."""

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from codemem import __version__
from codemem.ask import Piece, RoundDone, ask
from codemem.background import refresh
from codemem.config import Settings
from codemem.daemon import views
from codemem.daemon.address import PROTOCOL
from codemem.daemon.gate import ASK, FIND, INDEX, Gate, GatedEngine, Tokens
from codemem.daemon.lane import Lane
from codemem.daemon.params import Params
from codemem.daemon.protocol import INVALID_PARAMS, UNKNOWN_METHOD, ProtocolError
from codemem.daemon.sessions import WarmSessions
from codemem.engine_interface import MemoryEngine
from codemem.engines import LoadEngine, common_model
from codemem.find import find
from codemem.index import PURPOSES, IndexOptions, index
from codemem.passages import FileChangedError, Lines
from codemem.progress import Progress
from codemem.results import AskResult
from codemem.search import Session, Target
from codemem.workspace import open_workspace

CITED_LINES = 12
"""Of each citation's text, as the command line shows them."""
Emit = Callable[[str, dict[str, Any]], None]
"""Sends a notification to whoever asked."""
CLOSE_SECONDS = 5.0
"""How long work that runs may take to reach its next step when the daemon ends."""


def _to_nobody(_: str, __: dict[str, Any]) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Call:
    """One request."""

    method: str
    params: Params
    emit: Emit = _to_nobody
    cancelled: threading.Event = field(default_factory=threading.Event)


class Methods:
    """Three threads over one model, each with what it has opened: queries, answers, indexing, in this urgency."""

    def __init__(self, settings: Settings, load_engine: LoadEngine) -> None:
        self._settings, self._load_engine = settings, load_engine
        self._gate, self._loading = Gate(), threading.Lock()
        self._engines: dict[str, MemoryEngine] = {}
        self._tokens: dict[str, Tokens] = {}
        self._finds, self._asks, self._indexing = Lane("find", FIND), Lane("ask", ASK), Lane("index", INDEX)
        self._find_sessions = WarmSessions(settings, self._loader(self._finds), answering=False)
        self._ask_sessions = WarmSessions(settings, self._loader(self._asks), answering=True)
        self._lock = threading.Lock()
        self._refreshing: set[Path] = set()
        self._roots: set[str] = set()
        self._warming = 0
        self._started = time.monotonic()
        self._running = 0
        self.served = 0
        """Pieces of work begun so far."""

    @property
    def idle(self) -> bool:
        """Whether nothing runs or waits, in the background neither."""
        with self._lock:
            return self._running == 0

    def submit(self, call: Call) -> "Future[Any]":
        """Starts what was asked; the future holds the result as JSON. Raises ProtocolError."""
        handlers: dict[str, tuple[Lane, Callable[[Call], Callable[[], Any]]]] = {
            "find": (self._finds, self._find),
            "ask": (self._asks, self._ask),
            "index": (self._indexing, self._index),
            "warm": (self._asks, self._warm),
            "trees": (self._finds, self._trees),
            "symbols": (self._finds, self._symbols),
            "definition": (self._finds, self._definition),
            "definitions": (self._finds, self._definitions),
        }
        if call.method not in handlers:
            raise ProtocolError(UNKNOWN_METHOD, f"there is no method {call.method!r}")
        lane, prepare = handlers[call.method]
        return self._start(lane, prepare(call), call.cancelled)

    def status(self) -> dict[str, Any]:
        """For `codemem serve status`; answered at once, whatever runs."""
        with self._lock:
            return {
                "version": __version__,
                "protocol": PROTOCOL,
                "pid": os.getpid(),
                "seconds": round(time.monotonic() - self._started, 1),
                "models": sorted(self._engines),
                "repositories": sorted(self._roots),
                "running": self._running,
                "waiting": self._gate.waiting,
                "indexing": sorted(map(str, self._refreshing)),
            }

    def close(self) -> None:
        """Stops at the next step. What was encoded is kept."""
        for lane, sessions in ((self._finds, self._find_sessions), (self._asks, self._ask_sessions)):
            lane.submit(sessions.close, threading.Event())
            lane.close(CLOSE_SECONDS)
        self._indexing.close(CLOSE_SECONDS)

    def _start(self, lane: Lane, work: Callable[[], Any], cancelled: threading.Event) -> "Future[Any]":
        with self._lock:
            self._running += 1
            self.served += 1
        future = lane.submit(work, cancelled)
        future.add_done_callback(self._ended)
        return future

    def _ended(self, _: "Future[Any]") -> None:
        with self._lock:
            self._running -= 1

    def _loader(self, lane: Lane) -> LoadEngine:
        """Models as one lane sees them; each is loaded once."""

        def load(name: str) -> MemoryEngine:
            with self._loading:
                if name not in self._engines:
                    self._engines[name] = self._load_engine(name)
                engine = self._engines[name]
            return GatedEngine(engine, self._gate, lane.urgency, lane.check, self._tokens.setdefault(name, Tokens()))

        return load

    def _find(self, call: Call) -> Callable[[], Any]:
        params = call.params
        target = Target(
            params.paths("paths"),
            buffers=params.buffers("buffers"),
            model=params.optional_text("model"),
            router=params.router(),
            seconds=params.seconds("catch_up"),
        )
        query, k, at_once = params.text("query"), params.count("k"), params.flag("at_once")

        def work() -> Any:
            started = time.monotonic()
            waits = at_once and self._warming > 0 and not self._engines
            session = self._find_sessions.open(replace(target, router="outline") if waits else target)
            if waits:
                session.notes.append("answered by the outline alone: the model is loading")
            result = find(session, query, k=k or session.config.results)
            self._catch_up_later(session)
            # With the look at the files: all that is left to the client is its own start.
            return result.to_json() | {"took_ms": round((time.monotonic() - started) * 1000, 2)}

        return work

    def _ask(self, call: Call) -> Callable[[], Any]:
        params = call.params
        question, max_tokens = params.text("question"), params.count("max_tokens")
        target = Target(
            params.paths("paths"),
            buffers=params.buffers("buffers"),
            model=params.optional_text("model"),
            question=question,
            seconds=params.seconds("catch_up"),
        )

        def work() -> Any:
            session = self._ask_sessions.open(target)
            self._asks.check()
            config = replace(session.config, max_tokens=max_tokens or session.config.max_tokens)
            for event in ask(session, question, config, cancelled=call.cancelled.is_set):
                self._asks.check()
                if isinstance(event, RoundDone):
                    call.emit("round", {"number": event.number, **event.details})
                elif isinstance(event, Piece):
                    call.emit("piece", {"text": event.text})
                elif isinstance(event, AskResult):
                    self._catch_up_later(session)
                    return event.to_json() | {"cited_texts": _cited_texts(session, event)}
            raise AssertionError("an engine ends with an answer")

        return work

    def _index(self, call: Call) -> Callable[[], Any]:
        params = call.params
        path, whole = params.path("path"), params.flag("whole")
        purpose, model = params.optional_text("purpose"), params.optional_text("model")
        if purpose is not None and purpose not in PURPOSES:
            raise ProtocolError(INVALID_PARAMS, f"purpose must be one of {', '.join(PURPOSES)}")
        options = IndexOptions(purpose, model, params.flag("upgrade"))
        again, load = params.flag("refresh"), self._loader(self._indexing)

        def report(moment: Progress) -> None:
            self._indexing.check()
            shown = {"phase": moment.phase, "done": moment.done, "total": moment.total, "unit": moment.unit}
            call.emit("progress", shown | {"rate": moment.rate})

        def work() -> Any:
            if again:
                refreshed = refresh(path, self._settings, load, report=report)
                return refreshed.to_json() if refreshed else None
            with open_workspace(path, self._settings, whole=whole) as workspace:
                return index(workspace, self._settings, load, options, report=report).to_json()

        return work

    def _warm(self, call: Call) -> Callable[[], Any]:
        """Loads the model of the trees' memory, if they have one, so that the first question need not wait for it."""
        paths, chosen = call.params.paths("paths"), call.params.optional_text("model")
        with self._lock:
            self._warming += 1

        def work() -> Any:
            try:
                manifests = []
                for path in paths:
                    with open_workspace(path, self._settings, whole=True) as workspace:
                        manifests.append(workspace.load())
                name = common_model([manifest for manifest in manifests if manifest], chosen)
                if name is not None:
                    self._loader(self._asks)(name)
                return {"model": name}
            finally:
                with self._lock:
                    self._warming -= 1

        return work

    def _trees(self, call: Call) -> Callable[[], Any]:
        paths = call.params.paths("paths")
        return lambda: {"trees": views.trees(paths, self._settings), "models": sorted(self._engines)}

    def _symbols(self, call: Call) -> Callable[[], Any]:
        target, query = self._outlined(call.params), call.params.optional_text("query") or ""
        limit = call.params.count("k") or 100
        return lambda: views.symbols(self._find_sessions.open(target), query, limit)

    def _definition(self, call: Call) -> Callable[[], Any]:
        target, file = self._outlined(call.params), call.params.path("file")
        line = call.params.line("line")
        return lambda: views.definition(self._find_sessions.open(target), file, line)

    def _definitions(self, call: Call) -> Callable[[], Any]:
        name, text = call.params.text("name"), call.params.text("text")
        return lambda: views.definitions(name, text)

    @staticmethod
    def _outlined(params: Params) -> Target:
        return Target(params.paths("paths"), buffers=params.buffers("buffers"), router="outline")

    def _catch_up_later(self, session: Session) -> None:
        """Has what is behind brought up to date once nothing more urgent is to be done; once a tree at a time."""
        roots = {snapshot.workspace.root for snapshot in session.snapshots}
        with self._lock:
            self._roots.update(map(str, roots))
            new = roots - self._refreshing if session.behind else set()
            self._refreshing |= new
        for root in new:
            self._start(self._indexing, self._refresh(root), threading.Event())

    def _refresh(self, root: Path) -> Callable[[], None]:
        def work() -> None:
            try:
                refresh(root, self._settings, self._loader(self._indexing), report=lambda _: self._indexing.check())
            finally:
                with self._lock:
                    self._refreshing.discard(root)

        return work


def _cited_texts(session: Session, answered: AskResult) -> list[str | None]:
    """The first lines of each citation; None where the file changed since it was checked, a moment ago."""
    passages = {snapshot.workspace.name: snapshot.passages for snapshot in session.snapshots}
    texts: list[str | None] = []
    for cited in answered.citations:
        lines = Lines(cited.start_line, min(cited.end_line, cited.start_line + CITED_LINES - 1))
        try:
            texts.append(passages[cited.repository].lines(cited.path, lines))
        except FileChangedError:
            texts.append(None)
    return texts
