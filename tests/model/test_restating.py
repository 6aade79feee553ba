"""Behind a quotation, what only says the question again is not shown; everything else is, piece by piece."""

import pytest

from codemem.model.restating import Restating

QUESTION = "How many jobs of a limiter may run at once if no number is given?"
QUOTED = "See `this.jobs = [];` in `Limiter`. "


def shown(question: str, answer: str, size: int) -> tuple[list[str], str]:
    """What is shown of an answer that comes in pieces of a size, and all of it."""
    restating = Restating(question)
    pieces = [restating.push(answer[at : at + size]) for at in range(0, len(answer), size)]
    pieces.append(restating.finish())
    assert "".join(pieces) == restating.text
    return pieces, restating.text


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (QUOTED + "The limiter may run at once if no number is given.", QUOTED),
        (QUOTED + "Jobs run once because the number is given.", QUOTED),
        (QUOTED + "The limiter may run any number. It starts with no jobs at all, and queues them.", None),
        (QUOTED + "The limiter queues jobs.", None),
        (QUOTED + "Infinity.", None),
        (QUOTED, None),
        ("See `this.jobs = [];`. The limiter runs.", "See `this.jobs = [];`. "),
        ("See `this.jobs = [];` in `Limiter`", None),
        ("See `this.jobs = [];", None),
        ("The limiter may run at once if no number is given.", None),  # quotes nothing: all that there is
        ("`jobs` defaults to `3` in `limiter`.", None),
        ("", None),
    ],
)
def test_only_what_adds_something_stands_behind_a_quotation(answer: str, kept: str | None, size: int) -> None:
    assert shown(QUESTION, answer, size)[1] == (answer if kept is None else kept)


def test_a_quotation_is_shown_while_it_is_written() -> None:
    pieces, _ = shown(QUESTION, QUOTED + "The limiter queues jobs.", 1)
    assert "".join(pieces[: len("See `this.jobs")]) == "See `this.jobs"
    held = QUOTED + "The limiter queues"
    assert "".join(pieces[: len(held)]) == QUOTED  # until the first word that is new is whole
    assert "".join(pieces[: len(held) + 1]) == held + " "


def test_other_forms_of_a_word_are_not_new() -> None:
    question = "How are bytes decoded when no encoding is given?"
    for said in ("Bytes are decoded when no encoding is given.", "It decodes a byte by the given encodings."):
        assert shown(question, f"See `x = decode(y)` in `f`. {said}", 5)[1] == "See `x = decode(y)` in `f`. "
    assert shown(question, "See `x = decode(y)` in `f`. As UTF-8.", 5)[1].endswith("As UTF-8.")
