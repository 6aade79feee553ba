"""Runs that began with one file, averaged."""

from pathlib import Path

import pytest
import torch

from codemem.model.adapter import AdapterFile
from codemem.model.errors import WeightsCorrupt
from codemem.training.average import average

from .test_joining_halves import adapter, product

NAME = "routers.0.k_proj.weight"


def test_the_average_is_that_of_the_products(tmp_path: Path) -> None:
    start = adapter(tmp_path / "s", 0)
    runs = [adapter(tmp_path / f"x{seed}", seed, start=start) for seed in (1, 2)]
    kept = average(runs, tmp_path / "out")
    assert 0.8 < kept <= 1.0
    for layer in range(4):
        wanted = (product(runs[0], layer) + product(runs[1], layer)) / 2
        off = (product(tmp_path / "out", layer) - wanted).norm() / wanted.norm()
        assert off < (1 - kept) ** 0.5 + 0.02  # what the rank leaves out, and 8 bits
    assert AdapterFile(tmp_path / "out").memory == AdapterFile(start).memory
    routers = [AdapterFile(path).matrix(NAME) for path in (*runs, tmp_path / "out")]
    assert torch.allclose(routers[2], (routers[0] + routers[1]) / 2, atol=0.01)


def test_runs_of_two_bases_have_no_average(tmp_path: Path) -> None:
    runs = [adapter(tmp_path / "x", 1), adapter(tmp_path / "y", 2, base="b" * 64)]
    with pytest.raises(WeightsCorrupt, match="not of one base"):
        average(runs, tmp_path / "out")
