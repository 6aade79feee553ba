"""What a GPU machine is to run: stages with limits, results kept whatever happens, a random checkpoint that loads."""

import json
from pathlib import Path

import pytest
import torch

from codemem.benchmarks import cli_session, dead_rank, find, gather, gpu_session, msa_session, narrow, route, stage
from codemem.benchmarks.gpu_session import Stage
from codemem.benchmarks.random_checkpoint import checkpoint_at, write_random_checkpoint
from codemem.benchmarks.shapes import SHAPES
from codemem.model.msa4b import Conversation, load_msa4b
from codemem.model.msa4b.tokens import Prompt

SAYS = "import json,sys; print('warming up'); print(json.dumps({'answer': 42})); print('a note', file=sys.stderr)"


def test_a_stage_that_hangs_or_fails_costs_no_other(tmp_path: Path) -> None:
    listed = [
        Stage("good", ("-c", SAYS), 60),
        Stage("bad", ("-c", "raise SystemExit('no kernel')"), 60),
        Stage("slow", ("-c", "import time; time.sleep(60)"), 1.0),
        Stage("last", ("-c", "print('no json')"), 60),
    ]
    report = gpu_session.run(listed, tmp_path / "out", 120)
    assert json.loads((tmp_path / "out" / "gpu_session.json").read_text()) == report
    good, bad, slow, last = report["stages"].values()
    assert (good["exit_code"], good["result"], good["log"]) == (0, {"answer": 42}, "a note\n")
    assert bad["exit_code"] == 1
    assert "no kernel" in bad["log"]
    assert (slow["timed_out"], slow["exit_code"]) == (True, None)
    assert (last["result"], last["text"]) == (None, "no json\n")
    assert "a note" in (tmp_path / "out" / "gpu_session.log").read_text()


def test_what_no_time_is_left_for_is_named(tmp_path: Path) -> None:
    report = gpu_session.run([Stage("never", ("-c", SAYS), 60)], tmp_path, 5)
    assert report == {"stages": {}, "left_out": ["never"]}


def test_stages_for_as_many_gpus_as_there_are(tmp_path: Path) -> None:
    names = [s.name for s in gpu_session.stages(tmp_path, 4, device="cuda", quick=False)]
    several = [f"{what} {n}" for n in (2, 4) for what in ("route on", "encode on", "find on", "dead rank of")]
    assert names[-len(several) :] == several
    assert "kernels" in names
    alone = gpu_session.stages(tmp_path, 1, device="cpu", quick=True)
    assert not [s for s in alone if s.processes > 1 or s.name == "kernels"]


def test_the_kernels_rows_beside_copied_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    options = gather.Options("cpu", "tiny", chunks=512, trials=2, repeats=2)
    result = gather.run(options)
    assert result["ok"]
    rows = result["rows"]
    assert [(row["tier"], row["format"], row["chunks_a_document"]) for row in rows] == [
        (tier, name, each) for tier in ("device", "host") for name in ("int8", "stored") for each in (4, 16)
    ]
    for row in rows:
        width = 2 * 16 + 2 * 2 if row["format"] == "int8" else 4 * 2 * 16
        assert row["fetched_bytes"] == 2 * 16 * row["chunks_a_document"] * width
    # Rows of other documents are noticed.
    fetch = gather.fetch_pair
    monkeypatch.setattr(gather, "fetch_pair", lambda k, v, spans: fetch(k, v, [(0, 1), *spans[1:]]))
    assert not gather.run(options)["ok"]


def test_a_killed_process_is_named_by_all_others() -> None:
    result = dead_rank.run(3, 1, "cpu", let_run=0.0)
    assert result["ok"]
    assert [other["rank"] for other in result["others"]] == [0, 2]
    for other in result["others"]:
        assert other["said"].startswith(f"worker 1 (process {result['killed_process']} on ")
        assert other["exit_code"] == 1


def test_keys_do_not_depend_on_who_holds_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(route, "KEY_BLOCK", 48)
    shape, device = SHAPES["tiny"], torch.device("cpu")
    for name in ("bf16", "int8", "fp8"):
        whole = route._random_keys(slice(0, 200), shape, name, 1, device)
        part = route._random_keys(slice(64, 176), shape, name, 1, device)
        assert torch.equal(part.values.view(torch.uint8), whole.values[64:176].view(torch.uint8))
        assert part.scales is None or whole.scales is None or torch.equal(part.scales, whole.scales[64:176])
        assert not torch.equal(whole.values[:48].view(torch.uint8), whole.values[48:96].view(torch.uint8))


def test_every_layer_has_rows_of_its_own() -> None:
    repeated, whole = (
        find.run(find.Options("cpu", "tiny", (200_000,), 4, "host", rows=rows))["rows"][0]
        for rows in ("repeated", "whole")
    )
    chunks = 200_000 // 1024 * 16
    assert whole["row_bytes"] == 2 * 2 * chunks * (32 + 2 * 2)
    assert repeated["row_bytes"] == 2 * find.REPEATED_ROWS * (32 + 2 * 2)


def test_a_benchmark_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    options = {"device": "cpu", "shape": "tiny", "tokens": [20_000], "query_tokens": 4}
    stage.main(["find", json.dumps(options)])
    assert json.loads(capsys.readouterr().out)["rows"][0]["memory_tokens"] == 20_000
    with pytest.raises(SystemExit, match="no benchmark"):
        stage.main(["dance"])


@pytest.mark.parametrize("own", [False, True])
def test_a_random_checkpoint_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: bool) -> None:
    monkeypatch.setattr("codemem.benchmarks.random_checkpoint.SHARD_BYTES", 100_000)
    tokenizer = None
    if own:
        write_random_checkpoint(tmp_path / "first", SHAPES["tiny"], device=torch.device("cpu"))
        tokenizer = tmp_path / "first" / "tokenizer.json"
    folder = tmp_path / "made"
    size = write_random_checkpoint(folder, SHAPES["tiny"], device=torch.device("cpu"), tokenizer=tokenizer)
    assert len(list(folder.glob("*.safetensors"))) > 1
    model = load_msa4b(folder, dtype=torch.float32)
    assert model.config.memory.routed_layers == SHAPES["tiny"].memory.routed_layers
    assert model.config.decoder == SHAPES["tiny"].decoder
    assert size == 2 * sum(p.numel() for m in (model.decoder, model.routers) for p in m.parameters())


def test_a_session_from_loading_to_the_second_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    for number in range(4):
        (sources / f"m{number}.py").write_text(f"def f{number}(x):\n    return x + {number}\n" * 5)
    behind: list[int] = []
    feed = Conversation.feed

    def noted(self: Conversation, prompt: Prompt, **options: bool) -> torch.Tensor:
        if prompt.ids == self.model.protocol.tokenizer.encode_text(msa_session.FURTHER):
            behind.append(self.context.layers[0].text_rows)
        return feed(self, prompt, **options)

    monkeypatch.setattr(Conversation, "feed", noted)
    report = msa_session.run(tmp_path / "made", sources, tokens=400, device="cpu", shape="tiny", tokenizer=None)
    assert report["checkpoint_bytes"] > 0
    assert report["write_seconds"] > 0
    assert 0 <= report["load_host_bytes"] <= report["loaded_peak_host_bytes"] <= report["peak_host_bytes"]
    assert report["reloaded_equal"]
    assert [row["rounds_fed"] for row in report["asked"]] == ["extend", "replay", "extend", "replay"]
    for row in report["asked"]:
        assert row["second_round_ms"] > 0
        assert row["second_round_first_ms"] > 0
    # New text alone, under both rankings, behind as much text every time.
    assert len(behind) == 2 * msa_session.SECOND_ROUNDS
    assert len(set(behind)) == 1


def test_routing_gives_every_format_its_turn_before_large_batches() -> None:
    options = route.Options("cpu", "tiny", tokens=(20_000,), query_tokens=(4,), batches=(1, 2), formats=("fp8", "int8"))
    rows = route.run(options)["rows"]
    assert [(row["what"], row["format"], row["questions"]) for row in rows] == [
        ("public engine's arithmetic", "fp32", 1),
        ("route", "fp8", 1),
        ("route", "int8", 1),
        ("route", "fp8", 2),
        ("route", "int8", 2),
    ]


def test_a_checkpoint_is_written_once_and_whole(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    folder.mkdir()
    (folder / "model-00001.safetensors").write_bytes(b"cut off")
    size = checkpoint_at(folder, SHAPES["tiny"], device=torch.device("cpu"))
    assert size == sum(p.numel() for m in _modules(folder) for p in m.parameters()) * 2
    assert checkpoint_at(folder, SHAPES["tiny"], device=torch.device("cpu")) is None


def _modules(folder: Path) -> tuple[torch.nn.Module, torch.nn.Module]:
    model = load_msa4b(folder, dtype=torch.float32)
    return model.decoder, model.routers


def test_narrow_weights_beside_wide_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    for number in range(12):
        (sources / f"m{number}.py").write_text(f"def f{number}(x):\n    return x + {number}\n")
    monkeypatch.setattr(narrow, "WRITTEN", 2)
    options = {"tokens": 10_000, "device": "cpu", "shape": "tiny", "within": None}
    rows = narrow.run(tmp_path / "made", sources, **options)["rows"]
    assert [row["weights"] for row in rows] == ["bf16", "int8", "int4"]
    assert {row["documents"] for row in rows} == {12}
    wide, eight, four = rows
    assert "top_k_overlap" not in wide
    for row in (eight, four):
        assert len(row["top_k_overlap_by_layer"]) == 2
        assert 0 <= row["top_k_overlap"] <= 1
    assert 0 < eight["logits_relative_error"] < four["logits_relative_error"] < 1


def test_a_repository_for_the_commands_and_a_command_that_fails(tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    (sources / "deep").mkdir(parents=True)
    for name in ("a.py", "deep/b.py", "z.py"):
        (sources / name).write_text("x = 1\n" * 10)
    made = cli_session.repository(tmp_path / "made", sources, 100)
    assert (made["files"], made["bytes"]) == (2, 120)
    assert not (tmp_path / "made" / "z.py").exists()
    commands = cli_session.Commands(tmp_path / "made", tmp_path / "home", "cpu", 0.0)
    outlined = commands("index", "--for", "outline")
    assert (outlined["exit_code"], outlined["documents"]) == (0, 2)
    failed = commands("index", "--model", "nobody")
    assert failed["exit_code"] == 4
    assert "no model is called" in failed["said"]
