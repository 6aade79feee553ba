"""Who goes first through the gate."""

import threading

import pytest
from app.fake_engine import FakeEngine

from codemem.daemon.gate import ASK, FIND, INDEX, CancelledError, Gate, GatedEngine, Tokens
from codemem.daemon.lane import Lane
from codemem.model.entry import TokenisedDocument
from daemon.conftest import wait_for


def test_the_most_urgent_goes_first_and_then_who_came_first() -> None:
    gate, order = Gate(), []
    threads = []

    def pass_through(name: str, urgency: int) -> None:
        with gate.turn(urgency):
            order.append(name)

    with gate.turn(INDEX):
        for name, urgency in [("index", INDEX), ("ask", ASK), ("find 1", FIND), ("find 2", FIND)]:
            threads.append(threading.Thread(target=pass_through, args=(name, urgency)))
            threads[-1].start()
            wait_for(lambda: gate.waiting == len(threads))
    for thread in threads:
        thread.join(20)
    assert order == ["find 1", "find 2", "ask", "index"]


def test_an_error_gives_the_turn_back() -> None:
    gate = Gate()
    with pytest.raises(ValueError, match="step"), gate.turn(FIND):
        raise ValueError("step")
    with gate.turn(INDEX):
        pass


def test_a_lane_works_in_order_and_skips_what_was_cancelled() -> None:
    lane, done = Lane("test", FIND), []
    go, cancelled = threading.Event(), threading.Event()
    first = lane.submit(lambda: go.wait(20), threading.Event())
    second = lane.submit(lambda: done.append("second"), cancelled)
    third = lane.submit(lambda: done.append("third"), threading.Event())
    cancelled.set()
    go.set()
    assert first.result(20)
    assert isinstance(second.exception(20), CancelledError)
    third.result(20)
    assert done == ["third"]
    lane.close(20)


def test_what_was_tokenised_before_is_not_tokenised_again() -> None:
    engine, tokens = FakeEngine(), Tokens()
    first, second = (GatedEngine(engine, Gate(), FIND, lambda: None, tokens) for _ in range(2))
    documents = [("a.py\n", "def a(): pass\n"), ("b.py\n", "def b(): pass\n")]
    expected = engine.tokenise(documents)
    engine.tokenised = 0
    for gated, wanted in ((first, documents), (second, [*documents[::-1], documents[0]])):
        assert _plain(wanted, gated.tokenise(wanted)) == _plain(documents, expected)
    assert engine.tokenised == 2


def _plain(
    documents: list[tuple[str, str]], tokenised: list[TokenisedDocument]
) -> dict[tuple[str, str], tuple[list[int], list[int]]]:
    found = zip(documents, tokenised, strict=True)
    return {document: (done.ids.tolist(), done.chunk_ends.tolist()) for document, done in found}
