"""What a lent machine scores and answers is judged here by the evaluations' own measures."""

import json
from pathlib import Path

import numpy as np
import pytest

from codemem.evals.answers.questions import Line, Question
from codemem.evals.cases import Case, Repository
from codemem.model.testing import write_tiny_adapter
from codemem.training.carried.answering import main as answer
from codemem.training.carried.judge import judge_answer, judge_files, judge_lines, read_scores, ways
from codemem.training.carried.score import main as score
from codemem.training.carried.worlds import (
    World,
    WorldDocument,
    documents_of,
    part_of,
    read_documents,
    read_worlds,
    write_world,
)


@pytest.fixture
def worlds(tmp_path: Path) -> Path:
    """A repository of three files, asked about twice."""
    root = tmp_path / "repository"
    root.mkdir()
    for name, limit in (("alpha", 3), ("bravo", 5), ("delta", 7)):
        (root / f"{name}.py").write_text(f"def {name}(limit={limit}):\n    return limit + {limit}\n")
    documents = documents_of(root, "src")
    assert sorted(document.path for document in documents) == ["src/alpha.py", "src/bravo.py", "src/delta.py"]
    folder = tmp_path / "worlds"
    write_world(folder, World("tiny", "facts", (("f-1", "What is alpha's limit?"),), "tiny.jsonl.zst"), documents)
    write_world(folder, World("tiny", "semble", (("s-1", "bravo"), ("s-2", "delta")), "tiny.jsonl.zst"), None)
    return folder


def test_worlds_come_back_and_are_shared_out_whole(worlds: Path) -> None:
    listed = read_worlds(worlds)
    assert [(world.kind, len(world.questions)) for world in listed] == [("facts", 1), ("semble", 2)]
    assert read_documents(worlds, listed[0]) == read_documents(worlds, listed[1])
    shares = [part_of(listed, worlds, part, 2) for part in (0, 1)]
    assert sorted(world.kind for share in shares for world in share) == ["facts", "semble"]


@pytest.mark.parametrize(
    "more", [[], ["--keys", "int8"], ["--keys", "fp8"], ["--document-tokens", "16"], ["--aligned"]]
)
def test_scores_of_every_layer_come_back(
    tmp_path: Path, base: Path, worlds: Path, more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    adapter = write_tiny_adapter(tmp_path / "adapter.safetensors")
    out = tmp_path / "results"
    where = ["--base", str(base), "--adapter", str(adapter), "--worlds", str(worlds), "--device", "cpu"]
    score([*where, "--out", str(out), *more])
    assert json.loads(capsys.readouterr().out)["worlds"] == 2
    layers, found = read_scores(out)
    assert layers == [1, 2]
    assert found["semble tiny"].shape == (2, 3, 2)
    assert np.abs(found["facts tiny"]).max() <= 1.01  # cosines


def test_a_document_size_of_its_own_makes_smaller_documents(tmp_path: Path) -> None:
    root = tmp_path / "repository"
    root.mkdir()
    (root / "many.py").write_text("".join(f"def function_{i}(value):\n    return value + {i}\n\n\n" for i in range(40)))
    usual, small = documents_of(root), documents_of(root, most_bytes=400)
    assert len(small) > 2 * len(usual)
    assert max(len(document.text.encode()) for document in small) <= 400
    assert "".join(document.text for document in small).count("def ") == 40


def test_answers_come_back_and_are_judged(tmp_path: Path, base: Path, worlds: Path) -> None:
    adapter = write_tiny_adapter(tmp_path / "adapter.safetensors")
    where = ["--base", str(base), "--adapter", str(adapter), "--worlds", str(worlds), "--device", "cpu"]
    answer([*where, "--out", str(tmp_path / "results")])
    (row,) = [json.loads(line) for line in (tmp_path / "results/answers-0.jsonl").read_text().splitlines()]
    assert row["rounds"]
    assert row["read"]
    documents = read_documents(worlds, read_worlds(worlds)[0])
    place = next(i for i, document in enumerate(documents) if document.path == "src/alpha.py")
    question = Question(
        "f-1", "tiny", "python", "default", {"en": ["What is alpha's limit?"]}, ("3",), ("5", "7"),
        ((Line("src/alpha.py", 1),),),
    )  # fmt: skip
    right = {**row, "answer": "It is `3`.", "found": True, "cited": [[place, 0, 20]], "read": [place]}
    record = judge_answer(right, documents, question)
    assert (record.right, record.cited, record.decided) == (True, True, True)
    assert not judge_answer({**right, "answer": "It is `5`."}, documents, question).right
    assert not judge_answer({**right, "cited": [[place, 24, 40]]}, documents, question).cited


def test_files_and_lines_are_judged_by_every_way() -> None:
    documents = [WorldDocument(f"{n}.py\n", "x", f"{n}.py", 1, 9) for n in "abc"]
    scores = np.asarray([[[0.9, 0.1], [0.2, 0.8], [0.1, 0.2]]], np.float32)  # layers disagree
    world = World("w", "semble", (("s-1", "q"),), "")
    case = Case("s-1", Repository("o/w", "0000000"), "q", "symbol", ("b.py",))
    chosen = ways([5, 8], find_layers=1, every=True)
    found = {
        name: measured["NDCG@10"]
        for name, _, measured in judge_files(
            world, documents, scores, {"s-1": case}, outline={"s-1": [{"b.py": 3.0}, {}, 1.0]}, chosen=chosen
        )
    }
    assert found["layer 8"] == 1.0
    assert found["find"] < 1.0
    assert found["find, mixed"] == 1.0  # the outline names it
    assert {"to layer 5", "to layer 8", "largest of all", "all, mixed"} <= found.keys()
    question = Question("s-1", "w", "python", "k", {"en": ["q"]}, ("1",), (), ((Line("b.py", 3),), (Line("z.py", 1),)))
    shares = dict(judge_lines(world, documents, scores, {"s-1": question}, chosen))
    assert shares["layer 8"] == 0.5
