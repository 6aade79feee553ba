"""Answers are judged by exact match, citations by lines."""

import pytest

from codemem.evals.answers.judge import Span, counted, covered, identifiers, invented, is_right
from codemem.evals.answers.questions import Line, Question
from codemem.evals.answers.reading import Given, Piece, lines_of_bytes
from codemem.evals.answers.scoring import FAILURES, difference, failure, invented_share, mean, recall_at, score


def question(*expected: str, rivals: tuple[str, ...] = (), kind: str = "default") -> Question:
    asked = {"en": ["Which value does `timeout` take in `fetch`?"]}
    evidence = ((Line("a.py", 5),), (Line("b.py", 40), Line("b.py", 90))) if expected else ()
    return Question("q", "demo", "python", kind, asked, expected, rivals, evidence)


@pytest.mark.parametrize(
    ("answer", "expected", "rivals", "right"),
    [
        ("`timeout` defaults to `30` in `fetch`.", "30", (), True),
        ("It is 30.", "30", (), True),
        ("It is 300.", "30", (), False),
        ("It is 1.30 seconds.", "30", (), False),
        ("It is 30.5.", "30", (), False),
        ("It is -1.", "1", (), False),
        ("It is 30, never 10.", "30", ("10",), True),
        ("It is 10, not 30.", "30", ("10",), False),
        ("The value is 'utf-8'.", '"utf-8"', (), True),
        ("The value is utf-8-sig.", '"utf-8"', (), False),
        ("True", "True", (), True),
        ("It is `true`.", "True", (), True),
        ("false, although it was true", "True", (), False),
        ("None", "nil", (), True),
        ("It raises ValueErrors.", "ValueError", (), False),
        ("It raises `http.ValueError`.", "ValueError", (), True),
        ("", "30", (), False),
    ],
)
def test_a_value_counts_where_it_stands_alone_and_first(
    answer: str, expected: str, rivals: tuple[str, ...], right: bool
) -> None:
    assert is_right(answer, question(expected, rivals=rivals)) is right


def test_all_of_several_values_must_be_named() -> None:
    both = question("Debug", "Clone")
    assert is_right("It derives Clone and Debug.", both)
    assert not is_right("It derives Debug.", both)


def test_what_the_question_says_is_no_rival() -> None:
    assert is_right("In fetch it is 30.", question("30", rivals=("fetch",)))


def test_citations_are_few_and_short() -> None:
    wide = [Span("b.py", 11, 60), *[Span("c.py", 1, 2)] * 3]
    assert counted(wide)[0] == Span("b.py", 11, 40)
    assert len(counted(wide)) == 3
    assert covered(counted(wide), question("30")) == [False, True]
    assert covered([Span("b.py", 41, 89), Span("other/a.py", 1, 9)], question("30")) == [False, False]


def test_identifiers_of_prose_and_code() -> None:
    assert identifiers("Call `session.get` or set_timeout, as HttpClient does; plain words are none.") == {
        "session", "get", "set_timeout", "HttpClient",
    }  # fmt: skip
    assert invented("`timeout` is `MAX_WAIT`, see fetchAll.", ["MAX_WAIT = 3"], "what is timeout?") == {"fetchAll"}


def given(answer: str, *citations: Span, found: bool = True) -> Given:
    read = [Piece(Span("b.py", 31, 50), "\n".join(f"line_{n}" for n in range(31, 51)))]
    return Given(answer, found, list(citations), read, read)


def test_a_record_says_what_was_read_cited_and_made_up() -> None:
    record = score(
        question("30"), "What is `timeout`?", given("It is 30 by `set_wait`, line_35.", Span("b.py", 39, 41)), len
    )
    assert (record.right, record.cited, record.cited_all, record.gold_read, record.decided) == (
        True, True, False, 0.5, True,
    )  # fmt: skip
    assert record.invented == ("set_wait",)
    assert record.identifiers == 2
    assert failure(record) is None


@pytest.mark.parametrize(
    ("made", "expected", "kind"),
    [
        (given("It is 30."), ("30",), "right, but no citation holds the deciding line"),
        (given("It is 10."), ("30",), "named another value of the kind, deciding line read"),
        (given("It is good."), ("30",), "named no value of the kind, deciding line read"),
        (given("", found=False), ("30",), "refused with the deciding line read"),
        (Given(), ("30",), "refused, deciding line not read"),
        (Given("It is 10.", True), ("30",), "named another value of the kind, deciding line not read"),
        (Given("It is good.", True), ("30",), "named no value of the kind, deciding line not read"),
        (given("It is 30."), (), "answered although nothing is there"),
        (given("", found=False), (), None),
    ],
)
def test_every_failure_has_a_kind(made: Given, expected: tuple[str, ...], kind: str | None) -> None:
    asked = question(*expected, rivals=("10",) if expected else ())
    assert failure(score(asked, asked.text(), made, len)) == kind
    assert kind is None or kind in FAILURES


def test_recall_counts_the_first_2000_tokens_and_cuts_the_piece_that_exceeds_them() -> None:
    long = Piece(Span("b.py", 1, 100), "x " * 4000)
    other = Piece(Span("a.py", 1, 9), "x")
    count = {long.text: 4000, other.text: 1}.__getitem__
    assert recall_at([long, other], question("30"), count) == 0.5  # lines 1 to 50 of b.py; a.py comes too late
    assert recall_at([other, long], question("30"), count) == 1.0
    assert recall_at([], question("30"), count) == 0.0


def test_means_differences_and_shares() -> None:
    right, wrong = (score(question("30"), "?", given(text), len) for text in ("30", "`guess_it`"))
    found = mean([right, wrong], "right")
    assert found is not None
    assert found.mean == 0.5
    assert mean([right], "refused, of absent") is None
    gap = difference([right], [wrong])
    assert gap is not None
    assert gap.mean == 1.0
    assert invented_share([right, wrong]) == 1.0
    assert invented_share([right]) is None


def test_bytes_of_a_piece_are_lines_of_the_file() -> None:
    piece = Piece(Span("a.py", 10, 12), "first\nsécond\nthird")
    assert lines_of_bytes(piece, 6, 14) == Span("a.py", 11, 11)
    assert lines_of_bytes(piece, 0, len(piece.text.encode())) == Span("a.py", 10, 12)
