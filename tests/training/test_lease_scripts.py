"""What a lease runs: scripts that a shell can read, programs that start, and questions that are whole."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from app.fake_engine import FakeEngine

from codemem.config import Settings
from codemem.evals.answers.packages import read_pins
from codemem.index import IndexOptions, index
from codemem.training.lease import plain_questions, swe_qa, work
from codemem.workspace import open_workspace

LEASE = Path(__file__).parents[2] / "training" / "lease"


@pytest.mark.parametrize("script", sorted(LEASE.glob("*.sh")), ids=lambda path: path.stem)
def test_a_script_can_be_read_and_calls_what_is_there(script: Path) -> None:
    subprocess.run(["sh", "-n", str(script)], check=True)
    called = re.findall(r"training/lease/\w+\.\w+", script.read_text(encoding="utf-8"))
    assert all((LEASE.parents[1] / name).is_file() for name in called)


@pytest.mark.parametrize("main", [plain_questions.main, swe_qa.main], ids=["plain_questions", "swe_qa"])
def test_help_says_how_to_run_it(main: Callable[[list[str]], None], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    assert left.value.code == 0
    assert f"python3 -m {main.__module__}" in capsys.readouterr().out


def test_plain_questions_are_whole() -> None:
    documents, asked = plain_questions.read_data()
    dev = {package.folder for package in read_pins().values() if package.split == "dev"}
    assert len({question.identifier for question in asked}) == len(asked)
    for question in asked:
        assert question.kind in plain_questions.KINDS
        assert question.text
        assert all(question.files)
        assert question.files
        assert all(question.wanted)
        assert question.wanted
        tree = {"test": {"test"}, "own": {"codemem"}, "pkg": dev, "key": dev}[question.kind]
        assert question.tree in tree
    headers = [header.strip() for header, _ in documents]
    ranked = [question for question in asked if question.kind == "test"][1:]
    assert [headers.index(question.files[0]) for question in ranked] == list(range(len(headers)))


def test_the_own_tree_does_not_hold_the_answers(tmp_path: Path) -> None:
    own = tmp_path / "own"
    for name in ("README.md", "training/lease/work.py", "training/lease/plain_questions.toml", "evals/sets/facts.txt"):
        (own / name).parent.mkdir(parents=True, exist_ok=True)
        (own / name).write_text(name, encoding="utf-8")
    root = plain_questions.make_tree("codemem", tmp_path / "trees", repositories=tmp_path, own=own)
    copied = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    assert copied == {"README.md", "training/lease/work.py"}


def test_a_wanted_text_is_a_word_that_no_digit_follows() -> None:
    assert plain_questions.holds("It retries 7 times.", ["seven", "7"])
    assert not plain_questions.holds("It waits for 17 or 75 seconds.", ["7"])


def test_a_memory_encoded_in_shares_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As lease/swe_qa.py does: outline first, then each process its share, then one that notes what all did."""
    monkeypatch.setattr(work, "BLOCK", 1)
    root, engine = tmp_path / "tree", FakeEngine()
    settings = Settings.load({"CODEMEM_HOME": str(tmp_path / "home")})
    root.mkdir()
    for number in range(5):
        (root / f"f{number}.py").write_text(f"def f{number}():\n    return {number}\n", encoding="utf-8")
    with open_workspace(root, settings, whole=True) as workspace:
        documents = index(workspace, settings, lambda _: engine, IndexOptions("outline")).documents
    notes = [tmp_path / f"{part}.npz" for part in range(7)]
    for part, note in enumerate(notes):
        work.encode_share(engine, settings, root, part=part, parts=len(notes), note=note)
    assert work.wait_for(notes, patience=0)
    work.settle_memory(engine, settings, root, notes)
    with open_workspace(root, settings, whole=True) as workspace:
        done = index(workspace, settings, lambda _: engine, IndexOptions("ask"))
    assert (done.encoded, done.reused) == (0, documents)


def _row(case: str, named: float) -> dict[str, Any]:
    counted = {"identifiers": 4, "invented": ["made_up"], "found": True, "tokens": 20, "seconds": 0.5}
    return {"system": "memory", "case": case, "named": named, "cited": 1.0, **counted}


def test_the_report_compares_the_first_with_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, values in (("new", (0.75, 0.5)), ("old", (0.5, 0.25))):
        lines = [json.dumps(_row(f"requests-{number:02d}", value)) for number, value in enumerate(values)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines) + '\n{"system": "mem', encoding="utf-8")
    swe_qa.main(["--report", f"new={tmp_path}/new*.jsonl", f"old={tmp_path}/old*.jsonl"])
    said = capsys.readouterr().out
    assert "2 named 0.625 [0.500, 0.750] cited 1.000" in said
    assert "invented 0.250 of 8" in said
    assert "new memory minus old memory, 2: named 0.250 [0.250, 0.250], cited 0.000 [0.000, 0.000]" in said
