"""What a daemon answers, without the socket: the same as a new process, from what stays open."""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from app.conftest import commit, git, write
from app.fake_engine import FakeEngine

from codemem.config import Settings
from codemem.daemon.gate import CancelledError
from codemem.daemon.methods import Call, Methods
from codemem.daemon.params import Params
from codemem.daemon.protocol import ProtocolError
from codemem.find import find
from codemem.index import IndexOptions, index
from codemem.model.entry import Entry, EntryLayout, TokenisedDocument
from codemem.search import Target, open_session
from codemem.workspace import open_workspace
from daemon.conftest import WAIT_SECONDS, wait_for


class SteppedEngine(FakeEngine):
    """Encodes a document whenever it is let, once `stepping` is on."""

    def __init__(self) -> None:
        super().__init__()
        self.stepping = False
        self.steps, self.inside = threading.Semaphore(0), threading.Semaphore(0)
        self.banks = 0

    def bank(self, entries: Any, layout: EntryLayout) -> Any:
        self.banks += 1
        return super().bank(entries, layout)

    def encode(self, documents: Sequence[TokenisedDocument], layout: EntryLayout) -> Iterator[Entry]:
        for document in documents:
            if self.stepping:
                self.inside.release()
                assert self.steps.acquire(timeout=WAIT_SECONDS)
            yield from super().encode([document], layout)


@pytest.fixture
def engine() -> SteppedEngine:
    return SteppedEngine()


@pytest.fixture
def methods(settings: Settings, engine: SteppedEngine) -> Iterator[Methods]:
    running = Methods(settings, lambda _: engine)
    yield running
    engine.stepping = False
    engine.steps.release(1000)
    running.close()


@pytest.fixture
def indexed(repository: Path, settings: Settings, engine: SteppedEngine) -> Path:
    with open_workspace(repository, settings, whole=True) as workspace:
        index(workspace, settings, lambda _: engine, IndexOptions())
    return repository


def call(methods: Methods, method: str, **params: Any) -> Any:
    return methods.submit(Call(method, Params(params))).result(WAIT_SECONDS)


def found(methods: Methods, root: Path, query: str = "retry", **params: Any) -> Any:
    return call(methods, "find", paths=[str(root)], query=query, **params)


def without_times(result: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in result.items() if name not in ("took_ms", "route_ms")}


@pytest.mark.parametrize("router", ["memory", "outline", "both"])
def test_find_is_what_a_new_process_finds(
    methods: Methods, indexed: Path, settings: Settings, engine: FakeEngine, router: str
) -> None:
    with open_session(Target([indexed], router=router), settings, lambda _: engine) as session:
        expected = find(session, "retry", k=3).to_json()
    for _ in range(2):
        assert without_times(found(methods, indexed, k=3, router=router)) == without_times(expected)


def test_what_is_open_is_used_again_until_something_changes(
    methods: Methods, indexed: Path, engine: SteppedEngine
) -> None:
    found(methods, indexed)
    found(methods, indexed, "cache")
    assert engine.banks == 1
    write(indexed, {"src/new.py": "def arrive():\n    return 'platform'\n"})
    assert found(methods, indexed, "platform")["results"][0]["path"] == "src/new.py"
    assert engine.banks == 2
    (indexed / "src/new.py").unlink()
    assert all(place["path"] != "src/new.py" for place in found(methods, indexed, "platform")["results"])
    commit_before = found(methods, indexed)["commit"]
    git(indexed, "commit", "-q", "--allow-empty", "-m", "Nothing")
    assert found(methods, indexed)["commit"] == git(indexed, "rev-parse", "HEAD") != commit_before
    write(indexed, {".codemem.toml": "results = 1\n"})
    assert len(found(methods, indexed)["results"]) == 1


def test_a_memory_that_another_process_changed_is_opened_again(
    methods: Methods, indexed: Path, settings: Settings, engine: SteppedEngine
) -> None:
    assert found(methods, indexed)["model"] == "fake"
    engine.version = "2"
    with open_workspace(indexed, settings, whole=True) as workspace:
        index(workspace, settings, lambda _: engine, IndexOptions(upgrade=True))
    again = found(methods, indexed)
    assert (again["model"], again["notes"], again["fresh"]) == ("fake", [], True)


def test_a_query_does_not_wait_for_indexing(methods: Methods, indexed: Path, engine: SteppedEngine) -> None:
    write(indexed, {f"src/more{n}.py": f"def more{n}():\n    return {n}\n" for n in range(5)})
    engine.stepping = True
    indexing = methods.submit(Call("index", Params({"path": str(indexed)})))
    assert engine.inside.acquire(timeout=WAIT_SECONDS)
    finding = methods.submit(Call("find", Params({"paths": [str(indexed)], "query": "retry", "catch_up": 0})))
    for _ in range(4):  # the query needs a few turns, and gets each before the next of the steps that we let end
        wait_for(lambda: finding.done() or methods.status()["waiting"])
        if finding.done():
            break
        engine.steps.release()
        assert engine.inside.acquire(timeout=WAIT_SECONDS)
    assert finding.done()
    assert not indexing.done()
    assert finding.result()["behind"]["added"] > 0
    assert finding.result()["results"][0]["path"] == "src/retry.py"
    engine.stepping = False
    engine.steps.release(10)
    assert indexing.result(WAIT_SECONDS)["documents"] == finding.result()["behind"]["added"] + 3


def test_indexing_that_is_cancelled_keeps_what_it_did(methods: Methods, indexed: Path, engine: SteppedEngine) -> None:
    write(indexed, {f"src/more{n}.py": f"def more{n}():\n    return {n}\n" for n in range(4)})
    engine.stepping = True
    cancelled = threading.Event()
    before = len(engine.encoded)
    indexing = methods.submit(Call("index", Params({"path": str(indexed)}), cancelled=cancelled))
    engine.steps.release(2)
    for _ in range(3):
        assert engine.inside.acquire(timeout=WAIT_SECONDS)
    cancelled.set()
    engine.steps.release()
    assert isinstance(indexing.exception(WAIT_SECONDS), CancelledError)
    engine.stepping = False
    assert len(engine.encoded) == before + 3
    assert call(methods, "index", path=str(indexed))["encoded"] == 1


def test_what_is_behind_is_caught_up_in_the_background(methods: Methods, indexed: Path) -> None:
    write(indexed, {"src/new.py": "def arrive():\n    return 'platform'\n"})
    first = found(methods, indexed, "platform", catch_up=0)
    assert first["behind"] == {"added": 1, "changed": 0, "removed": 0}
    wait_for(lambda: methods.idle)
    second = found(methods, indexed, "platform", catch_up=0, router="memory")
    assert second["fresh"]
    assert second["results"][0]["path"] == "src/new.py"
    assert methods.status()["indexing"] == []


def test_refreshing_asks_for_no_model_where_none_was_asked_for(
    methods: Methods, repository: Path, engine: SteppedEngine
) -> None:
    assert call(methods, "index", path=str(repository), refresh=True) is None
    call(methods, "index", path=str(repository), purpose="outline")
    write(repository, {"src/new.py": "def arrive():\n    pass\n"})
    assert call(methods, "index", path=str(repository), refresh=True)["documents"] == 4
    assert engine.encoded == []


def test_ask_streams_and_cites(methods: Methods, indexed: Path, engine: SteppedEngine) -> None:
    engine.answers["What retries?"] = "The function retry does."
    heard: list[tuple[str, dict[str, Any]]] = []
    params = Params({"paths": [str(indexed)], "question": "What retries?"})
    asking = methods.submit(Call("ask", params, lambda name, about: heard.append((name, about))))
    answered = asking.result(WAIT_SECONDS)
    assert [name for name, _ in heard] == ["round", "piece"]
    assert heard[1][1] == {"text": "The function retry does."}
    (citation,) = answered["citations"]
    lines = (indexed / citation["path"]).read_text().split("\n")[citation["start_line"] - 1 : citation["end_line"]]
    assert answered["cited_texts"] == ["\n".join(lines)[: len(answered["cited_texts"][0])]]
    assert answered["cited_texts"][0]


def test_progress_is_reported_to_who_asked(methods: Methods, repository: Path) -> None:
    heard: list[str] = []
    params = Params({"path": str(repository)})
    methods.submit(Call("index", params, lambda _, about: heard.append(about["phase"]))).result(WAIT_SECONDS)
    assert {"reading files", "encoding"} <= set(heard)


def test_status_tells_what_is_held(methods: Methods, indexed: Path) -> None:
    assert (methods.status()["models"], methods.status()["repositories"]) == ([], [])
    found(methods, indexed)
    assert (methods.status()["models"], methods.status()["repositories"]) == (["fake"], [str(indexed)])


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("nonsense", {}),
        ("find", {"query": "x"}),
        ("find", {"query": "x", "paths": ["relative"]}),
        ("find", {"query": "", "paths": ["/"]}),
        ("find", {"query": "x", "paths": ["/"], "k": 0}),
        ("find", {"query": "x", "paths": ["/"], "k": True}),
        ("find", {"query": "x", "paths": ["/"], "router": "other"}),
        ("find", {"query": "x", "paths": ["/"], "catch_up": -1}),
        ("ask", {"question": 7, "paths": ["/"]}),
        ("index", {"path": "/", "purpose": "other"}),
        ("index", {"path": "/", "upgrade": "yes"}),
    ],
)
def test_wrong_params_are_refused(methods: Methods, method: str, params: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError):
        methods.submit(Call(method, Params(params)))


def test_a_commit_is_seen(methods: Methods, indexed: Path) -> None:
    write(indexed, {"src/new.py": "def arrive():\n    return 'platform'\n"})
    commit(indexed)
    result = found(methods, indexed, "platform")
    assert result["commit"] == git(indexed, "rev-parse", "HEAD")
    assert result["results"][0]["path"] == "src/new.py"
