"""Room: the size limit, compaction, cleaning; and a model test of all of it against a dictionary."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from store_samples import LAYOUT, OTHER_LAYOUT, QUICK, assert_holds, entries, fill, key, segment_files

from codemem.model.store import Store, StoreEvent, StoreOptions

DAY = 86_400.0


def segment_bytes(directory: Path) -> int:
    return sum(path.stat().st_size for path in segment_files(directory))


def present(store: Store, numbers: range) -> list[int]:
    found = store.has(key(n) for n in numbers)
    return [n for n in numbers if key(n) in found]


def test_the_least_recently_used_make_room(tmp_path: Path) -> None:
    events: list[StoreEvent] = []
    with Store.open(tmp_path, LAYOUT, options=QUICK, size_limit_bytes=16_000, on_event=events.append) as store:
        for at in range(0, 20, 4):
            store.append(entries(range(at, at + 4)))
            store.flush()
        assert present(store, range(20)) == list(range(20))
        store.load([key(n) for n in range(8)])  # the oldest become the newest
        store.append(entries(range(20, 40)))
        store.flush()
        store.append(entries(range(40, 60)))
        store.flush()
        assert segment_bytes(tmp_path) <= 16_000
        evicted = [key_ for event in events if event.kind == "evicted" for key_ in event.keys]
        assert evicted
        expected = [key(n) for n in [*range(8, 20), *range(8)]]
        assert set(evicted[:12]) == set(expected[:12])
        assert set(evicted[12:20]) <= set(expected[12:])
        assert store.has(evicted) == set()
        assert_holds(store.load([key(n) for n in range(60)]), list(range(60)))
        assert present(store, range(40, 60)) == list(range(40, 60))


def set_clock(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    for module in ("store", "maintenance", "opening"):
        monkeypatch.setattr(f"codemem.model.store.{module}.now_s", lambda: seconds)


NOW = 1_800_000_000.0


def test_a_clock_that_jumps_does_not_turn_the_order_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evicted: list[bytes] = []
    numbers = {key(n): n for n in range(60)}
    with Store.open(
        tmp_path, LAYOUT, options=QUICK, size_limit_bytes=12_000, on_event=lambda event: evicted.extend(event.keys)
    ) as store:
        for batch in range(15):
            set_clock(monkeypatch, NOW + [0, 40_000, -20_000, 0.5, 3_000][batch % 5] * DAY)
            store.append(entries(range(4 * batch, 4 * batch + 4)))
            store.flush()
    order = [numbers[one] // 4 for one in evicted]
    assert len(order) > 20
    assert order == sorted(order)


def test_cleaning_what_is_unused_goes_by_the_last_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store.open(tmp_path, LAYOUT, options=QUICK) as store:
        for batch, days in enumerate([-50, -40, 40_000, -1]):  # the third by a clock that ran ahead
            set_clock(monkeypatch, NOW + days * DAY)
            store.append(entries(range(4 * batch, 4 * batch + 4)))
            store.flush()
        set_clock(monkeypatch, NOW - 2 * DAY)
        store.load([key(1), key(5)])
        store.flush()
        set_clock(monkeypatch, NOW)
        assert store.clean(unused_since=NOW - 30 * DAY).entries == 6
        assert present(store, range(16)) == [1, 5, *range(8, 16)]
        set_clock(monkeypatch, NOW - 400 * DAY)  # a use under a clock that runs behind takes nothing away
        store.load([key(1)])
        store.flush()
        set_clock(monkeypatch, NOW)
        assert store.clean(unused_since=NOW - 30 * DAY).entries == 0
        set_clock(monkeypatch, NOW + 50 * DAY)  # what ran ahead was set right by the cleaning
        store.load([key(9)])
        assert store.clean(unused_since=NOW + 30 * DAY).entries == 9
        assert present(store, range(16)) == [9]


def test_stamps_are_written_seldom(tmp_path: Path) -> None:
    fill(tmp_path, range(4), StoreOptions())
    with Store.open(tmp_path, LAYOUT, options=StoreOptions(stamp_interval_s=3600.0)) as store:
        store.load([key(n) for n in range(4)])
        before = (tmp_path / "catalogue.sqlite-wal").read_bytes()
        store.flush()
        assert (tmp_path / "catalogue.sqlite-wal").read_bytes() == before


def test_many_small_segments_are_merged(tmp_path: Path) -> None:
    with Store.open(tmp_path, LAYOUT, options=QUICK) as store:
        for number in range(40):
            store.append(entries([number]))
            store.flush()
        assert len(segment_files(tmp_path)) < 2 * QUICK.small_segments
        assert not store.load([key(n) for n in range(40)]).missing
        assert_holds(store.load([key(n) for n in range(40)]), list(range(40)))


def test_compaction_gives_back_the_room_of_dead_entries(tmp_path: Path) -> None:
    fill(tmp_path, range(40), StoreOptions())
    with Store.open(tmp_path, LAYOUT) as store:
        before = segment_bytes(tmp_path)
        catalogue = store.directory.catalogue()
        number = catalogue.layout_number(LAYOUT)
        assert number is not None
        catalogue.drop(number, catalogue.lookup(number, [key(n) for n in range(35)]).values())
        store.compact()
        assert segment_bytes(tmp_path) < before / 2
        loaded = store.load([key(n) for n in range(40)])
        assert loaded.missing == tuple(key(n) for n in range(35))
        assert_holds(loaded, list(range(40)))
        assert store.verify(full=True).ok


def test_cleaning_everything_leaves_an_empty_store(tmp_path: Path) -> None:
    with Store.open(tmp_path, LAYOUT, options=QUICK) as store:
        store.append(entries(range(12)))
        store.flush()
        store.append(entries(range(12, 14)))
        report = store.clean(everything=True)
        assert (report.entries, report.bytes > 0) == (12, True)
        assert present(store, range(14)) == []
        assert segment_files(tmp_path) == []
        assert store.stats().layouts == ()
        store.append(entries([1]))
        assert not store.load([key(1)]).missing
    with Store.open(tmp_path, LAYOUT) as store:
        assert present(store, range(14)) == [1]


def test_cleaning_a_layout_leaves_the_others(tmp_path: Path) -> None:
    fill(tmp_path, range(6))
    with Store.open(tmp_path, OTHER_LAYOUT) as store:
        store.append(entries(range(6), OTHER_LAYOUT))
        store.flush()
        assert store.clean(fingerprints=[LAYOUT.fingerprint]).entries == 6
        assert_holds(store.load([key(n, OTHER_LAYOUT) for n in range(6)]), list(range(6)), OTHER_LAYOUT)
        assert [layout.fingerprint for layout in store.stats().layouts] == [OTHER_LAYOUT.fingerprint]
        with pytest.raises(ValueError, match="say what to clean"):
            store.clean()
        with pytest.raises(ValueError, match="say what to clean"):
            store.clean(everything=True, unused_since=0.0)


class StoreMachine(RuleBasedStateMachine):
    """A store and a set of what must be in it: every entry is a function of its number, so a set is the dictionary."""

    numbers = st.lists(st.integers(0, 40), min_size=1, max_size=8)

    @initialize(limit=st.sampled_from([None, 9_000, 20_000]))
    def make(self, limit: int | None) -> None:
        self.directory = Path(tempfile.mkdtemp())
        self.limit = limit
        self.stored: set[int] = set()
        self.by_key = {key(n): n for n in range(41)}
        self.open()

    def open(self) -> None:
        self.store = Store.open(
            self.directory, LAYOUT, options=QUICK, size_limit_bytes=self.limit, on_event=self.happened
        )

    def happened(self, event: StoreEvent) -> None:
        assert event.kind not in ("corrupt", "rebuilt", "adopted", "removed")
        if event.kind == "evicted":
            self.stored -= {self.by_key[key_] for key_ in event.keys}

    @rule(numbers=numbers)
    def append(self, numbers: list[int]) -> None:
        self.stored |= set(numbers)
        self.store.append(entries(numbers))

    @rule()
    def flush(self) -> None:
        self.store.flush()
        if self.limit is not None:
            assert segment_bytes(self.directory) <= self.limit

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.open()

    @rule(numbers=numbers)
    def load(self, numbers: list[int]) -> None:
        self.store.flush()
        loaded = self.store.load([key(n) for n in numbers])
        assert set(loaded.missing) == {key(n) for n in numbers if n not in self.stored}
        assert_holds(loaded, numbers)

    @rule(numbers=numbers)
    def forget(self, numbers: list[int]) -> None:
        self.store.flush()
        catalogue = self.store.directory.catalogue()
        number = catalogue.layout_number(LAYOUT)
        if number is not None:
            catalogue.drop(number, catalogue.lookup(number, [key(n) for n in numbers]).values())
        self.stored -= set(numbers)

    @rule()
    def compact(self) -> None:
        self.store.compact()

    @rule()
    def verify(self) -> None:
        assert self.store.verify(full=True).ok

    @invariant()
    def has(self) -> None:
        assert {self.by_key[key_] for key_ in self.store.has(self.by_key)} == self.stored

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.directory)


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(
    max_examples=15, stateful_step_count=25, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
