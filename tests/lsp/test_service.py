"""Who waits for whom when several questions come at once. The engine stops where a test holds it."""

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from app.conftest import FILES, repository, settings
from app.fake_engine import FakeEngine

from codemem.config import Settings
from codemem.errors import NotIndexedError, WorkInterruptedError
from codemem.index import IndexOptions
from codemem.model.entry import Entry, EntryLayout, TokenisedDocument
from codemem.model.errors import WeightsMissing
from codemem.model.events import AnswerEvent, Source
from codemem.search import Target
from codemem.service import CancelledError, Service, explain

__all__ = ["repository", "settings"]
SECONDS = 60


class Held(FakeEngine):
    """Waits at every document and before every answer while it is held."""

    def __init__(self) -> None:
        super().__init__(answers={"How?": "So."})
        self.free, self.reached = threading.Event(), threading.Event()
        self.free.set()

    def hold(self) -> None:
        self.free.clear()
        self.reached.clear()

    def _pause(self) -> None:
        self.reached.set()
        assert self.free.wait(SECONDS)

    def encode(self, documents: Sequence[TokenisedDocument], layout: EntryLayout) -> Iterator[Entry]:
        for entry in super().encode(documents, layout):
            self._pause()
            yield entry

    def answer(self, question: str, bank: Any, read: Callable[[int], Source], **rest: Any) -> Iterator[AnswerEvent]:
        self._pause()
        yield from super().answer(question, bank, read, **rest)


@pytest.fixture
def engine() -> Held:
    return Held()


@pytest.fixture
def service(settings: Settings, engine: Held) -> Iterator[Service]:
    made = Service(settings, lambda _: engine)
    yield made
    engine.free.set()
    assert made.close(SECONDS)


def test_find_does_not_wait_for_an_answer(service: Service, engine: Held, repository: Path) -> None:
    service.index(repository).result(SECONDS)
    target = Target([repository])
    assert service.find(target, "evict oldest").result(SECONDS).router == "both"
    engine.hold()
    answer = service.ask(target, "How?", lambda _: None)
    assert engine.reached.wait(SECONDS)
    found = service.find(target, "evict oldest").result(SECONDS)
    assert (found.router, found.results[0].path) == ("outline", "src/cache.py")
    assert found.notes == ["answered by the outline alone: the model is at work on something else"]
    engine.free.set()
    assert answer.result(SECONDS).answer == "So."
    assert service.find(target, "evict oldest").result(SECONDS).router == "both"


def test_indexing_makes_room_for_a_question_and_goes_on(service: Service, engine: Held, repository: Path) -> None:
    engine.hold()
    indexing = service.index(repository)
    assert engine.reached.wait(SECONDS)
    answer = service.ask(Target([repository], seconds=0.0), "How?", lambda _: None)
    engine.free.set()
    assert answer.result(SECONDS).answer == "So."
    done = indexing.result(SECONDS)
    assert done.documents == len(FILES)
    assert len(engine.encoded) == len(FILES)  # nothing twice


def test_indexing_stops_when_nobody_wants_it_any_more(service: Service, engine: Held, repository: Path) -> None:
    stopped = threading.Event()
    engine.hold()
    indexing = service.index(repository, IndexOptions("find"), cancelled=stopped.is_set)
    assert engine.reached.wait(SECONDS)
    stopped.set()
    engine.free.set()
    with pytest.raises(WorkInterruptedError, match="what is done is in memory"):
        indexing.result(SECONDS)
    assert len(engine.encoded) < len(FILES)


def test_a_question_is_dropped_before_and_while_it_is_answered(
    service: Service, engine: Held, repository: Path
) -> None:
    service.index(repository).result(SECONDS)
    stopped, pieces = threading.Event(), []
    engine.hold()
    first = service.ask(Target([repository]), "How?", pieces.append, cancelled=stopped.is_set)
    assert engine.reached.wait(SECONDS)
    second = service.ask(Target([repository]), "How?", pieces.append, cancelled=lambda: True)
    stopped.set()
    engine.free.set()
    for future in (first, second):
        with pytest.raises(CancelledError):
            future.result(SECONDS)
    assert pieces == []
    assert not service.busy


def test_saved_files_are_taken_in_behind(service: Service, repository: Path) -> None:
    service.index(repository).result(SECONDS)
    (repository / "src/owl.py").write_text("def owl_hoots():\n    return 2\n")
    service.keep_up(Target([repository])).result(SECONDS)
    status = service.status(repository).result(SECONDS)
    assert (status.fresh, status.in_memory) == (True, len(FILES) + 1)


def test_a_model_that_is_not_here_is_named_and_the_outline_answers(settings: Settings, repository: Path) -> None:
    def missing(name: str) -> FakeEngine:
        raise WeightsMissing(f"no weights of {name!r}: run `codemem model pull {name}`")

    service = Service(settings, missing)
    target = Target([repository])
    with pytest.raises(NotIndexedError):
        service.find(target, "evict").result(SECONDS)
    with pytest.raises(WeightsMissing):
        service.index(repository).result(SECONDS)
    assert (service.model.state, service.model.name) == ("failed", "small")
    found = service.find(target, "evict").result(SECONDS)
    assert found.results[0].path == "src/cache.py"
    assert "codemem model pull small" in found.notes[0]
    assert service.close(SECONDS)


def test_closing_stops_what_runs_and_says_when_it_cannot(settings: Settings, repository: Path) -> None:
    engine = Held()
    service = Service(settings, lambda _: engine)
    engine.hold()
    indexing = service.index(repository)
    assert engine.reached.wait(SECONDS)
    assert not service.close(timeout=0.01)
    engine.free.set()
    with pytest.raises(WorkInterruptedError):
        indexing.result(SECONDS)


def test_what_nobody_foresaw_tells_no_text() -> None:
    assert explain(KeyError("def secret(): ...")) == "this is a bug in codemem (KeyError)"
    assert explain(PermissionError(13, "Permission denied", "/x")) == "the system refused: Permission denied"
