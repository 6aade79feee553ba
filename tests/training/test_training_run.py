"""A whole training run at tiny size: the loss falls, what ships loads, and a run goes on where it stopped."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from codemem.model.adapter import AdapterFile
from codemem.model.config import DecoderConfig, MemoryConfig
from codemem.model.engine import Engine
from codemem.model.load import load_decoder
from codemem.model.tokenizer import Tokenizer
from codemem.model.weights import load_checkpoint
from codemem.training.__main__ import main
from codemem.training.corpus import Corpus
from codemem.training.evaluate import main as evaluate
from codemem.training.feed import Feed
from codemem.training.recipe import Recipe
from codemem.training.trainer import Trainer

from .conftest import WORDS

RECIPE = {
    "rank": 4,
    "phases": [{"share": 1, "routed": 1, "answers": 0, "max_document_tokens": 32}, {"share": 3, "answers": 2}],
    "questions": 16,
    "group": 8,
    "hard": 1,
    "answer_tokens": 200,
    "memory_documents": 3,
    "adapter_rate": 1e-2,
    "router_rate": 1e-2,
}


def run(base: Path, data: Path, out: Path, steps: int, *more: str, **settings: Any) -> list[dict[str, Any]]:
    """Trains on the processor; the log's rows."""
    recipe = json.dumps({**RECIPE, "steps": steps, **settings})
    where = ["--base", str(base), "--data", str(data), "--out", str(out), "--device", "cpu"]
    main([*where, "--recipe", recipe, "--layers", "1,2", "--find-layers", "1", *more])
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def test_a_run_learns_ships_and_resumes(tmp_path: Path, base: Path, data: Path) -> None:
    out = tmp_path / "out"
    log = run(base, data, out, 32)
    assert [row["step"] for row in log] == list(range(1, 33))
    assert [row["phase"] for row in log] == [0] * 8 + [1] * 24
    assert ["answer" in row["losses"] for row in log] == [False] * 8 + [True] * 24
    for name in ("layers", "all", "find"):
        assert log[-1]["losses"][name] < 0.8 * log[0]["losses"][name]
    assert log[-1]["losses"]["answer"] < 0.8 * log[8]["losses"]["answer"]
    assert run(base, data, out, 35, "--resume")[-1]["step"] == 35
    assert json.loads((out / "recipe.json").read_text())["phases"][0]["routed"] == 1
    assert (out / "losses.svg").read_text().count("<polyline") == 4
    file = AdapterFile(out / "codemem-adapter.safetensors")
    assert file.memory.routed_layers == (1, 2)
    engine = Engine.open("tiny", base, out / "codemem-adapter.safetensors", device="cpu")
    assert engine.find_layout.bytes_per_chunk < engine.layout.bytes_per_chunk


def test_a_run_is_the_same_again_and_goes_on_as_if_it_had_not_stopped(tmp_path: Path, base: Path, data: Path) -> None:
    whole = run(base, data, tmp_path / "whole", 6)
    again = run(base, data, tmp_path / "again", 6)
    assert [row["losses"] for row in whole] == [row["losses"] for row in again]

    # A trainer that has saved and one that starts from what was saved take the same next step.
    def step(trainer: Trainer) -> dict[str, float]:
        phase = trainer.recipe.phases[1]
        with Feed(corpus, trainer.prompts, trainer.recipe, phase, seed=9) as steps:
            return trainer.train_step(corpus, next(steps), 1, 0.5).losses

    checkpoint = load_checkpoint(base)
    tokenizer = Tokenizer.from_folder(base)
    corpus = Corpus.load(data, tokenizer)

    def trainer() -> Trainer:
        decoder = load_decoder(
            DecoderConfig.from_huggingface(checkpoint.config),
            checkpoint.tensors,
            device=torch.device("cpu"),
            dtype=torch.float32,
        )
        recipe = Recipe.from_json(MemoryConfig((1, 2), find_layers=1), {**RECIPE, "steps": 9})
        return Trainer(decoder, tokenizer, recipe, device=torch.device("cpu"), base_sha256="0" * 64)

    first = trainer()
    step(first)
    step(first)
    first.save_checkpoint(tmp_path / "checkpoint.pt")
    second = trainer()
    second.load_checkpoint(tmp_path / "checkpoint.pt")
    assert second.step == first.step == 2
    assert step(second) == step(first)


def test_a_run_that_recomputes_less_learns_the_same(tmp_path: Path, base: Path, data: Path) -> None:
    plain = run(base, data, tmp_path / "plain", 2)
    mlp = run(base, data, tmp_path / "mlp", 2, recompute="mlp")
    for one, other in zip(plain, mlp, strict=True):
        assert one["losses"] == pytest.approx(other["losses"], rel=1e-4)


def test_wrong_settings_and_a_run_in_the_way_are_named(tmp_path: Path, base: Path, data: Path) -> None:
    with pytest.raises(ValueError, match="qestions"):
        run(base, data, tmp_path / "out", 1, qestions=3)
    with pytest.raises(ValueError, match="cannot learn to answer"):
        run(base, data, tmp_path / "out", 1, phases=[{"routed": 1, "answers": 1}])
    run(base, data, tmp_path / "out", 1)
    with pytest.raises(FileExistsError, match="resume"):
        run(base, data, tmp_path / "out", 2)
    with pytest.raises(ValueError, match="another rank"):
        run(base, data, tmp_path / "out", 2, "--resume", rank=2)


def test_a_further_course_begins_where_the_shipped_adapter_is(tmp_path: Path, base: Path, data: Path) -> None:
    first = run(base, data, tmp_path / "first", 40)
    adapter = tmp_path / "first/codemem-adapter.safetensors"
    further = run(base, data, tmp_path / "further", 2, "--from-adapter", str(adapter))
    assert further[0]["step"] == 1
    assert further[0]["losses"]["find"] < 0.5 * first[0]["losses"]["find"]
    with pytest.raises(ValueError, match="layers"):
        run(base, data, tmp_path / "other", 2, "--from-adapter", str(adapter), "--layers", "0,2")
    with pytest.raises(ValueError, match="this run's"):
        run(base, data, tmp_path / "wide", 2, "--from-adapter", str(adapter), rank=8)


def test_a_trained_adapter_ranks_a_pool_well(
    tmp_path: Path, base: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(base, data, tmp_path / "out", 48, names=False)
    pool = tmp_path / "pool"
    pool.mkdir()
    names = [f"{WORDS[i % 8]}{i // 8}" for i in range(16)]
    documents = [{"header": f"f{i}.py\n", "text": f"def {n}():\n    return {n}\n"} for i, n in enumerate(names)]
    for name, rows in {
        "documents": documents,
        "queries": [{"query": n, "gold": i} for i, n in enumerate(names)],
    }.items():
        (pool / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    adapter = tmp_path / "out/codemem-adapter.safetensors"
    evaluate(["--base", str(base), "--adapter", str(adapter), "--pool", str(pool), "--device", "cpu"])
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(found) == {"find", "all", "1", "2"}
    assert found["find"]["MRR"] > 0.5  # chance is 0.21
    assert not AdapterFile(adapter).memory.names
