"""Markers recognised from ids, however they are cut into tokens."""

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msa4b_tiny import Shape

from codemem.model.msa4b.markers import BracketedNumbers, ByteMarker, RetrievalWatcher, Signal
from codemem.model.msa4b.tokens import RETRIEVAL_END, Protocol
from codemem.model.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def protocol(checkpoint: Callable[..., Path]) -> Protocol:
    return Protocol(Tokenizer.from_folder(checkpoint()), 4)


@given(text=st.text("ab", max_size=40), marker=st.text("ab", min_size=1, max_size=6))
def test_byte_marker_finds_every_occurrence(text: str, marker: str) -> None:
    automaton = ByteMarker(marker.encode())
    found = [i for i, byte in enumerate(text.encode()) if automaton.push(byte)]
    assert found == [i for i in range(len(text)) if text[: i + 1].endswith(marker)]


@given(st.text("[]0123x ", max_size=60))
def test_numbers_are_those_of_the_engines_pattern(text: str) -> None:
    numbers = BracketedNumbers()
    for byte in text.encode():
        numbers.push(byte)
    assert numbers.numbers == [int(n) for n in re.findall(r"\[(\d+)\]", text)]


def test_numbers_are_ascii_and_short() -> None:
    """The engine's pattern takes other scripts' digits too, and dies of a number with 5,000 digits."""
    numbers = BracketedNumbers()
    for byte in f"[٣][{'9' * 5000}][7]".encode():
        numbers.push(byte)
    assert numbers.numbers == [7]


@given(cut=st.sets(st.integers(1, len(RETRIEVAL_END) - 1)))
@settings(max_examples=40, deadline=None)
def test_retrieval_end_in_any_tokens(protocol: Protocol, cut: set[int]) -> None:
    watcher = RetrievalWatcher(protocol)
    text, places = RETRIEVAL_END.decode(), [0, *sorted(cut), len(RETRIEVAL_END)]
    ids = [i for a, b in pairwise(places) for i in protocol.tokenizer.encode_text(text[a:b])]
    signals = [watcher.push(i) for i in ids]
    assert signals[-1] is Signal.RETRIEVAL_END
    assert set(signals[:-1]) <= {Signal.NONE}


def push_all(watcher: RetrievalWatcher, ids: list[int]) -> list[Signal]:
    return [signal for i in ids if (signal := watcher.push(i)) is not Signal.NONE]


def test_a_control_token_breaks_a_marker(protocol: Protocol) -> None:
    watcher, encode = RetrievalWatcher(protocol), protocol.tokenizer.encode_text
    other = protocol.tokenizer.control["<|object_ref_start|>"]
    assert push_all(watcher, [*encode("<End-of-"), other, *encode("Retrieve>")]) == []
    assert push_all(watcher, [*encode("[1"), other, *encode("2]")]) == []
    assert watcher.numbers == []
    assert push_all(watcher, [*encode("[12][3][12]"), protocol.marker]) == [Signal.ROUND_END]
    assert watcher.numbers == [3, 12]


def test_spelled_control_tokens_are_text(protocol: Protocol) -> None:
    watcher = RetrievalWatcher(protocol)
    assert push_all(watcher, protocol.tokenizer.encode_text("<|object_ref_end|><|im_end|>[5]")) == []
    assert watcher.numbers == [5]


def test_stop_and_answer(protocol: Protocol) -> None:
    assert RetrievalWatcher(protocol).push(protocol.turn_end) is Signal.STOP
    ids = protocol.tokenizer.encode_text("Well. The answer to the question is: x")
    assert push_all(RetrievalWatcher(protocol), ids) == [Signal.ANSWER]


def test_added_retrieval_token(checkpoint: Callable[..., Path]) -> None:
    folder = checkpoint(Shape(extra_control=("<End-of-Retrieve>",)))
    protocol = Protocol(Tokenizer.from_folder(folder), 4)
    assert protocol.retrieval_end is not None
    assert RetrievalWatcher(protocol).push(protocol.retrieval_end) is Signal.RETRIEVAL_END
