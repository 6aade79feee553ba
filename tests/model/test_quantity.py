"""Where a number is asked for one is told, and quoted; what says nothing is not quoted (decision 0051)."""

import time

import pytest

from codemem.model.claims import Claims
from codemem.model.events import Definition, Source
from codemem.model.quantity import asks_for_number, holds_number, numbered, tellable
from codemem.model.quotes import OPENING, Quotes
from codemem.model.telling import says_something

OPTIONS = """const reentry: unique symbol = Symbol('reentry');
export const defaults = {
    retry: {
        limit: 2,
        other: limit(delay),
        backoff: delay,
        maxRetryAfter: undefined,
        methods: 'GET',
    },
    idle_seconds: float = 30 * 60,
    max_size: int,
    url: str = "http://localhost:80",
};
"""
SOURCE = Source(0, "src/options.ts\n", OPTIONS, (Definition("Options.retry", 2, 8),))


@pytest.mark.parametrize(
    ("question", "asked"),
    [
        ("How many times does got retry by default?", True),
        ("how often is a call retried", True),
        ("How long may find spend on it?", True),
        ("How large may a file be?", True),
        ("How does the store find a damaged entry?", False),
        ("Where are retries configured?", False),
        ("Wie oft wird es versucht?", True),
        ("Wie groß darf eine Datei sein?", True),
        ("Wie wird es versucht?", False),
        ("¿Cuántas veces se reintenta?", True),
        ("默认重试多少次？", True),
        ("如何重试？", False),
    ],
)
def test_questions_for_a_number_are_told_apart(question: str, asked: bool) -> None:
    assert asks_for_number(question) is asked


def test_a_number_stands_by_itself() -> None:
    assert holds_number("limit: 2,")
    assert holds_number("sleep(0.5)")
    assert holds_number("size = '10mb'")
    assert not holds_number("utf8 = base64(x1)")
    assert not holds_number("delay = other")


def test_an_answer_begins_with_what_may_be_a_number() -> None:
    allowed = tellable([SOURCE])
    assert allowed is not None
    names = ("limit", "idle_seconds", "backoff", "retry", "Options.retry", "src/options.ts")
    assert all(allowed.is_whole(name) for name in names)
    assert not any(
        allowed.is_whole(name) for name in ("reentry", "maxRetryAfter", "methods", "url", "delay", "max_size")
    )
    assert allowed.begins("li")
    assert not allowed.begins("maxRetryA")


def test_where_nothing_is_a_number_anything_may_be_told() -> None:
    assert tellable([Source(0, "a.py\n", "name = 'x'\nother = None\n")]) is None
    assert Claims([Source(0, "a.py\n", "name = 'x'\n")], "How many times?").allows("`na", "me`")


def test_claims_hold_the_beginning_to_it_only_where_a_number_is_asked_for() -> None:
    claims = Claims([SOURCE], "How many times does got retry by default?")
    assert claims.allows("`", "limit")
    assert not claims.allows("`", "maxRetry")
    assert claims.by_name("`li")
    assert claims.allows("`limit` defaults to `", "2")
    assert not claims.allows("`limit` defaults to `", "delay")
    assert Claims([SOURCE], "What does got do by default?").allows("`", "maxRetry")


def test_a_quotation_holds_a_number_where_one_is_asked_for() -> None:
    text = 'attempts = 7\nname = "retries"\nretry(call, attempts)\ntimeout = wait\n'
    asked = Quotes([(text, ())], "How many attempts are made?")
    assert asked.allows(OPENING, "attempts = 7")
    assert not asked.allows(OPENING, "retry(call")
    # No statement with a number is about it: each may be quoted.
    assert Quotes([(text, ())], "How long does it sleep?").allows(OPENING, "retry(call")
    assert Quotes([(text, ())], "How are attempts made?").allows(OPENING, "retry(call")
    assert numbered("How many attempts?", ["attempts = 7", "x = 3", "attempts = n"]) == {"attempts = 7", "x = 3"}


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("path: P,", False),
        ("host?: string;", False),
        ("pub retries: usize,", False),
        ("body: Option<Vec<u8>>,", False),
        ("return self;", False),
        ("} else {", False),
        ("limit: 2,", True),
        ("methods: METHODS,", True),
        ("def retry(call, attempts=7):", True),
        ("if err != nil {", True),
        ("items: list[str] = []", True),
        ("# Retries what failed.", True),
        ("sleep(delay)", True),
    ],
)
def test_statements_that_say_something(statement: str, says: bool) -> None:
    assert says_something(statement) is says


def test_what_says_nothing_is_quoted_where_nothing_else_is_there() -> None:
    quotes = Quotes([("pub retries: usize,\nself.retries = retries;\n", ())])
    assert quotes.allows(OPENING, "self.retries")
    assert not quotes.allows(OPENING, "pub retries")
    assert Quotes([("pub retries: usize,\n", ())]).allows(OPENING, "pub retries")


def test_a_text_made_to_cost_time_costs_none() -> None:
    began = time.process_time()
    for text in ("a: " * 20_000, "x" * 60_000 + " = 1", " " * 60_000 + "=", "a\n" * 30_000, "b?: " + "c" * 60_000):
        tellable([Source(0, "a.ts\n", text)])
        says_something(text[:160])
    assert time.process_time() - began < 10  # of minutes that a pattern without an end would take
