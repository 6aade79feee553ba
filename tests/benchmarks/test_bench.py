"""The benchmarks at small size on the processor: the code that a GPU runs, and figures that make sense."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from codemem.benchmarks.plot import line_plot
from codemem.benchmarks.route import engine_top
from codemem.cli.app import run
from codemem.kernels.route import RoutingKeys, fold_query, route
from codemem.model.testing import write_tiny_adapter, write_tiny_checkpoint

TINY = ("--shape", "tiny", "--device", "cpu", "--json")


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def bench(capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*arguments: str, code: int = 0) -> Any:
        assert run(["bench", *arguments]) == code
        out, err = capsys.readouterr()
        return json.loads(out) if code == 0 else err

    return call


def test_route(bench: Any, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "route.json"
    sizes = ("--tokens", "20K", "--query-tokens", "4,8", "--batches", "1,2", "--out", str(out))
    result = bench("route", *sizes, *TINY)
    assert json.loads(out.read_text()) == result
    rows = [row for row in result["rows"] if row["what"] == "route"]
    assert {(r["format"], r["questions"], r["query_tokens"]) for r in rows} == {
        (name, questions, tokens) for name in ("bf16", "fp8", "int8") for questions in (1, 2) for tokens in (4, 8)
    }
    for row in rows:
        assert row["all_layers_ms"] == pytest.approx(row["layers"] * row["a_layer_ms"])
        assert row["read_once_ms"] > 0
    chunks = 20_000 // (64 * 16) * 16
    assert {row["key_bytes"] for row in rows if row["format"] == "int8"} == {2 * chunks * (32 + 2 * 2)}
    assert [row["what"] for row in result["rows"]].count("public engine's arithmetic") == 2
    assert "--formats" in bench("route", "--formats", "int3", code=2)
    assert "16K" in bench("route", "--tokens", "many", code=2)


def test_the_engines_arithmetic_finds_the_documents_that_routing_finds() -> None:
    """Otherwise the comparison would be with something else."""
    generator = torch.Generator().manual_seed(4)
    q = torch.randn(3, 4, 16, generator=generator)
    keys = torch.randn(160, 2, 16, generator=generator)
    offsets = torch.arange(0, 161, 16)
    documents, scores = engine_top(q.transpose(0, 1)[None], keys, offsets, 4)
    folded = fold_query(q, 2, normalise=False)
    expected, expected_scores = route(folded, RoutingKeys(keys.flatten(1)), offsets, 4)
    assert documents[0].tolist() == expected.tolist()
    torch.testing.assert_close(scores[0], expected_scores, rtol=1e-4, atol=1e-5)


def test_encode_and_decode(bench: Any) -> None:
    encoded = bench("encode", "--document-tokens", "32,64", "--pack-tokens", "128", *TINY)
    assert [(row["document_tokens"], row["documents"]) for row in encoded["rows"]] == [(32, 4), (64, 2)]
    for row in encoded["rows"]:
        assert row["tokens_a_second"] == pytest.approx(128e3 / row["ms"])
    decoded = bench("decode", "--text-tokens", "32", "--memory-rows", "16", "--steps", "2", *TINY)
    assert [row["how"] for row in decoded["rows"]] == ["in place", "pass by pass"]
    for row in decoded["rows"]:
        assert row["share_of_limit"] == pytest.approx(row["read_once_ms"] / row["ms_a_token"])


@pytest.mark.parametrize("tier", ["device", "disk"])
def test_find(bench: Any, tier: str) -> None:
    found = bench("find", "--tokens", "20K,40K", "--query-tokens", "4", "--tier", tier, *TINY)
    assert [row["memory_tokens"] for row in found["rows"]] == [20_000, 40_000]
    for row in found["rows"]:
        assert row["key_bytes"] == 2 * (row["memory_tokens"] // 1024 * 16) * (32 + 2 * 2)
        assert row["first_token_ms"] > 0


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    (folder / "sub").mkdir(parents=True)
    for i in range(12):
        (folder / f"m{i}.py").write_text(f"def f{i}(x):\n    return x + {i}\n" * 3)
    (folder / "sub" / "copy.py").write_text("def f3(x):\n    return   x + 3\n" * 3)
    return folder


@pytest.mark.slow
def test_scale(bench: Any, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = write_tiny_checkpoint(tmp_path / "weights")
    write_tiny_adapter(weights / "codemem-adapter.safetensors")
    home = tmp_path / "home"
    home.mkdir()
    (home / "config.toml").write_text("threads = 1\n")
    monkeypatch.setenv("CODEMEM_HOME", str(home))
    plot = tmp_path / "plot.svg"
    named = ("--model", str(weights), "--device", "cpu", "--json", "--work", str(tmp_path / "work"))
    result = bench("scale", str(corpus), "--sizes", "16K,10K", "--plot", str(plot), *named)
    ranked = [row for row in result["rows"] if "MRR" in row]
    kinds = ("single", "keys", "values")
    assert {(row["memory_tokens"], row["system"], row["questions"]) for row in ranked} == {
        (size, system, kind)
        for size in (10_000, 16_000)
        for system in ("memory", "BM25", "memory + BM25", "memory and names", "as ask reads")
        for kind in kinds
    }
    for row in ranked:
        larger = [
            r
            for r in ranked
            if all(r[n] == row[n] for n in ("system", "questions")) and r["documents"] > row["documents"]
        ]
        assert all(other["MRR"] <= row["MRR"] for other in larger if row["system"] == "memory")
    assert plot.read_text().count("<polyline") == 5
    assert "begin larger" in bench("scale", str(corpus), "--sizes", "100", *named, code=2)


def test_a_plot_of_nothing_and_of_one_size() -> None:
    assert "<polyline" not in line_plot({}, x_label="x", y_label="y")
    drawn = line_plot({"a <b>": [(1000.0, 0.5)]}, x_label="x", y_label="y")
    assert ">a &lt;b&gt;</text>" in drawn
    assert ">1K</text>" in drawn
    (across, down) = re.findall(r'circle cx="([0-9.]+)" cy="([0-9.]+)"', drawn)[0]
    assert 0 < float(across) < 640
    assert 0 < float(down) < 360
