"""What goes into a store comes out of it, in any order, whoever else uses it."""

import dataclasses
import json
import stat
import threading
from pathlib import Path

import numpy as np
import pytest
import safetensors
import torch
from store_samples import LAYOUT, OTHER_LAYOUT, QUICK, assert_holds, entries, entry, fill, key, segment_files

from codemem.model.entry import EntryLayout, TensorSpec
from codemem.model.errors import StoreError
from codemem.model.store import Store, StoreDirectory, StoreOptions, remove_store


def test_entries_come_back_in_the_order_asked_for(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s", LAYOUT, options=QUICK) as store:
        store.append(entries(range(23)))
        assert store.has([key(3), key(22), key(99)]) == {key(3), key(22)}
        order = [7, 3, 22, 0, 7, 15]
        assert_holds(store.load([key(n) for n in order]), order)
    with Store.open(tmp_path / "s", LAYOUT) as store:
        order = [int(n) for n in np.random.default_rng(0).permutation(23)]
        loaded = store.load([key(n) for n in order])
        assert not loaded.missing
        assert_holds(loaded, order)
        one = store.read(key(4))
        assert one.key == key(4)
        assert one.tokens == entry(4).tokens
        np.testing.assert_array_equal(one.tensors["v.1"], entry(4).tensors["v.1"])


def test_missing_keys_have_no_rows_and_are_named(tmp_path: Path) -> None:
    fill(tmp_path, [1, 2])
    with Store.open(tmp_path, LAYOUT) as store:
        loaded = store.load([key(n) for n in (9, 1, 8, 2, 9)])
        assert loaded.missing == (key(9), key(8))
        assert loaded.corrupt == ()
        assert_holds(loaded, [9, 1, 8, 2, 9])
        nothing = store.load([])
        assert nothing.chunks == 0
        assert_holds(nothing, [])
        with pytest.raises(KeyError):
            store.read(key(9))


def test_neighbours_of_one_segment_are_mapped_and_anything_else_is_copied(tmp_path: Path) -> None:
    fill(tmp_path, range(10), StoreOptions())
    fill(tmp_path, range(10, 12), StoreOptions())
    with Store.open(tmp_path, LAYOUT) as store:
        mapped = store.load([key(n) for n in range(2, 9)])
        assert mapped.mapped
        assert_holds(mapped, list(range(2, 9)))
        assert not store.load([key(2), key(4)]).mapped
        assert not store.load([key(9), key(10)]).mapped
        # torch takes them without a warning, and a stray write reaches neither the file nor other loads
        torch.from_numpy(mapped.tensors["v.1"]).fill_(0.0)
        assert_holds(store.load([key(n) for n in range(2, 9)]), list(range(2, 9)))
    with Store.open(tmp_path, LAYOUT) as store:
        assert store.verify(full=True).ok


def test_a_part_can_be_loaded_alone(tmp_path: Path) -> None:
    fill(tmp_path, range(8))
    with Store.open(tmp_path, LAYOUT) as store:
        loaded = store.load([key(3), key(1)], parts=["route"])
        assert set(loaded.tensors) == {"route.1", "route.2"}
        np.testing.assert_array_equal(loaded.tensors["route.2"][-2:], entry(1).tensors["route.2"])
        with pytest.raises(ValueError, match="no part rout"):
            store.load([key(3)], parts=["rout"])


def test_a_known_key_stays_as_it_was_first_stored(tmp_path: Path) -> None:
    impostor = dataclasses.replace(entry(2), key=key(1))
    with Store.open(tmp_path, LAYOUT) as store:
        store.append([entry(1), impostor])
        store.append([impostor])
        store.flush()
        store.append([impostor])
        assert_holds(store.load([key(1)]), [1])
        assert store.stats().entries == 1


def test_layouts_do_not_see_each_other(tmp_path: Path) -> None:
    same_key = dataclasses.replace(entry(1, OTHER_LAYOUT), key=key(1))
    with Store.open(tmp_path, LAYOUT) as one, Store.open(tmp_path, OTHER_LAYOUT) as two:
        one.append([entry(1)])
        one.flush()
        assert two.has([key(1)]) == set()
        two.append([same_key])
        two.flush()
        assert_holds(one.load([key(1)]), [1])
        assert two.load([key(1)]).tensors["route.1"].shape == (2, 5)
    stats = StoreDirectory.open(tmp_path).stats()
    assert [layout.entries for layout in stats.layouts] == [1, 1]


def test_a_fingerprint_stands_for_one_set_of_tensors(tmp_path: Path) -> None:
    fill(tmp_path, [1])
    other = EntryLayout(LAYOUT.fingerprint, 64, OTHER_LAYOUT.tensors)
    with pytest.raises(StoreError, match="other tensors"):
        Store.open(tmp_path, other)


@pytest.mark.parametrize(
    ("options", "segments"),
    [
        (StoreOptions(segment_entries=4), 2),
        (StoreOptions(segment_bytes=1), 9),
        (StoreOptions(segment_seconds=0.0), 9),
        (StoreOptions(), 0),
    ],
)
def test_a_segment_is_written_by_entries_bytes_or_age(tmp_path: Path, options: StoreOptions, segments: int) -> None:
    with Store.open(tmp_path, LAYOUT, options=options) as store:
        for number in range(9):
            store.append([entry(number)])
        assert len(segment_files(tmp_path)) == segments
        assert store.has(key(n) for n in range(9)) == {key(n) for n in range(9)}


def test_a_segment_is_a_plain_safetensors_file(tmp_path: Path) -> None:
    fill(tmp_path, [1, 2, 3], StoreOptions())
    (path,) = segment_files(tmp_path)
    with safetensors.safe_open(path, framework="np") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        about = json.loads(file.metadata()["codemem"])
    assert about["format"] == 1
    assert tensors["entry.keys"].tobytes() == key(1) + key(2) + key(3)
    assert tensors["entry.chunks"].tolist() == [2, 3, 4]
    assert tensors["entry.tokens"].tolist() == [entry(n).tokens for n in (1, 2, 3)]
    for spec in LAYOUT.tensors:
        expected = np.concatenate([entry(n).tensors[spec.name] for n in (1, 2, 3)])
        np.testing.assert_array_equal(tensors[spec.name], expected)


def test_only_the_user_may_read(tmp_path: Path) -> None:
    directory = tmp_path / "a" / "store"
    with Store.open(directory, LAYOUT) as store:
        store.append([entry(1)])
        store.flush()
        for path in [directory, *directory.rglob("*")]:
            mode = stat.S_IMODE(path.stat().st_mode)
            assert mode == (0o700 if path.is_dir() else 0o600), path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"key": b"short"}, "32 bytes"),
        ({"tokens": 0}, "empty"),
        ({"chunk_ends": np.zeros(0, np.uint32)}, "empty"),
        ({"tensors": {}}, "has 0 tensors"),
        ({"tensors": {**entry(1).tensors, "v.1": np.zeros((2, 4), np.float32)}}, r"v.1 is float32\[2, 4\]"),
        ({"tensors": {**entry(1).tensors, "v.1": np.zeros((2, 3), np.float64)}}, "v.1 is float64"),
        ({"tensors": {**entry(1).tensors, "v.1": np.full((2, 3), np.inf, np.float32)}}, "v.1 holds NaN or inf"),
        ({"tensors": {**entry(1).tensors, "route_scale.1": np.full((2, 1), np.nan, np.float16)}}, "in chunk 0"),
        ({"tensors": {**entry(1).tensors, "k.1": np.array([[0] * 4, [0, 0x7FC0, 0, 0]], np.uint16)}}, "in chunk 1"),
    ],
)
def test_what_does_not_fit_is_refused_whole(tmp_path: Path, change: dict[str, object], message: str) -> None:
    with Store.open(tmp_path, LAYOUT) as store:
        with pytest.raises(StoreError, match=message):
            store.append([entry(2), dataclasses.replace(entry(1), **change)])
        assert store.has([key(1), key(2)]) == set()


def test_infinities_are_stored_when_told_so(tmp_path: Path) -> None:
    odd = dataclasses.replace(entry(1), tensors={**entry(1).tensors, "v.1": np.full((2, 3), np.nan, np.float32)})
    with Store.open(tmp_path, LAYOUT, options=StoreOptions(check_finite=False)) as store:
        store.append([odd])
        assert np.isnan(store.read(key(1)).tensors["v.1"]).all()


@pytest.mark.parametrize(
    "tensors",
    [
        (),
        (TensorSpec("a", "int8", 1), TensorSpec("a", "int8", 1)),
        (TensorSpec("entry.keys", "int8", 1),),
        (TensorSpec("a", "object", 1),),
        (TensorSpec("a", "int8", 0),),
    ],
)
def test_a_layout_that_cannot_be_stored_is_refused(tmp_path: Path, tensors: tuple[TensorSpec, ...]) -> None:
    with pytest.raises(StoreError):
        Store.open(tmp_path, EntryLayout("00" * 32, 64, tensors))


def test_what_is_done_is_kept_when_the_caller_fails(tmp_path: Path) -> None:
    store = Store.open(tmp_path, LAYOUT)

    def work() -> None:
        with store:
            store.append([entry(1)])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    with Store.open(tmp_path, LAYOUT) as again:
        assert again.has([key(1)])
    with pytest.raises(StoreError, match="closed"):
        store.append([entry(2)])
    with pytest.raises(StoreError, match="closed"):
        store.load([key(1)])


def test_threads_may_share_a_store(tmp_path: Path) -> None:
    failures: list[BaseException] = []
    with Store.open(tmp_path, LAYOUT, options=QUICK) as store:

        def work(start: int) -> None:
            try:
                for number in range(start, start + 30):
                    store.append([entry(number)])
                    assert_holds(store.load([key(number), key(start)]), [number, start])
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(start,)) for start in (0, 20, 40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert_holds(store.load([key(n) for n in range(70)]), list(range(70)))


def test_statistics_count_by_layout_and_part(tmp_path: Path) -> None:
    fill(tmp_path, range(1, 4))
    with Store.open(tmp_path, OTHER_LAYOUT) as store:
        store.append(entries([4], OTHER_LAYOUT))
        store.flush()
        stats = store.stats()
    assert (stats.entries, stats.chunks) == (4, 2 + 3 + 4 + 5)
    first = next(layout for layout in stats.layouts if layout.fingerprint == LAYOUT.fingerprint)
    assert first.tokens == sum(entry(n).tokens for n in (1, 2, 3))
    assert first.parts == {"route": 9 * 16, "route_scale": 9 * 2, "k": 9 * 8, "v": 9 * 12, "chunk_ends": 9 * 4}
    assert first.bytes == sum(first.parts.values())
    assert stats.bytes >= sum(path.stat().st_size for path in segment_files(tmp_path))


def test_a_store_can_be_removed_without_a_trace(tmp_path: Path) -> None:
    directory = tmp_path / "store"
    assert remove_store(directory) is False
    fill(directory, range(9))
    assert remove_store(directory) is True
    assert list(tmp_path.iterdir()) == []
