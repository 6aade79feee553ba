"""Courses are cut out of the whole data with their indices right; what the base model writes is sifted."""

from collections import Counter
from pathlib import Path

import pytest

from codemem.training.data.courses import (
    HOW,
    eighteenth_course,
    fifth_course,
    first_course,
    how_questions,
    main,
    second_course,
    third_course,
)
from codemem.training.data.read import DOCUMENTS, PAIRS, QA, Writer, rows
from codemem.training.explain import explained


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two packages of 120 definitions each, asked about in prose, and a few answers."""
    folder = tmp_path / "data"
    folder.mkdir()
    with Writer(folder / DOCUMENTS) as writer:
        for i in range(240):
            text = f"def f{i}(x):\n" + "    x += 1\n" * 30
            writer.write({"header": f"m{i % 7}.py\n", "text": text, "language": "python", "package": f"p{i % 2}"})
    with Writer(folder / PAIRS) as writer:
        for i in range(240):
            question = {"q": f"where do we add {i}?", "pos": [i], "neg": [(i + 2) % 240]}
            writer.write({**question, "kind": "prose", "language": "python" if i % 2 else "go"})
    with Writer(folder / QA) as writer:
        for i in range(5):
            record = {"question": f"What does f{i} do?", "gold": [i], "distractors": [i + 2], "answer": "It adds."}
            writer.write({**record, "evidence": "", "kind": "does", "language": "python"})
    return folder


def test_a_course_keeps_what_its_questions_lead_to(data: Path, tmp_path: Path) -> None:
    main(["second", "--data", str(data), "--out", str(tmp_path / "course")])
    before, after = (list(rows(folder / DOCUMENTS)) for folder in (data, tmp_path / "course"))
    assert [(row["package"], row["header"]) for row in after] == sorted((r["package"], r["header"]) for r in after)
    asked = list(rows(tmp_path / "course" / PAIRS))
    assert len(asked) == 240
    for pair in asked:
        number = int(pair["q"].split()[-1][:-1])
        assert after[pair["pos"][0]] == before[number]
    how = list(rows(tmp_path / "course" / HOW))
    assert how
    for row in how:
        assert any(word.isdigit() and after[row["gold"][0]]["text"].startswith(f"def f{word}(") for word in
                   row["question"].replace("?", " ").replace(".", " ").split())  # fmt: skip
        assert {after[d]["package"] for d in row["distractors"]} == {after[row["gold"][0]]["package"]}
        assert row["gold"][0] not in row["distractors"]


def test_a_third_course_asks_the_answers_questions_and_keeps_what_competes(data: Path, tmp_path: Path) -> None:
    main(["third", "--data", str(data), "--out", str(tmp_path / "course")])
    after = list(rows(tmp_path / "course" / DOCUMENTS))
    asked = list(rows(tmp_path / "course" / PAIRS))
    answers = {row["q"]: row for row in asked if row["kind"] == "asked"}
    assert set(answers) == {f"What does f{i} do?" for i in range(5)}
    assert after[answers["What does f3 do?"]["pos"][0]]["text"].startswith("def f3(")
    assert [after[d]["text"][:7] for d in answers["What does f3 do?"]["neg"]] == ["def f5("]
    assert all(row["neg"] for row in asked)
    assert third_course(data).pairs == third_course(data).pairs


def test_languages_can_be_left_out(data: Path, tmp_path: Path) -> None:
    main(["fourth", "--data", str(data), "--out", str(tmp_path / "course"), "--without", "python", "ruby"])
    asked = list(rows(tmp_path / "course" / PAIRS))
    assert {row["language"] for row in asked} == {"go"}
    assert len(asked) == 120
    after = list(rows(tmp_path / "course" / DOCUMENTS))
    assert {after[row["pos"][0]]["text"].split("(")[0] for row in asked} == {f"def f{i}" for i in range(0, 240, 2)}
    assert not list(rows(tmp_path / "course" / QA))


def test_a_fifth_course_answers_as_often_about_other_languages_as_about_python(data: Path) -> None:
    record = {"distractors": [], "answer": "So.", "evidence": "", "kind": "raises"}
    with Writer(data / QA) as writer:
        for i in range(6000):
            language = "python" if i % 4 else "go"
            writer.write({**record, "question": f"What {i}?", "gold": [i % 240], "language": language})
    kept = fifth_course(data).answers
    assert Counter(row["language"] for row in kept) == {"python": 1500, "go": 1500}
    assert Counter(row["language"] for row in third_course(data).answers)["python"] > 1700


def test_an_eighteenth_course_has_room_for_every_package(data: Path) -> None:
    with Writer(data / PAIRS) as writer:
        for i in range(240):
            question = {"q": f"where do we add {i}?", "pos": [i], "neg": []}
            writer.write({**question, "kind": "prose", "language": "python"})
    assert third_course(data, python=1).packages < eighteenth_course(data).packages == {"p0", "p1"}


def test_python_is_held_to_its_share(data: Path) -> None:
    course = first_course(data, pairs=120, python=0.25)
    python = sum(pair["language"] == "python" for pair in course.pairs)
    assert 15 <= python <= 45  # 30 expected of 120
    assert 65 <= len(course.pairs) - python <= 115
    assert len(course.answers) == 5


def test_packages_of_few_questions_are_left_out_and_the_same_data_give_the_same_course(data: Path) -> None:
    assert second_course(data, python=0, others=500).pairs == second_course(data, python=0, others=500).pairs
    with Writer(data / PAIRS) as writer:
        writer.write({"q": "where do we add?", "pos": [1], "neg": [], "kind": "prose", "language": "python"})
    assert second_course(data).pairs == []


def test_how_questions_need_a_definition_of_some_length() -> None:
    short = {"header": "a.py\n", "text": "def f(): ...", "language": "python", "package": "p"}
    pair = {"q": "where do we add?", "pos": [0], "kind": "prose", "language": "python"}
    assert how_questions([pair], [short], 5) == []


@pytest.mark.parametrize(
    ("written", "whole", "learnt"),
    [
        ("It reads the  header\nand returns its fields.", True, "It reads the header and returns its fields."),
        ("It reads the header and returns its fields. Then", False, "It reads the header and returns its fields."),
        ("It does this:\n1. reads the header and returns fields", True, None),
        ("```python\nprint('the header of the file is read')\n```", True, None),
        ("It reads.", True, None),
    ],
)  # fmt: skip
def test_answers_cut_short_or_no_prose_are_not_learnt(written: str, learnt: str | None, *, whole: bool) -> None:
    assert explained(written, whole=whole) == learnt
