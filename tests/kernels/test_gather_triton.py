"""Gathering rows: the Triton kernel, interpreted where there is no GPU, gives the bits that copying gives."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from codemem.kernels.gather import gather_rows, reads_directly, triton
from codemem.kernels.route.keys import quantise_groups
from codemem.model import tiers
from codemem.model.tiers import TieredRows, fetch_pair

Stored = tuple[Tensor, Tensor | None]


def stored(generator: torch.Generator, *, chunks: int, groups: int, head_dim: int, dtype: torch.dtype) -> Stored:
    x = torch.randn(chunks, groups, head_dim, generator=generator)
    return quantise_groups(x, "int8") if dtype == torch.int8 else (x.to(dtype), None)


@pytest.mark.parametrize("wanted", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize(("groups", "head_dim"), [(1, 16), (3, 24), (8, 128)])
@pytest.mark.parametrize(
    "kinds", [(torch.int8, torch.int8), (torch.bfloat16, torch.int8), (torch.float16, torch.float16)]
)
def test_rows_are_those_of_torch(  # noqa: PLR0917
    kinds: tuple[torch.dtype, torch.dtype],
    groups: int,
    head_dim: int,
    wanted: torch.dtype,
    generator: torch.Generator,
    device: str,
) -> None:
    k, v = (stored(generator, chunks=11, groups=groups, head_dim=head_dim, dtype=kind) for kind in kinds)
    rows = torch.tensor([10, 0, 0, 7, 3])
    on = [(a.to(device), None if b is None else b.to(device)) for a, b in (k, v)]
    found = triton.gather_pair(on[0], on[1], rows.to(device), wanted)
    for part, expected in zip(found, (gather_rows(*k, rows, wanted), gather_rows(*v, rows, wanted)), strict=True):
        if wanted == torch.bfloat16 and device == "cpu":  # the interpreter cuts bfloat16 off instead of rounding it
            torch.testing.assert_close(part, expected, rtol=2**-6, atol=0)
        else:
            assert torch.equal(part.cpu(), expected)


def test_no_rows_are_no_launch(generator: torch.Generator, device: str) -> None:
    part = stored(generator, chunks=4, groups=2, head_dim=16, dtype=torch.int8)
    on = tuple(x.to(device) for x in part if x is not None)
    k, v = triton.gather_pair(on, on, torch.zeros(0, dtype=torch.int64, device=device), torch.float16)
    assert k.shape == v.shape == (0, 2, 16)


@pytest.mark.parametrize("tier", ["device", "host"])
def test_a_bank_fetches_the_same_rows_by_the_kernel_as_by_copies(
    tier: tiers.Tier, generator: torch.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The processor stands for the GPU, whose kernel reads host memory as this one does."""
    parts = [stored(generator, chunks=40, groups=2, head_dim=16, dtype=torch.int8) for _ in range(2)]
    k, v = (TieredRows(*part, tier, device=torch.device("cpu"), dtype=torch.float16) for part in parts)
    spans = list(pairwise((0, 1, 9, 9, 40)))
    copied = fetch_pair(k, v, spans)
    calls = []

    def served(*arguments: object) -> bool:
        calls.append(arguments)
        return True

    monkeypatch.setattr(tiers, "reads_directly", served)
    monkeypatch.setattr(tiers, "gather_pair", triton.gather_pair)
    gathered = fetch_pair(k, v, spans)
    assert calls
    for one, other in zip(copied, gathered, strict=True):
        assert torch.equal(one, other)
    assert [len(x) for x in fetch_pair(k, v, [])] == [0, 0]


def test_mapped_files_are_never_read_by_a_kernel(generator: torch.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    part = stored(generator, chunks=8, groups=2, head_dim=16, dtype=torch.int8)
    k = TieredRows(*part, "disk", device=torch.device("cpu"), dtype=torch.float32)
    v = TieredRows(*part, "host", device=torch.device("cpu"), dtype=torch.float32)
    monkeypatch.setattr(tiers, "reads_directly", lambda *_: pytest.fail("asked for a mapped file"))
    for found in fetch_pair(k, v, [(2, 5)]):
        assert torch.equal(found, gather_rows(*part, torch.arange(2, 5), torch.float32))


def test_it_serves_only_where_a_gpu_can_read(generator: torch.Generator) -> None:
    part = stored(generator, chunks=8, groups=2, head_dim=16, dtype=torch.int8)
    assert not reads_directly(part, part, torch.device("cpu"), torch.float16)
    assert not reads_directly(part, part, torch.device("cuda", 0), torch.float32)
    assert not reads_directly(part, part, torch.device("cuda", 0), torch.float16)  # not pinned
