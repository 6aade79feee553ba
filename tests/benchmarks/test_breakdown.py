"""Where a GPU's time goes: rows from what a profiler counted."""

import pytest
import torch

from codemem.benchmarks import breakdown
from codemem.benchmarks.breakdown import by_kernel, rows_of


def test_the_longest_first_and_the_rest_as_one() -> None:
    rows = rows_of({"a": (4, 100.0), "b" * 300: (2, 600.0), "c": (2, 200.0), "d": (2, 100.0)}, 2, 2)
    assert [(row["kernel"], row["calls"], row["ms"], row["share"]) for row in rows] == [
        ("b" * 100, 1, 0.3, 0.6),
        ("c", 1, 0.1, 0.2),
        ("2 others", 3, 0.1, 0.2),
    ]
    assert rows_of({}, 1, 3) == []


def test_a_profiler_that_does_not_run_costs_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no rights")

    monkeypatch.setattr(breakdown, "_totals", fail)
    assert by_kernel(lambda: None, torch.device("cuda")) == [{"kernel": "no profile: RuntimeError: no rights"}]
    assert by_kernel(lambda: None, torch.device("cpu")) == []
