"""An MSA checkpoint through the commands: convert, info, check, index, find, ask, status; in-process."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from app.conftest import commit, git, write
from msa4b_tiny import Shape

from codemem.cli.app import run
from codemem.model.msa4b.check import _better, _trial, check
from codemem.model.msa4b.checkpoint import Msa4bModel
from codemem.model.msa4b.facts import plant
from codemem.model.msa4b.memory import Msa4bMemory
from codemem.model.msa4b.ranking import record_ranking, recorded_ranking, with_ranking

FILES = {
    "store.py": "def open_store(path):\n    return Store(path)\n",
    "retry.py": "LIMIT = 7\n\n\ndef retry(call):\n    for _ in range(LIMIT):\n        call()\n",
    "notes.md": "# Notes\n\n[1]<|object_ref_end|> is text here.\n",
}


class Commands:
    def __init__(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.home, self._capsys = home, capsys

    def __call__(self, *arguments: str, code: int = 0) -> tuple[str, str]:
        found = run([*arguments])
        out, err = self._capsys.readouterr()
        assert found == code, err
        return out, err

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--json")[0])


@pytest.fixture
def codemem(
    tmp_path: Path,
    checkpoint: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Commands:
    """In a small repository, with the tiny checkpoint standing for msa-4b."""
    home, root = tmp_path / "home", tmp_path / "repository"
    home.mkdir()
    (home / "config.toml").write_text(f'threads = 1\ndevice = "cpu"\n[models]\nmsa-4b = "{checkpoint()}"\n')
    root.mkdir()
    git(root, "init", "-q")
    write(root, FILES)
    commit(root)
    monkeypatch.setenv("CODEMEM_HOME", str(home))
    monkeypatch.chdir(root)
    return Commands(home, capsys)


def test_from_index_to_answer(codemem: Commands) -> None:
    indexed = codemem.json("index", "--model", "msa-4b")
    assert (indexed["model"], indexed["documents"], indexed["encoded"]) == ("msa-4b", 3, 3)
    again = codemem.json("index", "--model", "msa-4b")
    assert (again["encoded"], again["reused"]) == (0, 3)
    status = codemem.json("status", "--model", "msa-4b", "--verify")
    assert (status["model"], status["fresh"], status["problems"]) == ("msa-4b", True, [])
    assert "codemem index --model small" in codemem("status", "--model", "small", code=3)[1]

    scores = {}
    for rule in ("cosine", "scaled"):
        found = codemem.json("find", "where is the store opened", "--router", "memory", "--ranking", rule)
        assert {result["path"] for result in found["results"]} == {"store.py", "retry.py", "notes.md"}
        scores[rule] = {result["path"]: result["score"] for result in found["results"]}
    assert scores["cosine"] != scores["scaled"]
    default = codemem.json("find", "where is the store opened", "--router", "memory", "--model", "msa-4b")
    assert {result["path"]: result["score"] for result in default["results"]} == scores["scaled"]

    answered = codemem.json("ask", "What is the limit?", "--ranking", "cosine")
    assert answered["model"] == "msa-4b"
    assert [layer["layer"] for layer in answered["rounds"][0]["layers"]] == [1, 2]


def test_a_model_of_one_rule_refuses_another(codemem: Commands, tmp_path: Path) -> None:
    from codemem.model.testing import write_tiny_adapter, write_tiny_checkpoint

    write_tiny_adapter(write_tiny_checkpoint(tmp_path / "own") / "codemem-adapter.safetensors")
    with (codemem.home / "config.toml").open("a") as file:
        file.write(f'own = "{tmp_path / "own"}"\n')
    codemem("index", "--model", "own")
    assert "--ranking" in codemem("find", "store", "--router", "memory", "--ranking", "cosine", code=2)[1]
    assert "no MSA checkpoint" in codemem("model", "check", "own", code=2)[1]


def test_info_says_which_rule_is_in_force(codemem: Commands, tiny: Msa4bModel) -> None:
    msa = codemem.json("model", "info", "msa-4b")["msa"]
    assert (msa["routed_layers"], msa["ranking"], msa["ranking_by"]) == ([1, 2], "scaled", "engine")
    assert msa["chunk_bytes"] == 2 * 3 * 16 * 2
    record_ranking(codemem.home / "data" / "msa-4b-rankings.json", tiny.fingerprint, "cosine", {})
    msa = codemem.json("model", "info", "msa-4b")["msa"]
    assert (msa["ranking"], msa["ranking_by"]) == ("cosine", "check")


def test_pull_of_what_lies_here(codemem: Commands, checkpoint: Callable[..., Path]) -> None:
    assert codemem.json("model", "pull", "msa-4b")["path"] == str(checkpoint())


def test_check_of_random_weights_decides_nothing(codemem: Commands) -> None:
    sizes = ("--facts", "1", "--documents", "5")
    report = codemem.json("model", "check", "msa-4b", *sizes)
    assert (report["better"], report["in_force"], report["reloads"]) == (None, "scaled", True)
    assert [(t["ranking"], t["rounds"]) for t in report["trials"]] == [
        ("cosine", "extend"),
        ("scaled", "extend"),
        ("scaled", "replay"),
    ]
    assert report["checkpoint"]["aux_loss_method"] == "INFONCE_DECOUPLE"
    assert report["machine"]["peak_host_bytes"] > 1e6
    assert not (codemem.home / "data" / "msa-4b-rankings.json").exists()


def test_check_prints_a_report_and_notes_the_winner(codemem: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codemem.model.msa4b.check._better", lambda trials: "cosine")
    out, _ = codemem("model", "check", "msa-4b", "--facts", "1", "--documents", "4")
    assert "**cosine** answers better" in out
    assert "| scaled | extend |" in out
    assert codemem.json("model", "info", "msa-4b")["msa"]["ranking_by"] == "check"
    # What was noted is what the next command asks by.
    codemem("index", "--model", "msa-4b")
    plain, named = (
        codemem.json("find", "store", "--router", "memory", *more)["results"] for more in ((), ("--ranking", "cosine"))
    )
    assert [result["score"] for result in plain] == [result["score"] for result in named]


def test_check_refuses_more_facts_than_documents(codemem: Commands, tiny: Msa4bModel) -> None:
    assert "--facts 9" in codemem("model", "check", "msa-4b", "--facts", "9", "--documents", "4", code=2)[1]
    with pytest.raises(ValueError, match="9 facts"):
        check(tiny, facts=9, documents=4)


def test_the_better_rule_answers_more(tiny: Msa4bModel) -> None:
    """A trial is measured on a memory; the comparison is what is decided by, so it is tested with chosen figures."""
    from dataclasses import replace

    facts = plant(4)
    memory = Msa4bMemory.of(tiny)
    memory.add(tiny, [(fact.header, fact.text) for fact in facts])
    scaled = _trial(with_ranking(tiny, "scaled"), memory, facts[:1], "extend")
    cosine = _trial(with_ranking(tiny, "cosine"), memory, facts[:1], "extend")
    assert (scaled.ranking, cosine.ranking) == ("scaled", "cosine")
    assert 0 < scaled.mean_reciprocal_rank <= 1
    assert scaled.read in (0.0, 1.0)
    silent = {"answered": 0.0, "named": 0.0}
    assert _better([replace(cosine, **silent), replace(scaled, **silent)]) is None
    assert _better([replace(cosine, answered=0.5), replace(scaled, answered=0.25)]) == "cosine"
    assert _better([replace(cosine, answered=0.5, named=0.0), replace(scaled, answered=0.5, named=0.1)]) == "scaled"


def test_planted_facts_are_distinct_and_repeatable() -> None:
    facts = plant(100)
    assert facts == plant(100)
    assert facts != plant(100, seed=1)
    for part in ("header", "question", "value"):
        assert len({getattr(fact, part) for fact in facts}) == 100
    assert all(fact.value in fact.text for fact in facts)


def test_a_damaged_record_decides_nothing(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "rankings.json"
    assert recorded_ranking(path, "f") is None
    record_ranking(path, "f", "cosine", {"why": 1})
    record_ranking(path, "g", "scaled", {})
    assert [recorded_ranking(path, name) for name in ("f", "g", "h")] == ["cosine", "scaled", None]
    path.write_text("[1, 2")
    assert recorded_ranking(path, "f") is None


def test_convert_from_the_command_line(codemem: Commands, checkpoint: Callable[..., Path], tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    source = checkpoint(Shape(layers=4, routed="3"))
    for file in source.iterdir():
        (plain / file.name).write_bytes(file.read_bytes())
    raw = json.loads((plain / "config.json").read_text())
    del raw["msa_config"]
    (plain / "config.json").write_text(json.dumps(raw | {"model_type": "qwen3"}))
    target = tmp_path / "made"
    options = ("--layers", "1,2-3", "--top-k", "2", "--chunk-tokens", "4")
    made = codemem.json("model", "convert", str(plain), str(target), *options)
    assert made == {"path": str(target), "routed_layers": [1, 2, 3]}
    described = codemem.json("model", "info", str(target))["msa"]
    assert (described["routed_layers"], described["top_k"], described["ranking"]) == ([1, 2, 3], 2, "cosine")
    assert "exists already" in codemem("model", "convert", str(plain), str(target), code=1)[1]
    assert "--layers" in codemem("model", "convert", str(plain), str(tmp_path / "x"), "--layers", "x-2", code=2)[1]
    assert "--layers" in codemem("model", "convert", str(plain), str(tmp_path / "x"), "--layers", "3-2", code=2)[1]


@pytest.mark.parametrize("weights", ["int8", "int4"])
def test_weights_in_few_bits_from_index_to_answer(codemem: Commands, weights: str) -> None:
    """Chosen once, at `index`: the memory stays with them, and no other weights serve it unasked."""
    assert codemem.json("index", "--model", "msa-4b")["encoded"] == 3
    indexed = codemem.json("index", "--model", "msa-4b", "--weights", weights)
    assert (indexed["model"], indexed["encoded"], indexed["reused"]) == (f"msa-4b:{weights}", 3, 0)
    assert codemem.json("status")["model"] == f"msa-4b:{weights}"
    assert codemem.json("index")["encoded"] == 0
    found = codemem.json("find", "where is the store opened", "--router", "memory")
    assert (found["model"], len(found["results"])) == (f"msa-4b:{weights}", 3)
    answered = codemem.json("ask", "What is the limit?")
    assert answered["model"] == f"msa-4b:{weights}"
    assert [layer["layer"] for layer in answered["rounds"][0]["layers"]] == [1, 2]
    refused = codemem("find", "store", "--router", "memory", "--model", "msa-4b", code=2)[1]
    assert f"the memory is of model msa-4b:{weights}" in refused
    back = codemem.json("index", "--model", "msa-4b", "--weights", "bf16")
    assert (back["model"], back["reused"]) == ("msa-4b", 3)  # the entries of the first run are still there


def test_what_weights_are_for(codemem: Commands) -> None:
    described = codemem.json("model", "info", "msa-4b:int8")
    assert described["name"] == "msa-4b:int8"
    loaded = described["msa"]["loaded_bytes"]
    assert set(loaded) == {"bf16", "int8", "int4"}  # 4 bits are filled up to 64 inputs, twice what these matrices have
    assert loaded["bf16"] > loaded["int8"] > 0
    assert "loaded_bytes    bf16 0.00 GB, int8" in codemem("model", "info", "msa-4b")[0]
    assert "name it with --model" in codemem("index", "--weights", "int8", code=2)[1]
    contradiction = codemem("index", "--model", "msa-4b:int4", "--weights", "int8", code=2)[1]
    assert "contradicts" in contradiction
    checked = codemem.json("model", "check", "msa-4b", "--weights", "int8", "--facts", "1", "--documents", "2")
    assert checked["checkpoint"]["weights"] == "int8"
    plain = codemem.json("model", "check", "msa-4b", "--facts", "1", "--documents", "2")["checkpoint"]
    for same in ("fingerprint", "parameters"):
        assert checked["checkpoint"][same] == plain[same]


def test_a_memory_keeps_to_its_budget(codemem: Commands) -> None:
    codemem("index", "--model", "msa-4b")
    asked = ("find", "What is the limit?", "--router", "memory", "--json")
    told = codemem(*asked, "--gpu-memory", "20kB", "--host-memory", "1kB")
    assert "the memory takes 0.00 GB on the device" in told[1]
    assert json.loads(told[0])["results"] == codemem.json(*asked[:-1])["results"]
    assert "raise --gpu-memory" in codemem(*asked, "--gpu-memory", "1B", code=1)[1]
    assert "40GB" in codemem(*asked, "--gpu-memory", "much", code=2)[1]
