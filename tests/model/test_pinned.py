"""Blocks of pinned host memory, with ordinary memory standing for it: what a machine without a GPU can show."""

import gc
import weakref

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from codemem.model.pinned import ALIGNMENT, PinnedBlocks, block_for, blocks, piece_bytes, taken
from codemem.model.tiers import Budget, Limits, Placement, place


class Host:
    """Hands out ordinary memory up to `most` bytes a block and `room` bytes in all, and knows what is in use."""

    def __init__(self, most: int | None = None, room: int | None = None) -> None:
        self.most, self.room, self.asked = most, room, list[int]()
        self.lent: list[tuple[int, weakref.ref[torch.UntypedStorage]]] = []

    def __call__(self, size: int) -> Tensor:
        used = sum(size for size, storage in self.lent if storage() is not None)
        if (self.most is not None and size > self.most) or (self.room is not None and used + size > self.room):
            raise RuntimeError("CUDA error: out of memory")
        self.asked.append(size)
        block = torch.empty(size, dtype=torch.uint8)
        self.lent.append((size, weakref.ref(block.untyped_storage())))
        return block


def rows(count: int, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randint(-127, 128, (count, 2, 8), dtype=torch.int8, generator=generator)
    return [values, torch.rand(count, 2, generator=generator).half()]


def size_of(tensors: list[Tensor]) -> int:
    return sum(x.nbytes for x in tensors)


@given(st.integers(1, 1 << 40), st.integers(1, 80))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_blocks_are_powers_of_two_that_hold_all_pieces(piece: int, count: int) -> None:
    sizes = list(blocks(piece, count))
    assert all(size & (size - 1) == 0 for size in sizes)
    assert sum(size // piece for size in sizes) >= count
    # Never more than a block for each would be.
    assert sum(sizes) <= count * (1 << (piece - 1).bit_length())


@given(st.integers(1, 1 << 30), st.integers(1, 80), st.integers(1, 1 << 34))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_a_largest_block_is_kept_to(piece: int, count: int, most: int) -> None:
    size, held = block_for(piece, count, most)
    assert 1 <= held <= count
    assert held * piece <= size
    assert size <= most or held == 1


def test_a_hundred_million_tokens_take_little_more_than_their_bytes() -> None:
    """36 parts of 1.62 GB took 78.5 GB one by one."""
    sizes = [1_624_995_840] * 36
    assert sum(sizes) < taken(sizes) < 1.05 * sum(sizes)


def test_rows_are_copied_whole_and_lie_apart() -> None:
    host, parts = Host(), [rows(45, seed) for seed in range(7)]
    given = PinnedBlocks([size_of(part) for part in parts], allocate=host)
    held = [given.hold(part) for part in parts]
    for part, copies in zip(parts, held, strict=True):
        for x, copy in zip(part, copies, strict=True):
            assert torch.equal(x, copy)
            assert copy.is_contiguous()
            assert copy.storage_offset() * copy.element_size() % ALIGNMENT == 0
            assert copy.data_ptr() != x.data_ptr()
    assert sum(host.asked) == taken([size_of(part) for part in parts])
    assert len(host.asked) < len(parts)
    held[0][0].zero_()
    assert torch.equal(held[1][0], parts[1][0])


def test_pieces_of_several_sizes_have_blocks_of_their_own() -> None:
    host, parts = Host(), [rows(count) for count in (5, 40, 5, 40, 40, 5)]
    given = PinnedBlocks([size_of(part) for part in parts], allocate=host)
    for part in parts:
        assert all(torch.equal(x, copy) for x, copy in zip(part, given.hold(part), strict=True))
    assert sum(host.asked) == taken([size_of(part) for part in parts])


def test_what_was_not_announced_is_held_too() -> None:
    host, part = Host(), rows(5)
    given = PinnedBlocks([], allocate=host)
    assert all(torch.equal(x, copy) for x, copy in zip(part, given.hold(part), strict=True))
    assert len(host.asked) == 1
    nothing = rows(0)
    assert given.hold(nothing) == nothing
    assert len(host.asked) == 1


def test_blocks_are_free_when_the_last_rows_in_them_are() -> None:
    host, parts = Host(), [rows(100, seed) for seed in range(6)]
    given = PinnedBlocks([size_of(part) for part in parts], allocate=host)
    held = [given.hold(part) for part in parts]
    del given
    gc.collect()
    assert all(storage() is not None for _, storage in host.lent)
    held.clear()
    gc.collect()
    assert all(storage() is None for _, storage in host.lent)


def test_where_large_blocks_are_refused_smaller_ones_serve() -> None:
    parts = [rows(100, seed) for seed in range(6)]
    piece = piece_bytes(size_of(parts[0]))
    host = Host(most=1 << (piece - 1).bit_length())
    given = PinnedBlocks([size_of(part) for part in parts], allocate=host)
    held = [given.hold(part) for part in parts]
    assert len(host.asked) == len(parts)
    for part, copies in zip(parts, held, strict=True):
        assert all(torch.equal(x, copy) for x, copy in zip(part, copies, strict=True))


def test_what_cannot_be_locked_stays_as_it_is() -> None:
    parts = [rows(100, seed) for seed in range(6)]
    one = 1 << (piece_bytes(size_of(parts[0])) - 1).bit_length()
    given = PinnedBlocks([size_of(part) for part in parts], allocate=Host(most=one, room=2 * one))
    held = [given.hold(part) for part in parts]
    stayed = [all(a is b for a, b in zip(part, copies, strict=True)) for part, copies in zip(parts, held, strict=True)]
    assert stayed == [False, False, True, True, True, True]


@pytest.mark.skipif(torch.cuda.is_available(), reason="pages can be locked here")
def test_without_a_gpu_nothing_is_locked() -> None:
    part = rows(5)
    assert all(a is b for a, b in zip(part, PinnedBlocks([size_of(part)]).hold(part), strict=True))


@given(
    st.lists(st.sampled_from([0, 1000, 5000, 70_000]), max_size=12), st.integers(0, 400_000), st.integers(0, 200_000)
)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_a_budget_counts_whole_blocks(sizes: list[int], host: int, device: int) -> None:
    named = {f"k.{i}": size for i, size in enumerate(sizes)}
    placed = place({"int8": 0}, named, Limits(device, host, pinned=True))
    in_host = placed.in_tier("host")
    assert placed.host_bytes == placed.as_json()["host_bytes"] == taken(in_host) <= host
    assert placed.row_bytes("device") <= device
    assert sum(placed.row_bytes(tier) for tier in ("device", "host", "disk")) == sum(sizes)
    # And so much is taken, no more.
    lender = Host()
    given = PinnedBlocks(in_host, allocate=lender)
    for size in in_host:
        given.hold([torch.zeros(size, dtype=torch.uint8)])
    assert sum(lender.asked) == placed.host_bytes


def test_a_processor_pins_nothing_and_counts_bytes() -> None:
    placed = place({"int8": 10}, {"k.0": 1000}, Limits(10, None))
    assert placed.blocks() is None
    assert placed.host_bytes == 1000
    assert Placement("int8", 0, {"k.0": "host"}, {"k.0": 1000}, pinned=True).blocks() is not None


def test_a_gpu_is_done_before_unused_blocks_go_and_they_go_before_memory_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[str] = []

    def counted() -> int:
        done.append("count")
        return 1000

    monkeypatch.setattr(torch.cuda, "synchronize", lambda *_: done.append("wait"))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda *_: (8 << 30, 80 << 30))
    monkeypatch.setattr(torch.accelerator, "empty_host_cache", lambda: done.append("empty"), raising=False)
    monkeypatch.setattr("codemem.model.tiers.available_host_bytes", counted)
    assert Limits.of(Budget(), torch.device("cuda")) == Limits(6 << 30, 700, pinned=True)
    assert done == ["wait", "empty", "count"]
    assert not Limits.of(Budget(), torch.device("cpu")).pinned
