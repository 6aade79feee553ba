"""First tokens measured three ways at tiny size, and what is made of a profile."""

import json
from pathlib import Path

import pytest
import torch

from codemem.benchmarks import first_token, gpu_session, stage, timeline
from codemem.benchmarks.first_token import Options

TINY = Options("cpu", "tiny", tokens=20_000, prompts=(9, 70), appended=(5,), repeats=1)


def test_three_ways_agree_and_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    result = first_token.run(TINY)
    assert result["ok"]
    assert result["left_out"] == []
    assert [row["prompt_tokens"] for row in result["first_tokens"]] == [9, 70]
    for row in result["first_tokens"]:
        for way in ("own_buffers", "kept_buffers", "buckets"):
            assert row[f"{way}_ms"] > 0
            assert row[f"{way}_find_ms"] > 0
            assert row[f"{way}_route_ms"] > 0
        assert row["same_documents"] == [1.0, 1.0]
        assert max(row["logits_relative_error"]) < 1e-4
    (second,) = result["second_rounds"]
    assert second["behind"] == 70 + first_token.WRITTEN
    assert {name.partition(", ")[2] for name in second if ", " in name} == {"new text", "all again"}
    assert [row["way"] for row in result["written"]] == ["own buffers", "kept buffers", "buckets"]
    assert result["operations"]["operations"] > 0
    assert [row["tier"] for row in result["banks"]] == ["device", "host"]
    assert all(row["takes_rows"] for row in result["banks"])
    assert result["recording"]["slot_bytes"] > result["recording"]["bytes_besides_caches"] > 0
    # A way that computes something else is noticed.
    logits = first_token.Conversation.logits
    monkeypatch.setattr(
        first_token.Conversation, "logits", lambda self, x: logits(self, x) * (torch.nan if self._passes else 1)
    )
    assert not first_token.run(Options("cpu", "tiny", tokens=20_000, prompts=(9,), repeats=1, seconds=0.5))["ok"]


def test_ways_can_be_switched_off() -> None:
    options = Options(
        "cpu", "tiny", tokens=2_000, prompts=(9,), appended=(), repeats=1, banks=False, ways=("own buffers",)
    )
    result = first_token.run(options)
    assert result["ok"]
    assert "buckets_ms" not in result["first_tokens"][0]
    assert result["recording"] == {}
    with pytest.raises(ValueError, match="ways are own buffers, kept buffers, buckets, not magic"):
        first_token.run(Options("cpu", "tiny", tokens=2_000, ways=("magic",)))


def test_what_no_time_is_left_for_is_named() -> None:
    result = first_token.run(Options("cpu", "tiny", tokens=2_000, prompts=(9,), repeats=1, seconds=-1))
    assert result["left_out"][:2] == ["first_tokens", "timelines"]
    assert not result["ok"]


def test_as_a_stage(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    listed = {s.name: s for s in gpu_session.stages(tmp_path, 1, device="cpu", quick=True)}
    command = listed["first token"].command
    assert command[:2] == ("-m", "codemem.benchmarks.stage")
    options = json.loads(command[3]) | {"banks": False}
    assert stage.main([command[2], json.dumps(options)]) == 0
    assert json.loads(capsys.readouterr().out)["bench"] == "first_token"


def test_overlapping_kernels_count_once() -> None:
    assert timeline.covered([(5.0, 7.0), (0.0, 2.0), (1.0, 3.0), (1.5, 1.7)]) == (5.0, 7.0)
    assert timeline.covered([]) == (0.0, 0.0)
    assert timeline.timeline(lambda: None, torch.device("cpu")) == {}


def test_operations_that_wait_are_counted() -> None:
    x = torch.arange(6.0)
    found = timeline.operations(lambda: (x[x > 2].view(-1) + 1).sum().item())
    assert found["waits"] == 2
    assert found["most"]["sum"] == 1
    assert "view" not in found["most"]
