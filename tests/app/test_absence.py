"""What is asked about and stands nowhere."""

from pathlib import Path

import pytest

from app.bench import Bench
from app.conftest import write
from codemem.absence import Absent, absent, content_words
from codemem.manifest import Manifest
from codemem.model.spelled import spelled_names
from codemem.results import AskResult
from codemem.snapshot import make_snapshot
from codemem.workspace import open_workspace


def look(bench: Bench, repository: Path, question: str, **target: object) -> Absent:
    with bench.session(repository, router="outline", **target) as session:
        return absent(session.snapshots, question)


def test_names_are_what_is_written_as_code() -> None:
    assert spelled_names("Does `Session.get` call retry_twice or openSocket() in JavaScript on GitHub?") == [
        "Session.get", "retry_twice", "openSocket",
    ]  # fmt: skip
    assert spelled_names("where do we retry?") == []
    assert spelled_names("what is `...`?") == []


def test_words_are_taken_of_english_questions_alone() -> None:
    assert content_words("How does the client schedule pods?") == ["client", "schedule", "pods"]
    assert content_words("Auf welchen Wert ist das festgelegt?") == []
    assert content_words("客户端如何重试？") == []


@pytest.mark.parametrize(
    "question",
    [
        "What does `retry` do?",
        "What is `2 ** attempt` for?",
        "Where is `Cache.evict` called?",
        "When is a `ConnectionError` swallowed by frobnicate_all?",  # one of the names stands in the files
        "How do I add a `MyOwnCache` of my own?",  # a name that is yet to be
        "where do we wait longer every time?",
        "In which JavaScript file are entries evicted?",
        "Wo wird Kubernetes eingerichtet?",
        "",
    ],
)
def test_what_may_be_there_is_asked(bench: Bench, repository: Path, question: str) -> None:
    bench.index(repository, purpose="outline")
    assert not look(bench, repository, question).decisive


@pytest.mark.parametrize(
    ("question", "note"),
    [
        ("What is the default of `frobnicate_retries`?", "`frobnicate_retries` stands nowhere in the files"),
        ("Which error does `Scheduler.reschedule` raise?", "`Scheduler.reschedule` stands nowhere in the files"),
        ("Wann ruft `openTunnel` `closeTunnel` auf?", "`openTunnel`, `closeTunnel` stand nowhere in the files"),
        ("How does the kubernetes scheduler provision pods?", "`kubernetes`, `scheduler`, `provision` stand nowhere"),
    ],
)
def test_what_cannot_be_there_is_not(bench: Bench, repository: Path, question: str, note: str) -> None:
    bench.index(repository, purpose="outline")
    found = look(bench, repository, question)
    assert found.decisive
    assert (found.note or "").startswith(note)


def test_text_not_yet_saved_counts(bench: Bench, repository: Path) -> None:
    bench.index(repository, purpose="outline")
    unsaved = {repository / "src/cache.py": b"def frobnicate_retries(): ...\n"}
    assert not look(bench, repository, "What is `frobnicate_retries`?", buffers=unsaved).decisive


def test_without_time_to_look_nothing_is_ruled_out(bench: Bench, repository: Path) -> None:
    bench.index(repository, purpose="outline")
    with bench.session(repository, router="outline") as session:
        assert not absent(session.snapshots, "What is `frobnicate_retries`?", seconds=-1.0).decisive


def test_a_question_about_nothing_here_lists_places_and_says_why(bench: Bench, repository: Path) -> None:
    write(repository, {"src/queue.py": "class Queue:\n    pass\n"})
    bench.index(repository)
    (answered,) = bench.ask(repository, "What is the default of `frobnicate_retries` in the retry?")
    assert isinstance(answered, AskResult)
    assert (answered.found, answered.answer, list(answered.citations)) == (False, "", [])
    assert answered.places
    assert "`frobnicate_retries` stands nowhere in the files" in answered.notes


def test_files_that_were_not_read_yet_are_looked_through(bench: Bench, repository: Path) -> None:
    """As while `index` still reads the tree."""
    with open_workspace(repository, bench.settings, whole=False) as workspace:
        make_snapshot(workspace, Manifest.empty(), seconds=-1.0).save()
    assert not look(bench, repository, "What does `Cache.evict` delete?", seconds=-1.0).decisive
    assert look(bench, repository, "What does `Kettle.boil` do?", seconds=-1.0).decisive


def test_text_in_utf16_counts(bench: Bench, repository: Path) -> None:
    (repository / "src/wide.py").write_bytes("def frobnicate_wide(): ...\n".encode("utf-16"))
    bench.index(repository, purpose="outline")
    assert not look(bench, repository, "What is `frobnicate_wide`?").decisive
