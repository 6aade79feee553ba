"""Entries are checked once, at their first use, while other segments are still copied; an error leaves no thread."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from store_samples import LAYOUT, assert_holds, entries, entry, flip, key, segment_files

from codemem.model.store import Store, loading
from codemem.model.store.catalogue import EntryRow
from codemem.model.store.columns import Columns, parts_of
from codemem.model.store.loading import load_checked, load_columns
from codemem.model.store.segment import Segment, SegmentDamagedError

PARTS = list(parts_of(LAYOUT))
NUMBERS = list(range(20))
KEYS = [key(n) for n in NUMBERS]
SEGMENTS = 4


def fill_segments(directory: Path, segments: int) -> None:
    """A closed store of 20 entries in so many segments, each of as many entries that follow one another."""
    each = len(NUMBERS) // segments
    with Store.open(directory, LAYOUT) as store:
        for start in range(0, len(NUMBERS), each):
            store.append(entries(NUMBERS[start : start + each]))
            store.flush()
    assert len(segment_files(directory)) == segments


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A closed store of 20 entries in four segments."""
    fill_segments(tmp_path / "store", SEGMENTS)
    return tmp_path / "store"


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many entries each call for checksums was for."""
    calls: list[int] = []
    original = loading.checksums_of

    def counted(parts: list[tuple[str, ...]], columns: Columns, which: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
        calls.append(len(which))
        return original(parts, columns, which)

    monkeypatch.setattr(loading, "checksums_of", counted)
    return calls


@pytest.fixture
def store(directory: Path) -> Iterator[Store]:
    with Store.open(directory, LAYOUT, read_only=True) as store:
        yield store


def rows_of(store: Store, numbers: list[int]) -> list[EntryRow]:
    catalogue = store.directory.catalogue()
    layout = catalogue.layout_number(LAYOUT)
    assert layout is not None
    found = catalogue.lookup(layout, KEYS)
    return [found[key(number)] for number in numbers]


def damage(directory: Path, number: int) -> None:
    """Changes a byte of an entry's 'v.1'."""
    row = entry(number).tensors["v.1"].tobytes()
    (path,) = [path for path in segment_files(directory) if row in path.read_bytes()]
    flip(path, path.read_bytes().index(row) + 1)


def bits(store: Store, row: EntryRow) -> list[bool]:
    checked: list[bool] = store.directory.segment(row.segment).checked[:, row.first].tolist()
    return checked


def test_segments_are_checked_while_another_is_still_copied(
    store: Store, hashed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_of(store, NUMBERS)
    last = store.directory.segment(rows[-1].segment)
    seen: list[int] = []

    def wait(segment: Segment) -> None:
        if segment is not last:
            return
        deadline = time.monotonic() + 20
        while len(hashed) < SEGMENTS - 1 and time.monotonic() < deadline:
            time.sleep(0.001)
        seen.append(len(hashed))

    monkeypatch.setattr(Segment, "will_need", wait)
    _, mapped, corrupt = load_checked(store.directory.segment, LAYOUT, PARTS, rows)
    assert (mapped, corrupt) == (False, [])
    assert seen == [SEGMENTS - 1]
    assert hashed == [5] * SEGMENTS


@pytest.mark.parametrize("numbers", [NUMBERS, NUMBERS[::-1], [17, 7, 3, 12, 7, 8]])
def test_damage_in_one_of_several_segments_is_found_and_nothing_else(directory: Path, numbers: list[int]) -> None:
    damage(directory, 7)
    damage(directory, 12)
    with Store.open(directory, LAYOUT, read_only=True) as store:
        rows = rows_of(store, numbers)
        columns, mapped, corrupt = load_checked(store.directory.segment, LAYOUT, PARTS, rows)
        plain, _ = load_columns(store.directory.segment, LAYOUT, PARTS, rows)
        assert not mapped
        assert corrupt == [at for at, number in enumerate(numbers) if number in (7, 12)]
        for row, number in zip(rows, numbers, strict=True):
            assert bits(store, row) == [number not in (7, 12)] * len(PARTS)
        assert columns.key_list() == [key(number) for number in numbers]
        np.testing.assert_array_equal(columns.chunk_ends, plain.chunk_ends)
        for name, tensor in plain.tensors.items():
            np.testing.assert_array_equal(columns.tensors[name], tensor)
        loaded = store.load([key(number) for number in numbers])
        assert set(loaded.corrupt) == {key(7), key(12)}
        assert_holds(loaded, numbers)


def test_mapped_entries_are_checked_too(directory: Path) -> None:
    damage(directory, 7)
    with Store.open(directory, LAYOUT, read_only=True) as store:
        _, mapped, corrupt = load_checked(store.directory.segment, LAYOUT, PARTS, rows_of(store, [5, 6, 7, 8]))
        assert (mapped, corrupt) == (True, [2])
        assert load_checked(store.directory.segment, LAYOUT, ["route"], rows_of(store, [7]))[1:] == (True, [])


def test_what_was_found_right_is_not_hashed_again(store: Store, hashed: list[int]) -> None:
    store.load([key(number) for number in (0, 6, 7)])
    assert sorted(hashed) == [1, 2]
    hashed.clear()
    store.load(KEYS)
    assert sorted(hashed) == [3, 4, 5, 5]
    hashed.clear()
    store.load(KEYS)
    store.load(KEYS[:5])
    store.load(KEYS[::-1], parts=["k"])
    assert hashed == []


def test_only_the_parts_loaded_count_as_checked(store: Store, hashed: list[int]) -> None:
    rows = rows_of(store, [3, 9])
    load_checked(store.directory.segment, LAYOUT, ["v", "k"], rows)
    assert [bits(store, row) for row in rows] == [[part in ("v", "k") for part in PARTS]] * 2
    assert load_checked(store.directory.segment, LAYOUT, PARTS, rows)[2] == []
    assert hashed == [1, 1, 1, 1]
    assert [bits(store, row) for row in rows] == [[True] * len(PARTS)] * 2


def test_a_segment_that_cannot_be_opened_is_raised_and_no_copy_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_segments(tmp_path / "many", 10)
    monkeypatch.setattr(loading, "COPIERS", 1)
    begun: list[Segment] = []

    def slow(segment: Segment) -> None:
        begun.append(segment)
        time.sleep(0.1)

    monkeypatch.setattr(Segment, "will_need", slow)
    with Store.open(tmp_path / "many", LAYOUT, read_only=True) as store:
        rows = rows_of(store, NUMBERS)
        lost = rows[-1].segment

        def opener(number: int) -> Segment:
            if number == lost:
                raise SegmentDamagedError("gone", number)
            return store.directory.segment(number)

        before = set(threading.enumerate())
        with pytest.raises(SegmentDamagedError, match="gone") as raised:
            load_checked(opener, LAYOUT, PARTS, rows)
        assert raised.value.number == lost
        assert set(threading.enumerate()) <= before
        assert len(begun) < 9  # of the nine that were open by then
        assert load_checked(store.directory.segment, LAYOUT, PARTS, rows)[2] == []


def test_an_error_while_copying_is_raised(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_of(store, NUMBERS)
    bad = store.directory.segment(rows[7].segment)

    def fail(segment: Segment) -> None:
        if segment is bad:
            raise OSError("the disk is gone")

    monkeypatch.setattr(Segment, "will_need", fail)
    before = set(threading.enumerate())
    with pytest.raises(OSError, match="the disk is gone"):
        load_checked(store.directory.segment, LAYOUT, PARTS, rows)
    assert set(threading.enumerate()) <= before
    assert bits(store, rows[0]) == [True] * len(PARTS)
    assert bits(store, rows[7]) == [False] * len(PARTS)
