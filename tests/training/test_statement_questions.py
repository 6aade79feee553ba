"""Questions that one statement of a pinned package answers: which are drawn, what is kept, and the committed sets."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from codemem.config import Settings
from codemem.evals.answers.evaluate import Options, evaluate_answers
from codemem.evals.answers.judge import is_right
from codemem.evals.answers.packages import SPLITS, Package, Split, read_pins
from codemem.evals.answers.questions import Line, Question, read_questions, set_path
from codemem.evals.answers.run import Asking
from codemem.evals.errors import EvaluationError
from codemem.model.quotes import can_be_quoted
from codemem.training.statement_questions import OF_A_PACKAGE, PLACES, drawn, written

PACKAGE = Package("limits", "dev", "pypi", "1", "0" * 64, "python")
LIMITER = """class Limiter:
    def take(self, count=1):
        \"\"\"Number of calls to take.\"\"\"
        if self.left < count:
            raise TooMany(count)
        self.left -= count
        return self


def short(count):
    return count + 1
"""
COMMON = """def wait_{0}(self, clock):
    pause = self.pause
    clock.sleep(pause * 2)
    pause = 0
    return pause
"""
QUESTION, ANSWER = "What happens when more is asked for than is left?", "The limiter raises TooMany."


def test_one_statement_of_a_function_is_drawn_by_hash_with_its_lines() -> None:
    files = {"limits/limiter.py": LIMITER}
    (found,) = drawn(PACKAGE, files, 10)
    assert found.document["header"] == "limits/limiter.py Limiter\n"
    assert found.statement in (
        "if self.left < count: raise TooMany(count)",
        "raise TooMany(count)",
        "self.left -= count",
    )
    (place,) = found.places
    assert place.path == "limits/limiter.py"
    assert LIMITER.split("\n")[place.line - 1].strip() in found.statement
    assert drawn(PACKAGE, files, 10) == [found]


def test_what_stands_everywhere_answers_nothing() -> None:
    every = {f"limits/{n}.py": COMMON.format(n) for n in range(PLACES + 1)}
    assert drawn(PACKAGE, every, 10) == []
    few = dict(list(every.items())[:PLACES])
    assert {len(found.places) for found in drawn(PACKAGE, few, 10)} == {PLACES}
    assert len(drawn(PACKAGE, few, 1)) == 1


class Model:
    """Writes what it is told to."""

    together = 2

    def __init__(self, *said: str) -> None:
        self.said = list(said)

    def write(self, prompts: Sequence[str], *, most: int = 112) -> list[tuple[str, bool]]:
        return [(self.said.pop(0), True) for _ in prompts]


def test_a_question_is_right_where_its_statement_is_quoted() -> None:
    (given,) = drawn(PACKAGE, {"limits/limiter.py": LIMITER}, 10)
    given = given._replace(statement="raise TooMany(count)", places=(Line("limits/limiter.py", 5),))
    faults: Counter[str] = Counter()
    (question,) = written(Model(f"{QUESTION}\n{ANSWER}", "No question\nNothing."), [given, given], faults)  # type: ignore[arg-type]
    assert faults == {"kept": 1, "no question": 1}
    assert QUESTION[5:-1].lower() in question.text().lower()
    assert question.evidence == ((Line("limits/limiter.py", 5),),)
    assert is_right("See `raise TooMany(count)` in `Limiter.take`. It raises.", question)
    assert is_right("See `if self.left < count: raise TooMany(count)` in `Limiter.take`.", question)
    assert not is_right("See `self.left -= count` in `Limiter.take`. It raises TooMany(count).", question)


@pytest.mark.parametrize("split", SPLITS)
def test_committed_sets_are_whole(split: Split) -> None:
    questions = read_questions(set_path("statements", split))
    pins = read_pins()
    assert {pins[question.package].split for question in questions} == {split}
    assert len({question.identifier for question in questions}) == len(questions) >= 60
    assert max(Counter(question.package for question in questions).values()) <= OF_A_PACKAGE[split]
    named = 0
    for question in questions:
        (statement,), (places,) = question.expected, question.evidence
        assert can_be_quoted(statement)
        assert 1 <= len(places) <= PLACES
        assert question.asked.keys() == {"en"}
        assert not is_right(question.text(), question)
        named += "`" in question.text()
    assert 0.2 < named / len(questions) < 0.5


def test_statements_are_asked_in_english_alone(tmp_path: Path) -> None:
    (tmp_path / "sqlparse").mkdir()
    options = Options(
        "statements", tmp_path, tmp_path / "out", systems=("memory",), packages=("sqlparse",), asking=Asking("de")
    )
    with pytest.raises(EvaluationError, match="English alone"):
        evaluate_answers(options, Settings.load())


def test_questions_are_kept_as_json(tmp_path: Path) -> None:
    (first, *_) = read_questions(set_path("statements", "dev"))
    assert Question.from_json(json.loads(json.dumps(first.to_json()))) == first
