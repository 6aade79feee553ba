"""A lower half that is held to what it was."""

from pathlib import Path

import pytest

from .test_training_run import run

LOWER = {"phases": [{"routed": 1, "answers": 0, "held": 2, "max_document_tokens": 32}]}


def begun(tmp_path: Path, base: Path, data: Path) -> Path:
    """An adapter that a further run begins with."""
    run(base, data, tmp_path / "first", 6)
    return tmp_path / "first" / "codemem-adapter.safetensors"


def test_what_moves_is_seen_and_held(tmp_path: Path, base: Path, data: Path) -> None:
    adapter = begun(tmp_path, base, data)
    start = ["--from-adapter", str(adapter), "--memory", '{"bidirectional": true}']
    moved = {}
    for weight in (0.0, 30.0):
        log = run(base, data, tmp_path / f"held-{weight}", 12, *start, **LOWER, hold_weight=weight)
        moved[weight] = [row["losses"]["held"] for row in log]
        assert moved[weight][0] < 1e-3
    assert moved[0.0][-1] > 0.05
    assert moved[30.0][-1] < 0.5 * moved[0.0][-1]


def test_a_run_from_the_base_is_held_to_the_base(tmp_path: Path, base: Path, data: Path) -> None:
    moved = {}
    for weight in (0.0, 30.0):
        log = run(base, data, tmp_path / f"held-{weight}", 12, **LOWER, hold_weight=weight)
        moved[weight] = [row["losses"]["held"] for row in log]
        assert moved[weight][0] < 1e-6
    assert moved[30.0][-1] < 0.5 * moved[0.0][-1]


def test_what_is_held_is_the_start(tmp_path: Path, base: Path, data: Path) -> None:
    other = begun(tmp_path, base, data)
    log = run(base, data, tmp_path / "held", 1, "--hold-to", str(other), **LOWER)
    assert log[0]["losses"]["held"] > 0.01  # a run from the base is not yet where the other adapter ended


def test_a_run_does_not_silently_read_in_one_direction_what_it_begins_with_reads_in_both(
    tmp_path: Path, base: Path, data: Path
) -> None:
    run(base, data, tmp_path / "both", 1, "--memory", '{"bidirectional": true}')
    with pytest.raises(ValueError, match="both directions"):
        run(base, data, tmp_path / "causal", 1, "--from-adapter", str(tmp_path / "both/codemem-adapter.safetensors"))
