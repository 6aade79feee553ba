"""Reports of answers already recorded: over the questions that all systems were asked, and no others."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from codemem.evals.answers import recorded
from codemem.evals.answers.judge import Span
from codemem.evals.answers.questions import Line, Question
from codemem.evals.answers.reading import Given, Piece
from codemem.evals.answers.run import Records
from codemem.evals.answers.scoring import score

OURS, OTHER = "memory-one-round", "memory"
SYSTEMS = ["--system", OURS, "--system", OTHER]
READ = Piece(Span("a.py", 1, 9), "def port(): return 80")


def question(number: int, *expected: str) -> Question:
    asked = {"en": [f"Which port has server {number}?"]}
    evidence = ((Line("a.py", 1),),) if expected else ()
    return Question(f"facts-demo-{number}", "demo", "python", "default", asked, expected, (), evidence)


QUESTIONS = [question(1, "80"), question(2, "80"), question(3), question(4, "80")]
RIGHT = Given("80", True, [Span("a.py", 1, 2)], [READ], [READ])


def keep(folder: Path, system: str, given: list[Given], circumstances: str = "") -> None:
    records = Records(folder, system, {"as": circumstances})
    for asked, answer in zip(QUESTIONS, given, strict=False):
        records.add(score(asked, asked.text(), answer, len))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ours was asked all four and is right; the other was asked three, read nothing for one, and missed that."""
    monkeypatch.setattr(recorded, "read_questions", lambda _: QUESTIONS)
    keep(tmp_path, OURS, [RIGHT, RIGHT, Given(), RIGHT])
    keep(tmp_path, OTHER, [replace(RIGHT, rounds=2), Given("It was 443.", True), Given(rounds=0)])
    return tmp_path


def report(folder: Path, split: str, *more: str) -> tuple[str, dict[str, object]]:
    out = folder / "out"
    assert recorded.main([str(folder), "--set", "facts", "--split", split, *SYSTEMS, "--out", str(out), *more]) == 0
    (page,) = out.glob("*.md")
    return page.read_text(encoding="utf-8"), json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))


def test_only_questions_that_all_systems_were_asked_are_compared(folder: Path) -> None:
    note = folder / "note.txt"
    note.write_text("Answered on a lent machine.\n", encoding="utf-8")
    text, content = report(folder, "dev", "--note", str(note))
    assert "3 of 4 questions (2 of 3 with an answer)" in text
    assert "Compared by package: demo 3 of 4." in text
    assert f"Asked: {OURS} 4, {OTHER} 3." in text
    assert "Answered on a lent machine." in text
    assert "| memory | 0.500 [0.000, 1.000] | +100% |" in text
    assert content["judged"] == {
        "facts-demo-1": "rcadf1 rcadf2",
        "facts-demo-2": "rcadf1 f1",
        "facts-demo-3": "r1 r0",
    }


def test_rounds_are_set_beside_what_ours_did_with_the_same_questions(folder: Path) -> None:
    text, _ = report(folder, "dev")
    assert "| memory | 1 | 1 | 0.00 | 1.00 | 0.00 | 1.00 |\n| memory | 2 | 1 | 1.00 | 1.00 | 1.00 | 1.00 |" in text
    assert "| memory-one-round | 1 | 2 |" not in text


@pytest.mark.parametrize(("split", "shown"), [("dev", True), ("held-out", False)])
def test_no_example_of_a_held_out_package_is_shown(folder: Path, split: str, shown: bool) -> None:
    keep(folder, OURS, [Given("It was 443.", True)])
    text, _ = report(folder, split)
    assert (QUESTIONS[0].text() in text) is shown
    assert "named no value of the kind" in text


def test_records_of_two_circumstances_are_not_mixed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keep(folder, OTHER, [RIGHT], "another adapter")
    arguments = [str(folder), "--set", "facts", *SYSTEMS, "--out", str(folder / "out")]
    assert recorded.main(arguments) == 1
    assert "2 files of memory about facts-dev" in capsys.readouterr().err
