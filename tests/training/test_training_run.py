"""A whole training run at tiny size: the loss falls, what ships loads, and a run goes on where it stopped."""

import json
from pathlib import Path
from typing import Any

import pytest
import zstandard

from codemem.model.adapter import AdapterFile
from codemem.model.engine import Engine
from codemem.model.testing import write_tiny_checkpoint
from codemem.training.__main__ import main

WORDS = ("alpha", "bravo", "delta", "gamma", "omega", "sigma", "theta", "kappa")


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_bytes(zstandard.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Sixteen documents; each question is the word that stands in its document."""
    folder = tmp_path / "data"
    folder.mkdir()
    names = [f"{WORDS[i % 8]}{i // 8}" for i in range(16)]
    write(
        folder / "documents.jsonl.zst",
        [
            {
                "header": f"f{i}.py\n",
                "text": f"def {n}():\n    return {n}\n",
                "language": "python",
                "package": f"p{i % 2}",
            }
            for i, n in enumerate(names)
        ],
    )
    kinds = {"kind": "name", "language": "python"}
    write(
        folder / "pairs.jsonl.zst", [{"q": n, "pos": [i], "neg": [(i + 1) % 16], **kinds} for i, n in enumerate(names)]
    )
    answers = [
        {"question": f"What is {n}?", "gold": [i] if i % 4 else [], "distractors": [(i + 1) % 16, (i + 2) % 16]}
        for i, n in enumerate(names)
    ]
    write(folder / "qa.jsonl.zst", [{**row, "answer": "It is so.", "evidence": "", **kinds} for row in answers])
    return folder


def test_a_run_learns_ships_and_resumes(tmp_path: Path, data: Path) -> None:
    base, out = write_tiny_checkpoint(tmp_path / "base"), tmp_path / "out"
    recipe = {
        "rank": 4,
        "questions": 16,
        "group": 8,
        "hard": 1,
        "answers": 2,
        "answer_tokens": 200,
        "memory_documents": 3,
        "adapter_rate": 1e-2,
        "router_rate": 1e-2,
    }

    def run(steps: int, *more: str) -> list[dict[str, Any]]:
        settings = ["--recipe", json.dumps({**recipe, "steps": steps}), "--layers", "1,2", "--find-layers", "1"]
        main(["--base", str(base), "--data", str(data), "--out", str(out), "--device", "cpu", *settings, *more])
        return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]

    log = run(25)
    assert [row["step"] for row in log] == list(range(1, 26))
    for name in ("layers", "all", "answer"):
        assert log[-1]["losses"][name] < 0.8 * log[0]["losses"][name]
    assert run(28, "--resume")[-1]["step"] == 28
    file = AdapterFile(out / "adapter.safetensors")
    assert file.memory.routed_layers == (1, 2)
    engine = Engine.open("tiny", base, out / "adapter.safetensors", device="cpu")
    assert engine.find_layout.bytes_per_chunk < engine.layout.bytes_per_chunk
