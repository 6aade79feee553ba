"""Many questions over open trees, for programs that stay: the language server and the server for agents.

Two workers beside the caller's thread. One has the model: it loads it, answers, finds by the memory and indexes, one
thing at a time. The other needs no model: it finds by the outline and reads the trees. While the model is loading or
busy, `find` is answered by the outline and says so, so that nobody waits for someone else's answer.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Self, TypeVar

from codemem.ask import AskEvent, ask
from codemem.config import Settings
from codemem.daemon.sessions import WarmSessions
from codemem.engine_interface import MemoryEngine
from codemem.engines import LoadEngine, loader
from codemem.errors import CodememError, WorkInterruptedError
from codemem.find import find
from codemem.index import IndexOptions, index
from codemem.indexer import IndexerError
from codemem.model.errors import ModelError
from codemem.progress import Progress, Report, silent
from codemem.results import AskResult, FindResult, IndexResult, StatusResult
from codemem.search import Session, Target, open_session
from codemem.snapshot import Snapshot
from codemem.status import status_of
from codemem.workspace import open_workspace

FIND_SECONDS = 0.5
"""For bringing the memory up to date before `find`; `keep_up` does the rest behind."""
KEEP_UP_SECONDS = 5.0
"""Of one turn of `keep_up`; a question that comes in between waits at most about so long."""
LISTING_SECONDS = 1.0
"""How long trees opened for reading serve without being compared with the disk again."""

_T = TypeVar("_T")
Cancelled = Callable[[], bool]


class CancelledError(CodememError):
    """Whoever asked does not want the answer any more."""


class _PreemptedError(Exception):
    """Indexing makes room for a question and goes on afterwards."""


@dataclass(frozen=True, slots=True)
class ModelState:
    """What became of loading a model."""

    state: Literal["none", "loading", "ready", "failed"] = "none"
    name: str | None = None
    error: str | None = None
    """Why it failed, and what to do."""
    seconds: float = 0.0
    """Since loading began, or what it took."""


def explain(error: BaseException) -> str:
    """One line for people. What nobody foresaw names its type alone: its text may hold code."""
    if isinstance(error, CodememError | ModelError | IndexerError):
        return " ".join(str(error).split())
    if isinstance(error, OSError):
        return f"the system refused: {error.strerror or type(error).__name__}"
    return f"this is a bug in codemem ({type(error).__name__})"


class Service:
    """Answers for several callers; every method returns at once. Close it."""

    def __init__(self, settings: Settings, load_engine: LoadEngine) -> None:
        self._settings = settings
        self._load_engine = load_engine
        self._model_worker = ThreadPoolExecutor(1, "codemem-model")
        self._tree_worker = ThreadPoolExecutor(1, "codemem-trees")
        self._state = ModelState()
        self._since = 0.0
        self._lock = threading.Lock()
        self._jobs = 0
        """Given to the model's worker and not done."""
        self._questions = 0
        """Those of them that someone waits for."""
        self._closed = threading.Event()
        self._warm_memory = WarmSessions(settings, self._load, answering=False)
        self._warm_trees = WarmSessions(settings, self._load, answering=False)
        self._trees: tuple[object, float, Session] | None = None

    @classmethod
    def load(cls, settings: Settings, device: str | None = None) -> Self:
        """With the models that are on this machine; none is fetched."""
        return cls(settings, loader(settings, device=device))

    @property
    def model(self) -> ModelState:
        state = self._state
        return replace(state, seconds=time.monotonic() - self._since) if state.state == "loading" else state

    @property
    def busy(self) -> bool:
        """Whether something waits for the model or uses it."""
        return self._jobs > 0

    def close(self, timeout: float = 2.0) -> bool:
        """Stops what is running; whether it did stop in time."""
        self._closed.set()
        deadline = time.monotonic() + timeout
        last = [
            self._model_worker.submit(self._warm_memory.close),
            self._tree_worker.submit(self._warm_trees.close),
            self._tree_worker.submit(self._drop_trees),
        ]
        for worker in (self._model_worker, self._tree_worker):
            worker.shutdown(wait=False)
        for future in last:
            try:
                future.result(max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                return False
        return True

    def keep_up(self, target: Target) -> Future[None]:
        """Loads the model of the trees' memory, if they have one and its weights are here, and lets it catch up."""

        def turn(before: int | None = None) -> None:
            if self._closed.is_set():
                return
            with self._open(replace(target, router="both", seconds=KEEP_UP_SECONDS)) as session:
                behind = session.behind
            files = behind.added + behind.changed
            if session.recall and files and (before is None or files < before):
                self._with_model(lambda: turn(files), question=False)

        return self._with_model(turn, question=False)

    def prepare(self, target: Target) -> Future[None]:
        """Makes ready for the first question what it needs: the model too where there is an outline alone."""

        def work() -> None:
            with self._open(target, answering=True):
                pass

        return self._with_model(work, question=False)

    def find(self, target: Target, query: str, *, k: int | None = None) -> Future[FindResult]:
        """By memory and outline if the model is free; otherwise, unless the memory was asked for, by the outline."""

        def work(warm: WarmSessions, router: str | None, *notes: str) -> FindResult:
            with self._ready(replace(target, router=router, seconds=FIND_SECONDS), warm) as session:
                session.notes.extend(notes)
                return find(session, query, k=k or session.config.results)

        if target.router == "outline":
            return self.aside(lambda: work(self._warm_trees, "outline"))
        if target.router == "memory" or (self._state.state == "ready" and not self.busy):
            return self._with_model(lambda: work(self._warm_memory, target.router))
        reason = _reason(self.model)
        notes = [f"answered by the outline alone: {reason}"] if reason else []
        return self.aside(lambda: work(self._warm_trees, "outline", *notes))

    def ask(
        self,
        target: Target,
        question: str,
        on_event: Callable[[AskEvent], None],
        cancelled: Cancelled = lambda: False,
    ) -> Future[AskResult]:
        """Calls `on_event` from another thread for rounds and pieces. Raises CancelledError in the future."""

        def stop() -> bool:
            return cancelled() or self._closed.is_set()

        def work() -> AskResult:
            _raise_if(stop())
            with self._open(replace(target, question=question), answering=True) as session:
                _raise_if(stop())
                for event in ask(session, question, session.config, cancelled=stop):
                    _raise_if(stop())
                    if isinstance(event, AskResult):
                        return event
                    on_event(event)
            raise AssertionError("an engine ends with an answer")

        return self._with_model(work)

    def index(
        self,
        path: Path,
        options: IndexOptions | None = None,
        *,
        report: Report = silent,
        cancelled: Cancelled = lambda: False,
    ) -> Future[IndexResult]:
        """Indexes a tree; makes room for questions and goes on after them. What is done when it stops is kept."""
        outcome: Future[IndexResult] = Future()

        def watch(moment: Progress) -> None:
            report(moment)
            if cancelled() or self._closed.is_set():
                raise WorkInterruptedError("stopped; what is done is in memory and serves already")
            if self._questions:
                raise _PreemptedError

        def work() -> None:
            try:
                with open_workspace(path, self._settings, whole=True) as workspace:
                    result = index(workspace, self._settings, self._load, options or IndexOptions(), report=watch)
            except _PreemptedError:
                self._with_model(work, question=False)  # behind the question that waits
            except BaseException as error:
                outcome.set_exception(error)
            else:
                outcome.set_result(result)

        outcome.set_running_or_notify_cancel()
        self._with_model(work, question=False)
        return outcome

    def status(self, path: Path) -> Future[StatusResult]:
        def work() -> StatusResult:
            with open_workspace(path, self._settings, whole=True) as workspace:
                return status_of(workspace, self._settings)

        return self.aside(work)

    def read(self, target: Target, reader: Callable[[Sequence[Snapshot]], _T]) -> Future[_T]:
        """What `reader` makes of the trees; they may be LISTING_SECONDS old unless `forget` was called."""

        def work() -> _T:
            key = (tuple(target.paths), tuple(target.buffers.items()))
            if self._trees and self._trees[0] == key and time.monotonic() - self._trees[1] < LISTING_SECONDS:
                return reader(self._trees[2].snapshots)
            self._drop_trees()
            session = self._open(replace(target, router="outline"))
            self._trees = (key, time.monotonic(), session)
            return reader(session.snapshots)

        return self.aside(work)

    def forget(self) -> None:
        """Files changed: what was opened for reading is opened anew next time."""
        if self._trees:
            self._trees = (object(), 0.0, self._trees[2])

    def _drop_trees(self) -> None:
        if self._trees:
            self._trees[2].close()
            self._trees = None

    @contextmanager
    def _ready(self, target: Target, warm: WarmSessions) -> Iterator[Session]:
        """A session that stays open for the next question, unless unsaved text makes it this one's alone."""
        if target.buffers:
            with self._open(target) as session:
                yield session
        else:
            yield warm.open(target)

    def _open(self, target: Target, *, answering: bool = False) -> Session:
        return open_session(target, self._settings, self._load, answering=answering)

    def _load(self, name: str) -> MemoryEngine:
        if self._state.state == "ready" and self._state.name == name:
            return self._load_engine(name)
        self._since = time.monotonic()
        self._state = ModelState("loading", name)
        try:
            engine = self._load_engine(name)
        except Exception as error:
            self._state = ModelState("failed", name, explain(error), time.monotonic() - self._since)
            raise
        self._state = ModelState("ready", name, None, time.monotonic() - self._since)
        return engine

    def _with_model(self, work: Callable[[], _T], *, question: bool = True) -> Future[_T]:
        with self._lock:
            self._jobs += 1
            self._questions += question

        def done(_: Future[_T]) -> None:
            with self._lock:
                self._jobs -= 1
                self._questions -= question

        future = self._model_worker.submit(work)
        future.add_done_callback(done)  # it is also called for work that was cancelled before it began
        return future

    def aside(self, work: Callable[[], _T]) -> Future[_T]:
        """Runs what needs no model."""
        return self._tree_worker.submit(work)


def _reason(model: ModelState) -> str | None:
    """Why the memory is not asked."""
    if model.state == "loading":
        return f"model {model.name!r} is loading"
    if model.state == "failed":
        return model.error
    return "the model is at work on something else" if model.state == "ready" else None


def _raise_if(cancelled: bool) -> None:
    if cancelled:
        raise CancelledError("cancelled")
