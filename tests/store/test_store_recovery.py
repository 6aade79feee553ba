"""Damage of any byte is found, said and repaired; foreign and newer directories are refused, never misread."""

import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from store_samples import LAYOUT, QUICK, assert_holds, entries, entry, fill, flip, key, segment_files

from codemem.model.errors import EntryCorrupt, StoreError
from codemem.model.store import Store, StoreDirectory, StoreEvent, StoreOptions
from codemem.model.store.opening import write_marker

NUMBERS = list(range(12))
KEYS = [key(n) for n in NUMBERS]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed store of 12 entries in one segment."""
    directory = tmp_path_factory.mktemp("sound") / "store"
    fill(directory, NUMBERS, StoreOptions())
    return directory


@pytest.fixture
def directory(sound: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(sound, tmp_path / "store"))


def flip_row(path: Path, number: int) -> None:
    """Damages a row of one entry."""
    flip(path, path.read_bytes().index(entry(number).tensors["v.1"].tobytes()) + 1)


def rows_start(path: Path) -> int:
    return 8 + int.from_bytes(path.read_bytes()[:8], "little")


def test_a_flipped_byte_of_a_segment_is_found_wherever_it_is(directory: Path) -> None:
    (path,) = segment_files(directory)
    good = path.read_bytes()
    header = rows_start(path)
    sample = np.random.default_rng(1).integers(header, len(good), 120).tolist()
    offsets = [*range(8), *range(8, header, 41), *sample, header, len(good) - 1]
    with StoreDirectory.open(directory, read_only=True) as store:
        assert store.verify(full=True).ok
    for offset in offsets:
        flip(path, offset, 1 << offset % 8)
        with StoreDirectory.open(directory, read_only=True) as store:
            report = store.verify(full=True)
        assert not report.ok, f"byte {offset} of {len(good)}"
        assert not report.repaired
        path.write_bytes(good)


def test_a_damaged_entry_is_dropped_named_and_stored_anew(directory: Path) -> None:
    (path,) = segment_files(directory)
    flip_row(path, 7)
    events: list[StoreEvent] = []
    with Store.open(directory, LAYOUT, on_event=events.append) as store:
        loaded = store.load(KEYS)
        assert loaded.missing == loaded.corrupt
        assert loaded.corrupt == (key(7),)
        assert_holds(loaded, NUMBERS)
        assert [event.kind for event in events] == ["corrupt"]
        assert events[0].keys == loaded.corrupt
        assert store.has(KEYS) == set(KEYS) - set(loaded.corrupt)
        again = store.load(KEYS)
        assert (again.missing, again.corrupt) == (loaded.missing, ())
        store.append(entries(NUMBERS))
        assert not store.load(KEYS).missing
        assert store.verify(full=True).ok


def test_reading_a_damaged_entry_says_so_once(directory: Path) -> None:
    flip_row(segment_files(directory)[0], 4)
    with Store.open(directory, LAYOUT) as store:
        with pytest.raises(EntryCorrupt, match=key(4).hex()[:12]):
            store.read(key(4))
        with pytest.raises(KeyError):
            store.read(key(4))
        store.append(entries([4]))
        assert store.read(key(4)).tokens == entry(4).tokens


def test_a_part_that_is_not_loaded_is_not_checked(directory: Path) -> None:
    flip_row(segment_files(directory)[0], 4)
    with Store.open(directory, LAYOUT) as store:
        assert not store.load(KEYS, parts=["route", "k"]).missing
        assert store.load(KEYS).corrupt == (key(4),)


def test_a_read_only_store_reports_damage_and_stays_as_it_is(directory: Path) -> None:
    flip_row(segment_files(directory)[0], 7)
    before = {file: file.read_bytes() for file in directory.rglob("*") if file.is_file()}
    with Store.open(directory, LAYOUT, read_only=True) as store:
        loaded = store.load(KEYS)
        assert len(loaded.corrupt) == 1
        assert store.has(KEYS) == set(KEYS) - set(loaded.corrupt)
        assert len(store.load(KEYS).missing) == 1
        with pytest.raises(StoreError, match="reading only"):
            store.append(entries([1]))
        with pytest.raises(StoreError, match="reading only"):
            store.clean(everything=True)
    assert {file: file.read_bytes() for file in directory.rglob("*") if file.is_file() and file in before} == before


@pytest.mark.parametrize("where", ["length", "header", "index"])
def test_damage_beside_the_rows_loses_nothing(directory: Path, where: str) -> None:
    (path,) = segment_files(directory)
    data = path.read_bytes()
    offset = {"length": 1, "header": 40, "index": data.index(KEYS[5])}[where]
    flip(path, offset)
    with Store.open(directory, LAYOUT, read_only=True) as store:
        assert not store.load(KEYS).missing
    events: list[StoreEvent] = []
    with Store.open(directory, LAYOUT, on_event=events.append) as store:
        loaded = store.load(KEYS)
        assert not loaded.missing
        assert_holds(loaded, NUMBERS)
        if where == "index":  # no load looks at it
            report = store.verify()
            assert report.repaired
            assert [problem.where for problem in report.problems] == [path.name]
        assert "compacted" in [event.kind for event in events]
        assert not path.exists()
        assert store.verify(full=True).ok
        assert_holds(store.load(KEYS), NUMBERS)


@pytest.mark.parametrize("change", ["gone", "cut", "emptied"])
def test_a_lost_segment_costs_its_entries_and_no_others(directory: Path, change: str) -> None:
    (path,) = segment_files(directory)
    fill(directory, range(20, 24), StoreOptions())
    if change == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: 100 if change == "cut" else 0])
    with Store.open(directory, LAYOUT) as store:
        order = [*NUMBERS, 20, 23]
        loaded = store.load([key(n) for n in order])
        assert loaded.missing == tuple(KEYS)
        assert_holds(loaded, order)
        store.append(entries(NUMBERS))
        assert_holds(store.load(KEYS), NUMBERS)
        assert not store.load(KEYS).missing
        assert store.verify(full=True).ok


def test_a_segment_lost_while_the_store_is_open(directory: Path) -> None:
    with Store.open(directory, LAYOUT) as store:
        segment_files(directory)[0].unlink()
        assert store.load(KEYS).corrupt == tuple(KEYS)
        store.append(entries(NUMBERS))
        assert not store.load(KEYS).missing


def test_a_flipped_byte_of_the_catalogue_never_leads_to_a_wrong_answer(sound: Path, tmp_path: Path) -> None:
    good = (sound / "catalogue.sqlite").read_bytes()
    words = [KEYS[3], LAYOUT.fingerprint.encode(), b"CREATE TABLE", segment_files(sound)[0].name.encode()]
    used = [at for at, byte in enumerate(good) if byte]
    rebuilt = 0
    for offset in [
        0,
        18,
        60,
        68,
        71,
        100,
        *map(good.index, words),
        *np.random.default_rng(2).choice(used, 50).tolist(),
    ]:
        directory = Path(shutil.copytree(sound, tmp_path / "copy"))
        flip(directory / "catalogue.sqlite", offset, 1 << offset % 8)
        events: list[StoreEvent] = []
        with Store.open(directory, LAYOUT, on_event=events.append) as store:
            assert_holds(store.load(KEYS), NUMBERS)
            report = store.verify(full=True)
            rebuilt += any(event.kind == "rebuilt" for event in events)
            loaded = store.load(KEYS)
            assert loaded.missing == (), f"byte {offset}: {report}"
            assert_holds(loaded, NUMBERS)
            store.append(entries([50]))
            store.flush()
            assert store.verify(full=True).ok
        shutil.rmtree(directory)
    assert rebuilt > 20


def test_a_catalogue_that_is_no_database_is_moved_aside_and_rebuilt(directory: Path) -> None:
    (directory / "catalogue.sqlite").write_bytes(b"no database" * 1000)
    events: list[StoreEvent] = []
    with Store.open(directory, LAYOUT, on_event=events.append) as store:
        assert [event.kind for event in events] == ["rebuilt"]
        assert_holds(store.load(KEYS), NUMBERS)
        assert not store.load(KEYS).missing
    assert (directory / "catalogue.corrupt.sqlite").read_bytes().startswith(b"no database")


def test_a_catalogue_damaged_while_it_is_open(directory: Path) -> None:
    with Store.open(directory, LAYOUT) as store, Store.open(directory, LAYOUT) as neighbour:
        assert len(store.has(KEYS)) == 12
        with sqlite3.connect(directory / "catalogue.sqlite") as connection:
            connection.execute("UPDATE entries SET first = first + 1 WHERE key = ?", (KEYS[4],))
        connection.close()
        assert_holds(store.load(KEYS), NUMBERS)
        assert not store.load(KEYS).missing
        neighbour.append(entries([30]))
        neighbour.flush()
        assert_holds(store.load([key(30), KEYS[4]]), [30, 4])
        assert not store.load([key(30)]).missing


def test_a_reader_goes_without_a_damaged_catalogue_until_a_writer_mends_it(directory: Path) -> None:
    (directory / "catalogue.sqlite").write_bytes(b"no database" * 1000)
    with Store.open(directory, LAYOUT, read_only=True) as reader:
        assert_holds(reader.load(KEYS), NUMBERS)
        assert not reader.load(KEYS).missing
        fill(directory, [30])
        assert not reader.load([key(30), KEYS[0]]).missing


@pytest.mark.parametrize("name", ["catalogue.sqlite", "format"])
def test_catalogue_and_marker_can_each_be_lost(directory: Path, name: str) -> None:
    (directory / name).unlink()
    with Store.open(directory, LAYOUT) as store:
        assert_holds(store.load(KEYS), NUMBERS)
        assert not store.load(KEYS).missing
    assert (directory / name).exists()


def test_a_log_cut_short_costs_no_entry(directory: Path, tmp_path: Path) -> None:
    with Store.open(directory, LAYOUT) as store:
        store.append(entries([40, 41]))
        store.flush()
        copy = Path(shutil.copytree(directory, tmp_path / "copy"))
    log = copy / "catalogue.sqlite-wal"
    log.write_bytes(log.read_bytes()[:40])
    with Store.open(copy, LAYOUT) as store:
        order = [*NUMBERS, 40, 41]
        loaded = store.load([key(n) for n in order])
        assert not loaded.missing
        assert_holds(loaded, order)


def test_a_foreign_directory_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match="no codemem store"):
        Store.open(tmp_path, LAYOUT)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    with pytest.raises(StoreError, match="no directory"):
        Store.open(tmp_path / "notes.txt", LAYOUT)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    connection = sqlite3.connect(foreign / "catalogue.sqlite")
    connection.execute("CREATE TABLE mine (a)")
    connection.close()
    with pytest.raises(StoreError, match="no codemem store"):
        Store.open(foreign, LAYOUT)
    with pytest.raises(StoreError, match="no store"):
        Store.open(tmp_path / "absent", LAYOUT, read_only=True)
    assert not (tmp_path / "absent").exists()


def test_a_newer_format_is_refused(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as newer:
        newer.setattr("codemem.model.store.opening.SCHEMA_VERSION", 2)
        write_marker(directory)
    with pytest.raises(StoreError, match=r"format 2.*upgrade codemem"):
        Store.open(directory, LAYOUT)
    with pytest.raises(StoreError, match="upgrade codemem"):
        Store.open(directory, LAYOUT, read_only=True)
    (directory / "format").unlink()
    connection = sqlite3.connect(directory / "catalogue.sqlite")
    connection.execute("PRAGMA user_version = 7")
    connection.close()
    with pytest.raises(StoreError, match="format 7"):
        Store.open(directory, LAYOUT)


def test_files_of_an_interrupted_writer_are_adopted_or_removed(directory: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    fill(other, [60, 61])
    (orphan,) = segment_files(other)
    shutil.copy(orphan, directory / "segments" / orphan.name)
    (directory / "segments" / "half.safetensors.123.tmp").write_bytes(b"half")
    (directory / "segments" / f"{'0' * 32}.safetensors").write_bytes(b"junk")
    events: list[StoreEvent] = []
    with Store.open(directory, LAYOUT, options=QUICK, on_event=events.append) as store:
        assert sorted(event.kind for event in events) == ["adopted", "corrupt", "removed"]
        order = [60, 61, *NUMBERS]
        loaded = store.load([key(n) for n in order])
        assert not loaded.missing
        assert_holds(loaded, order)
        assert len(segment_files(directory)) == 2
    events.clear()
    Store.open(directory, LAYOUT, on_event=events.append).close()
    assert events == []
