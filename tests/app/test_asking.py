"""What `ask` answers and cites, and when it says that it cannot."""

from pathlib import Path

import pytest

from app.bench import Bench
from app.conftest import write
from app.fake_engine import FakeEngine
from codemem.ask import Piece, RoundDone, ask
from codemem.errors import CodememError
from codemem.results import AskResult
from codemem.sources import reader


def test_ask_encodes_what_the_outline_names_before_the_rest(bench: Bench, repository: Path) -> None:
    bench.index(repository, purpose="outline")
    question = "how does the cache evict the oldest"
    bench.engine.answers[question] = "By deleting it."
    with bench.session(repository, answering=True, seconds=0.0, question=question) as session:
        *_, result = ask(session, question, session.config)
    assert isinstance(result, AskResult)
    assert [citation.path for citation in result.citations] == ["src/cache.py"]
    assert not result.fresh
    assert 1 <= len(bench.engine.encoded) < 3
    done = len(bench.engine.encoded)
    assert bench.index(repository).encoded == 3 - done
    assert bench.status(repository).fresh


def test_an_entry_made_for_find_does_not_answer_and_index_makes_the_rest(bench: Bench, repository: Path) -> None:
    bench.index(repository, purpose="find")
    assert bench.find(repository, "retry operation", router="memory").results
    with pytest.raises(CodememError, match="--for ask"):
        bench.ask(repository, "What retries?")
    assert bench.index(repository).encoded == 0, "the purpose stays as it was"
    assert bench.index(repository, purpose="ask").encoded == 3


def test_a_memory_for_find_answers_where_the_model_routes_in_no_other_layers(
    bench: Bench, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeEngine, "find_layout", FakeEngine.layout)
    question = "which function waits longer every time"
    bench.engine.answers[question] = "retry does."
    bench.index(repository, purpose="find")
    encoded = len(bench.engine.encoded)
    result = bench.ask(repository, question)[-1]
    assert isinstance(result, AskResult)
    assert result.answer == "retry does."
    assert len(bench.engine.encoded) == encoded
    assert bench.index(repository, purpose="ask").encoded == 0


def test_an_answer_streams_and_cites_what_was_read(bench: Bench, repository: Path) -> None:
    question = "which function waits longer every time"
    bench.engine.answers[question] = "retry does."
    bench.index(repository)
    *events, result = bench.ask(repository, question)
    assert [type(event) for event in events] == [RoundDone, Piece]
    assert isinstance(result, AskResult)
    assert (result.answer, result.found, result.fresh) == ("retry does.", True, True)
    (citation,) = result.citations
    assert citation.path == "src/retry.py"
    assert result.rounds[0]["named"] == ["src/retry.py"]
    assert result.rounds[0]["layers"][0]["documents"][0]["path"] == "src/retry.py"


def test_without_an_answer_places_are_listed(bench: Bench, repository: Path) -> None:
    bench.index(repository)
    result = bench.ask(repository, "what evicts the oldest")[-1]
    assert isinstance(result, AskResult)
    assert (result.answer, result.found, result.citations) == ("", False, [])
    assert "src/cache.py" in {place.path for place in result.places}


def test_what_changed_while_it_was_read_is_not_cited(bench: Bench, repository: Path) -> None:
    question = "which function waits longer every time"
    bench.engine.answers[question] = "retry does."
    bench.index(repository)
    with bench.session(repository, answering=True) as session:
        events = ask(session, question, session.config)
        first = next(events)
        assert isinstance(first, RoundDone)
        write(repository, {"src/retry.py": "changed = True\n"})
        *_, result = events
    assert isinstance(result, AskResult)
    assert result.citations == []
    assert "changed" in result.notes[-1]


@pytest.mark.parametrize(
    ("question", "quotable"),
    [
        ("How does it retry a call?", {"src/retry.py": True, "tests/test_retry.py": False, "examples/demo.py": False}),
        ("What do the tests of retry check?", {"tests/test_retry.py": True, "examples/demo.py": False}),
        ("Is there an example of a retry?", {"tests/test_retry.py": False, "examples/demo.py": True}),
        ("How does SlowRetry wait?", {"tests/test_retry.py": True, "examples/demo.py": False}),
        ("How does `show_retry` wait?", {"tests/test_retry.py": False, "examples/demo.py": True}),
        ("What does retry show?", {"examples/demo.py": False}),  # words, no names
    ],
)
def test_tests_and_examples_are_quoted_where_they_are_asked_about(
    bench: Bench, tmp_path: Path, question: str, quotable: dict[str, bool]
) -> None:
    root = tmp_path / "retries"
    write(
        root,
        {
            "src/retry.py": "def retry(call):\n    return call()\n",
            "tests/test_retry.py": "class SlowRetry:\n    def retry(self):\n        return 1\n",
            "examples/demo.py": "def show_retry():\n    return retry(print)\n",
        },
    )
    bench.index(root)
    with bench.session(root, answering=True) as session:
        assert session.recall is not None
        read = reader(session.recall, question)
        found = {source.path: source.quotable for source in map(read, range(len(session.recall)))}
    assert {path: found[path] for path in quotable} == quotable
    assert found["src/retry.py"]
