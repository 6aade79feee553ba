"""Where a number is asked for one is told, and quoted; what says nothing is not quoted (decision 0051)."""

import time

import pytest

from codemem.model.claims import Claims
from codemem.model.events import Definition, Source
from codemem.model.quantity import asks_for_number, holds_number, numbered, numbers_set
from codemem.model.quotes import LONGEST_IMPORT, OPENING, Quotes
from codemem.model.telling import says_something

OPTIONS = """const reentry: unique symbol = Symbol('reentry');
export const defaults = {
    retry: {
        limit: 2,
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
        ("Below which size is a message not compressed?", True),
        ("maximum grouping depth", True),
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
    assert not holds_number("if count === 0 {")


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("After how many idle seconds does it end?", {"idle_seconds": ("30 * 60,",)}),
        ("How many times does got retry by default?", {"limit": ("2,",)}),  # of what stands above it
        ("How many retries are there?", {"limit": ("2,",)}),
        ("How many files may a form have?", {}),
        ("How long may it take by default?", {}),
    ],
)
def test_names_that_are_set_to_the_number_that_is_asked_for(question: str, found: dict[str, tuple[str, ...]]) -> None:
    assert numbers_set(question, [SOURCE]) == found


def test_tests_set_numbers_where_nothing_else_does() -> None:
    shown = Source(1, "tests/a.ts\n", "limit = 9;\n", quotable=False)
    asked = "How many retries, of what limit?"
    assert numbers_set(asked, [shown, SOURCE]) == {"limit": ("2,",)}
    assert numbers_set(asked, [shown]) == {"limit": ("9;",)}
    told = Source(2, "readme.md\n", "limit = 9;\n")
    assert numbers_set(asked, [told, SOURCE]) == {"limit": ("2,",)}
    assert numbers_set(asked, [told, Source(3, "a.ts\n", "limit = 0;\n")]) == {"limit": ("9;",)}


def test_an_answer_tells_a_number_where_one_is_asked_for() -> None:
    claims = Claims([SOURCE], "How many times does got retry by default?")
    assert claims.allows("`", "limit")
    assert claims.by_name("`li")
    assert not any(claims.allows("`", name) for name in ("reentry", "maxRetryAfter", "retry", "url", "idle_seconds"))
    assert claims.allows("`limit` defaults to `", "2")
    assert not claims.allows("`limit` defaults to `", "delay")
    assert claims.allows("", "See")
    assert claims.to_come("`") == ("limit`",)
    assert claims.to_come("`li") == ("mit`",)
    assert claims.to_come("`limit") == ("`",)
    assert claims.to_come("`limit`") == ()


def test_where_nothing_is_set_to_a_number_no_name_is_told_for_one() -> None:
    claims = Claims([Source(0, "a.ts\n", "maxRedirects: int,\n")], "How many redirects are followed?")
    assert not claims.allows("", "`")
    assert not claims.allows("", "`max")
    assert claims.allows("", "See `maxRedirects")


@pytest.mark.parametrize(
    "claims",
    [
        Claims([SOURCE], "What does got do by default?"),
        Claims([SOURCE], "How many times does `got` retry by default?"),  # of a name: decision 0046
        Claims([Source(0, "a.ts\n", "const maxRetryAfter = other;\n")], "Wie oft wird es versucht?"),
    ],
)
def test_other_questions_are_answered_as_they_were(claims: Claims) -> None:
    assert claims.allows("`", "maxRetry")


def test_a_quotation_holds_a_number_where_one_is_asked_for() -> None:
    text = 'attempts = 7\nname = "retries"\nretry(call, attempts)\ntimeout = wait\n'
    asked = Quotes([(text, ())], "How many attempts are made?")
    assert asked.allows(OPENING, "attempts = 7")
    assert not asked.allows(OPENING, "retry(call")
    # No statement with a number is about it: each may be quoted.
    assert Quotes([(text, ())], "How long does it sleep?").allows(OPENING, "retry(call")
    assert Quotes([(text, ())], "How are attempts made?").allows(OPENING, "retry(call")
    assert numbered("How many attempts?", ["attempt = 7", "x = 3", "attempts = n"]) == {"attempt = 7"}


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
        ("* query needs to fetch.", False),
        ("*count = limit + 1;", True),
        ("tile_id:", False),
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


@pytest.mark.parametrize(
    ("question", "allowed", "refused"),
    [
        ("How does it retry a call?", "send(call)", "assert_eq!(retry(7), 7);"),
        ("How does it retry a call?", "send(call)", "pub fn retry(call: Call) -> Out {"),
        ("How does it retry a call?", "send(call)", "path::{Path, PathBuf},"),
        ("Which function retries?", "pub fn retry(call: Call) -> Out {", "assert_eq!(retry(7), 7);"),
        ("What do the tests check?", "assert_eq!(retry(7), 7);", "path::{Path, PathBuf},"),
        ("How does `counts` check it?", "assert_eq!(retry(7), 7);", "path::{Path, PathBuf},"),
    ],
)
def test_what_cannot_be_meant_is_not_quoted(question: str, allowed: str, refused: str) -> None:
    text = (
        "use std::{\n    path::{Path, PathBuf},\n    time::Duration,\n};\n"
        "pub fn retry(call: Call) -> Out {\n    send(call)\n}\n"
        "mod tests {\n    fn counts() {\n        assert_eq!(retry(7), 7);\n    }\n}\n"
    )
    defined = (Definition("retry", 4, 7), Definition("tests.counts", 8, 11))
    quotes = Quotes([(text, defined)], question)
    assert quotes.allows(OPENING, allowed)
    assert not quotes.allows(OPENING, refused)


@pytest.mark.parametrize(
    "opened", ["using (var stream = Open(path)) {", "package func read() {", "use the (first of them"]
)
def test_code_behind_what_looks_like_an_import_may_be_quoted(opened: str) -> None:
    quotes = Quotes([(f"{opened}\n    stream.Write(buffer);\n}}\n", ())], "What is written?")
    assert quotes.allows(OPENING, "stream.Write")


def test_an_import_that_never_closes_does_not_hide_all_that_follows() -> None:
    lines = "".join(f"step_{n}(value);\n" for n in range(LONGEST_IMPORT + 1))
    quotes = Quotes([(f"import {{\n{lines}", ())], "What is done?")
    assert quotes.allows(OPENING, f"step_{LONGEST_IMPORT}")
    assert not quotes.allows(OPENING, "step_3(")


def test_a_file_of_tests_alone_may_be_quoted() -> None:
    quotes = Quotes([("assert_eq!(retry(7), 7);\n", (Definition("tests.counts", 0, 1),))], "How does it retry?")
    assert quotes.allows(OPENING, "assert_eq!")


def test_a_text_made_to_cost_time_costs_none() -> None:
    began = time.process_time()
    for text in ("a: " * 20_000, "x" * 60_000 + " = 1", " " * 60_000 + "=", "a\n" * 30_000, "b?: " + "c" * 60_000):
        numbers_set("", [Source(0, "a.ts\n", text)])
        says_something(text[:160])
    assert time.process_time() - began < 10  # of minutes that a pattern without an end would take
