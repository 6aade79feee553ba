"""Loading a memory from disk at tiny size: everything written is loaded, and nothing stays behind."""

import json
from pathlib import Path

import pytest

from codemem.benchmarks import load, stage
from codemem.benchmarks.load import Options


def test_a_store_is_written_read_and_loaded_whole(tmp_path: Path) -> None:
    result = load.run(Options("cpu", "tiny", tokens=300_000, folder=str(tmp_path)))
    assert result["ok"]
    assert result["memory_tokens"] == 300_000 // 1024 * 1024
    chunk = 2 * 3 * (32 + 2 * 2)  # two layers of routing key, key and value: 32 numbers and two scales
    assert result["bytes"] >= result["memory_tokens"] / 64 * chunk
    assert [row["what"] for row in result["rows"]] == ["written", "files read, cold", "loaded, cold", "loaded, warm"]
    assert all(row["gigabytes_a_second"] > 0 for row in result["rows"])
    assert list(tmp_path.iterdir()) == []


def test_what_is_lost_is_not_ok(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = load._write
    monkeypatch.setattr(load, "_write", lambda folder, layout, keys: write(folder, layout, keys[:-1]))
    assert not load.run(Options("cpu", "tiny", tokens=4_096, folder=str(tmp_path)))["ok"]


def test_it_is_a_stage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = {"device": "cpu", "shape": "tiny", "tokens": 2_048, "folder": str(tmp_path)}
    assert stage.main(["load", json.dumps(options)]) == 0
    assert json.loads(capsys.readouterr().out)["bench"] == "load"
