"""The committed sets: pinned packages that no training reads, splits by package, evidence where it is said to be."""

import importlib.util
import itertools
import json
import re
from collections import Counter
from pathlib import Path

import pytest

from codemem.evals.answers.growth import SIZES, Growth, grown, read_growth, replaced
from codemem.evals.answers.judge import is_right
from codemem.evals.answers.packages import SPLITS, Package, Split, kept_files, read_pins
from codemem.evals.answers.premise_questions import premises_of
from codemem.evals.answers.questions import (
    TONGUES,
    Code,
    Question,
    SetName,
    read_questions,
    sample,
    set_path,
    write_questions,
)
from codemem.evals.answers.syntax import read_facts

TRAINING = Path(__file__).parent.parent.parent / "training" / "data"
NAMES: tuple[SetName, ...] = ("facts", "hops")
EVERY = {(name, split): read_questions(set_path(name, split)) for name in NAMES for split in SPLITS}


def listed() -> set[str]:
    """Names of packages that training downloads, without what distributions put around a name."""
    files = [path for path in (TRAINING / "sources").glob("*.txt") if not path.name.startswith("never-")]
    lines = [line for path in files for line in path.read_text(encoding="utf-8").split("\n")]
    return {line for line in lines if line and not line.startswith("#")}


def test_no_training_package_is_asked_about() -> None:
    names = {package.name for package in read_pins().values()}
    bare = {name.removeprefix("golang-github-").removesuffix("-dev").removeprefix("librust-") for name in names}
    assert (names | bare) & listed() == set()
    ids = {row["id"].partition(":")[2] for row in json.loads((TRAINING / "manifest.json").read_text(encoding="utf-8"))}
    assert names & ids == set()


def test_no_sentence_is_one_that_training_uses() -> None:
    if importlib.util.find_spec("zstandard") is None:
        pytest.fail("the development environment carries zstandard")
    from codemem.evals.answers.phrasing import phrasings

    text = "\n".join(path.read_text(encoding="utf-8") for path in TRAINING.glob("*.py"))
    skeletons = [
        part.strip(" ?`.,:")
        for kind, tongues in phrasings().items()
        if kind != "spoken"
        for template in tongues["en"]
        for part in [max(template.replace("`", "").split("{"), key=len).rpartition("}")[2]]
    ]
    assert len(skeletons) > 60
    assert [skeleton for skeleton in skeletons if len(skeleton) > 20 and skeleton in text] == []


def test_splits_share_no_package_and_recent_packages_are_dated() -> None:
    pins = read_pins()
    for (_, split), questions in EVERY.items():
        assert {pins[question.package].split for question in questions} == {split}
    assert all((package.first or "") > "2024-06" for package in pins.values() if package.split == "recent")
    for split in ("dev", "held-out"):
        assert len({package.language for package in pins.values() if package.split == split}) >= 4
    assert len(EVERY["facts", "held-out"]) > 2 * len(EVERY["facts", "dev"])


@pytest.mark.parametrize("key", EVERY)
def test_questions_are_complete(key: tuple[SetName, str]) -> None:
    questions = EVERY[key]
    assert len({question.identifier for question in questions}) == len(questions)
    for question in questions:
        assert set(question.asked) == set(TONGUES)
        assert bool(question.evidence) == question.answerable
        if question.answerable:
            assert len(question.evidence) >= (2 if key[0] == "hops" else 1)
            assert is_right(f"It is {' and '.join(f'`{value}`' for value in question.expected)}.", question)
            assert not is_right(question.text(), question)
            assert not is_right("", question)
    share = sum(not question.answerable for question in questions) / len(questions)
    assert 0.1 < share < 0.35


@pytest.mark.parametrize("split", SPLITS)
def test_premises_name_code_that_is_there_and_have_no_answer(split: Split) -> None:
    questions = read_questions(set_path("premises", split))
    assert {question.kind for question in questions} == {
        "parameter+default", "needed+default", "no+bases", "no+caller", "no+decorators", "no+raises",
    }  # fmt: skip
    pins = read_pins()
    assert {pins[question.package].split for question in questions} == {split}
    assert not any(question.answerable or question.evidence for question in questions)
    kinds = Counter((question.package, question.kind) for question in questions)
    assert max(kinds.values()) == 3
    # Each has the words of a fact, so that words alone tell nothing.
    facts = {phrase for question in EVERY["facts", split] for phrase in question.asked["en"]}
    blank = re.compile(r"`[^`]*`")
    forms = {blank.sub("``", phrase) for phrase in facts}
    shared = [q for q in questions if any(blank.sub("``", phrase) in forms for phrase in q.asked["en"])]
    assert len(shared) > 0.8 * len(questions)


def test_what_is_so_is_no_false_premise() -> None:
    """Of one file every kind that is generated, and none of what stands there."""
    text = """
import functools

class Plain:
    def send(self, payload, timeout=3):
        return payload + timeout

    def close(self, reason):
        return self.send(reason)

    def later(self, wait):
        wait = wait or 5
        return wait

    @functools.cache
    def fails(self, value):
        raise ValueError(value)

class Child(Plain):
    def asks(self, retries=2):
        return self.fails(retries)
"""
    files = {"plain.py": text}
    facts = read_facts(files.items(), "python")
    found = {(q.kind, q.text()) for q in premises_of(Code("demo", "python"), facts, files)}

    def about(kind: str) -> str:
        return " ".join(text for of, text in found if of == kind)

    assert "Plain" in about("no+bases")
    assert "Child" not in about("no+bases")
    assert "asks" in about("no+caller")
    assert "send" not in about("no+caller")
    assert "fails" not in about("no+decorators") + about("no+raises")
    assert "asks" not in about("no+raises")  # what it calls raises
    assert "`reason`" in about("needed+default")
    assert "`timeout`" not in about("needed+default")
    assert "`wait`" not in about("needed+default")
    assert about("parameter+default")


def test_sets_are_written_as_they_are_read(tmp_path: Path) -> None:
    for key, questions in EVERY.items():
        path = tmp_path / set_path(*key).name
        write_questions(questions, path)
        assert path.read_bytes() == set_path(*key).read_bytes()


def test_a_sample_has_every_kind() -> None:
    questions = EVERY["facts", "dev"]
    kinds = {question.kind for question in questions}
    chosen = sample(questions, len(kinds))
    assert {question.kind for question in chosen} == kinds
    assert len(sample(questions, 10_000)) == len(questions)


@pytest.mark.parametrize("split", ["dev", "held-out"])
def test_growth_is_nested_and_begins_with_the_answers(split: str) -> None:
    by_id = {q.identifier: q for key, found in EVERY.items() if key[1] == split for q in found}
    worlds = read_growth(split)  # type: ignore[arg-type]
    asked = [name for world in worlds for name in world.questions]
    assert len(asked) == len(set(asked)) >= 50
    for world in worlds:
        smallest = {(file.package, file.path) for file in world.prefix(SIZES[0])}
        needed = {(by_id[n].package, line.path) for n in world.questions for step in by_id[n].evidence for line in step}
        assert needed <= smallest
        sizes = [[(file.package, file.path) for file in world.prefix(size)] for size in SIZES]
        for smaller, larger in itertools.pairwise(sizes):
            assert larger[: len(smaller)] == smaller
            assert len(larger) > len(smaller)


def test_a_grown_repository_holds_the_prefix(tmp_path: Path) -> None:
    from codemem.evals.answers.growth import GrowthFile
    from codemem.evals.errors import EvaluationError

    for name in ("one.py", "two.py"):
        (tmp_path / "repositories" / "sqlparse").mkdir(parents=True, exist_ok=True)
        (tmp_path / "repositories" / "sqlparse" / name).write_text("x = 1\n", encoding="utf-8")
    growth = Growth(("q",), (GrowthFile("sqlparse", "one.py", 10), GrowthFile("sqlparse", "two.py", 10)))
    root = grown(growth, 15, tmp_path / "repositories", tmp_path / "out")
    assert [path.relative_to(root).as_posix() for path in root.rglob("*.py")] == ["sqlparse/one.py"]
    with pytest.raises(EvaluationError, match="distractors"):
        growth.prefix(1000)
    question: Question = next(q for q in EVERY["facts", "dev"] if q.package == "sqlparse" and q.answerable)
    assert replaced(question).evidence[0][0].path == f"sqlparse/{question.evidence[0][0].path}"


def test_only_source_and_documentation_is_kept(tmp_path: Path) -> None:
    import zipfile

    archive = tmp_path / "demo-1-py3-none-any.whl"
    with zipfile.ZipFile(archive, "w") as wheel:
        for name in ("demo/a.py", "demo/tests/b.py", "demo-1.dist-info/METADATA", "demo/logo.png", "demo/test_c.py"):
            wheel.writestr(name, "x = 1\n")
        wheel.writestr("demo/binary.py", b"\0\1")
    package = Package("demo", "dev", "pypi", "1", "", "python")
    assert [path for path, _ in kept_files(package, archive)] == ["demo/a.py"]
