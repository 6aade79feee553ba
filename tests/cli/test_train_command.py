"""A model trained on a repository's own code, from the command line to a question that it ranks documents for."""

import json
from pathlib import Path

from cli.conftest import CommandLine

RECIPE = {
    "rank": 2,
    "steps": 3,
    "phases": [{"routed": 1, "answers": 0}, {"answers": 1}],
    "questions": 8,
    "answer_tokens": 300,
    "memory_documents": 3,
}


def test_own_code_is_trained_on_and_the_result_is_a_model(codemem: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text(json.dumps(RECIPE))
    out = tmp_path / "ours"
    trained = codemem.json("train", "-C", ".", "--out", str(out), "--recipe", str(tmp_path / "recipe.json"))
    assert set(trained) == {"path", "steps", "seconds", "losses"}
    assert (trained["steps"], trained["path"]) == (3, str(out))
    assert {"layers", "find", "all"} <= set(trained["losses"])
    assert (out / "losses.svg").read_text().startswith("<svg")
    result = codemem.json("index", "--model", str(out))
    assert result["encoded"] == result["documents"] > 0
    found = codemem.json("find", "retry an operation", "--model", str(out), "--router", "memory")
    assert found["results"]

    again = codemem("train", "-C", ".", "--out", str(out), "--recipe", str(tmp_path / "recipe.json"))
    assert again.returncode == 2
    assert "resume" in again.stderr


def test_nothing_to_learn_from_is_said(codemem: CommandLine, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "notes.txt").write_text("no code\n")
    done = codemem("train", "-C", str(empty), "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    assert "nothing to learn from" in done.stderr
    assert "both" not in done.stdout
    mixed = codemem("train", "-C", str(empty), "--data", str(empty), "--out", str(tmp_path / "out"))
    assert "exclude each other" in mixed.stderr


def test_narrow_weights_are_not_trained_on(codemem: CommandLine, tmp_path: Path) -> None:
    done = codemem("train", "-C", ".", "--model", "msa-4b:int8", "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    assert "leave ':int8'" in done.stderr
