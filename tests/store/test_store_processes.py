"""Several processes at once, processes killed at any moment, full disks, places that cannot be written."""

import contextlib
import multiprocessing
import os
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import store_workers as workers
from store_samples import LAYOUT, QUICK, assert_holds, entries, fill, key, segment_files

from codemem.model.errors import StoreError
from codemem.model.store import Store, StoreDirectory, StoreEvent, StoreOptions
from codemem.model.store.database import create_catalogue

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["codemem.model.store"])


def start(work: Callable[..., None], directory: Path, *args: object) -> tuple[ForkServerProcess, Connection]:
    ours, theirs = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=work, args=(directory, theirs, *args), daemon=True)
    process.start()
    theirs.close()
    return process, ours


def received(pipe: Connection) -> Iterator[Any]:
    """Everything the process sent before it ended or was killed."""
    with contextlib.suppress(EOFError), pipe:
        while True:
            yield pipe.recv()


def result(process: ForkServerProcess, pipe: Connection) -> Any:
    """What a process that ends by itself sends."""
    values = list(received(pipe))
    process.join()
    assert process.exitcode == 0
    return values[-1]


def check_after_kill(directory: Path, durable: set[int], *, complete: bool) -> None:
    """Everything there is right, everything durable is there (unless evicted), and the store works on."""
    with Store.open(directory, LAYOUT, options=QUICK) as store:
        order = list(range(500))
        loaded = store.load([key(n) for n in order])
        assert not loaded.corrupt
        assert_holds(loaded, order)
        if complete:
            assert durable <= {n for n in order if key(n) not in set(loaded.missing)}
        report = store.verify(full=True)
        assert report.ok, report
        files = segment_files(directory)
        assert len(files) == store.stats().segments
        assert all(path.suffix == ".safetensors" for path in files)
        store.append(entries([1000]))
        assert not store.load([key(1000)]).missing


@pytest.mark.parametrize("limit", [None, workers.LIMIT])
def test_a_kill_at_a_random_moment_loses_nothing_durable(tmp_path: Path, limit: int | None) -> None:
    durable: set[int] = set()
    for seed, moment in enumerate(np.random.default_rng(3).uniform(0.0, 0.1, 8)):
        process, pipe = start(workers.write_steadily, tmp_path / "store", seed, limit)
        assert pipe.poll(60)  # it has begun: the kill falls into the writing
        time.sleep(moment)
        process.kill()
        process.join()
        for numbers in received(pipe):
            durable.update(numbers)
        check_after_kill(tmp_path / "store", durable, complete=limit is None)
    assert len(durable) > 20


@pytest.mark.parametrize("limit", [None, 3_000])
def test_a_kill_between_any_two_steps_loses_nothing_durable(tmp_path: Path, limit: int | None) -> None:
    """Each fsync, rename, unlink and change of rows is a step; a seeded sample of them is tried."""
    ended, step, jumps = False, 0, np.random.default_rng(4)
    tried = 0
    while not ended:
        directory = tmp_path / str(step)
        process, pipe = start(workers.write_and_die, directory, step, limit)
        sent = list(received(pipe))
        process.join()
        ended = None in sent
        assert (process.exitcode == 0) == ended
        durable = {number for numbers in sent if numbers for number in numbers}
        check_after_kill(directory, durable, complete=limit is None)
        step += int(jumps.integers(1, 14 if limit is None else 20))
        tried += 1
    assert tried > 12


def test_writers_and_readers_do_not_disturb_each_other(tmp_path: Path) -> None:
    fill(tmp_path / "store", [])
    count = 40
    shuffled = [np.random.default_rng(seed).permutation(count).tolist() for seed in range(3)]
    writers = [start(workers.write_all, tmp_path / "store", numbers) for numbers in shuffled]
    readers = [start(workers.read_all, tmp_path / "store", count) for _ in range(2)]
    kinds = {kind for process, pipe in writers for kind in result(process, pipe)}
    assert "compacted" in kinds
    assert "corrupt" not in kinds
    assert all(result(process, pipe) > 0 for process, pipe in readers)
    with Store.open(tmp_path / "store", LAYOUT) as store:
        loaded = store.load([key(n) for n in range(count)])
        assert not loaded.missing
        assert_holds(loaded, list(range(count)))
        stats = store.stats()
        assert (stats.entries, stats.chunks) == (count, sum(1 + n % 5 for n in range(count)))
        assert store.verify(full=True).ok


def test_a_store_made_by_many_at_once_is_one(tmp_path: Path) -> None:
    processes = [start(workers.write_all, tmp_path / "store", [number, number + 1]) for number in range(5)]
    for process, pipe in processes:
        assert result(process, pipe) == []
    with Store.open(tmp_path / "store", LAYOUT) as store:
        loaded = store.load([key(n) for n in range(6)])
        assert not loaded.missing
        assert_holds(loaded, list(range(6)))


def test_what_is_written_after_another_process_has_come_and_gone_stays(tmp_path: Path) -> None:
    """A connection whose lock on the catalogue was lost writes into a log that the other process has deleted."""
    events: list[StoreEvent] = []
    with Store.open(tmp_path / "store", LAYOUT) as first, Store.open(tmp_path / "store", LAYOUT) as second:
        second.close()
        process, pipe = start(workers.write_all, tmp_path / "store", [1, 2])
        assert result(process, pipe) == []
        process.join()
        first.append(entries([3]))
        first.flush()
        process, pipe = start(workers.write_all, tmp_path / "store", [4])
        assert result(process, pipe) == []
    with Store.open(tmp_path / "store", LAYOUT, on_event=events.append) as store:
        assert not store.load([key(n) for n in range(1, 5)]).missing
    assert not events


def test_looking_at_a_store_without_its_marker_leaves_its_locks(tmp_path: Path) -> None:
    """What the directory is stands in the catalogue's header then, and that is open already."""
    events: list[StoreEvent] = []
    with Store.open(tmp_path, LAYOUT) as store:
        (tmp_path / "format").unlink()
        with Store.open(tmp_path, LAYOUT):
            pass
        process, pipe = start(workers.write_all, tmp_path, [1])
        assert result(process, pipe) == []
        store.append(entries([2]))
        store.flush()
        process, pipe = start(workers.write_all, tmp_path, [3])
        assert result(process, pipe) == []
    with Store.open(tmp_path, LAYOUT, on_event=events.append) as store:
        assert not store.load([key(n) for n in (1, 2, 3)]).missing
    assert not events


def test_a_catalogue_replaced_while_it_is_opened_is_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection to the one that was moved aside would write what nobody reads."""
    events: list[StoreEvent] = []
    fill(tmp_path, [1])
    connect, left = sqlite3.connect, [1]

    def replaced(*arguments: Any, **options: Any) -> sqlite3.Connection:
        made = connect(*arguments, **options)
        if left and "mode=rw" in str(arguments[0]):
            left.pop()
            create_catalogue(tmp_path / "empty")
            (tmp_path / "empty").replace(tmp_path / "catalogue.sqlite")
        return made

    monkeypatch.setattr(sqlite3, "connect", replaced)
    with Store.open(tmp_path, LAYOUT, on_event=events.append) as store:
        assert not left
        assert [event.kind for event in events] == ["adopted"]  # what the new one lacked
        store.append(entries([2]))
    with Store.open(tmp_path, LAYOUT) as store:
        assert not store.load([key(1), key(2)]).missing


def test_a_writer_waits_for_the_lock_and_says_what_it_waits_for(tmp_path: Path) -> None:
    impatient = StoreOptions(lock_timeout_s=0.05)
    with Store.open(tmp_path, LAYOUT) as holder, Store.open(tmp_path, LAYOUT, options=impatient) as store:
        store.append(entries([1]))
        with holder.directory.writing():
            with pytest.raises(StoreError, match="another process"):
                store.flush()
            assert store.has([key(1)]) == {key(1)}
        store.flush()
        assert_holds(holder.load([key(1)]), [1])
        assert not holder.load([key(1)]).missing


def test_readers_keep_what_is_compacted_away(tmp_path: Path) -> None:
    fill(tmp_path, range(4), StoreOptions())
    with Store.open(tmp_path, LAYOUT) as reader, Store.open(tmp_path, LAYOUT) as other:
        held = reader.load([key(n) for n in range(4)])
        assert held.mapped
        other.clean(everything=True)
        assert segment_files(tmp_path) == []
        assert_holds(held, list(range(4)))
        assert reader.load([key(0)]).missing == (key(0),)


@contextlib.contextmanager
def mounted(*arguments: str) -> Iterator[bool]:
    """A mount, where this process may mount; its last argument is the place."""
    made = os.geteuid() == 0 and subprocess.run(["mount", *arguments], check=False, capture_output=True).returncode == 0
    try:
        yield made
    finally:
        if made:
            subprocess.run(["umount", arguments[-1]], check=True)


@pytest.mark.parametrize("by", ["file system", "file size"])
def test_a_full_disk_is_said_and_the_store_stays_usable(tmp_path: Path, by: str) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    with mounted("-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)) as small:
        (disk / "ballast").write_bytes(bytes(300_000))
        limit = None if small and by == "file system" else 150_000
        directory = (tmp_path if limit else disk) / "store"
        message, done, kept = result(*start(workers.fill_up, directory, limit))
        assert "no space left" in message
        assert "codemem clean" in message
        assert kept == 200  # what could not be written waited in the buffer
        with Store.open(directory, LAYOUT) as store:
            order = list(range(done + 200))
            loaded = store.load([key(n) for n in order])
            assert not loaded.missing
            assert_holds(loaded, order)
            assert store.verify(full=True).ok
            assert len(segment_files(directory)) == store.stats().segments


@pytest.fixture
def unwritable(tmp_path: Path) -> Iterator[Path]:
    """A store that this process may only read: by its modes, or for root, whom no mode stops, by a read-only mount."""
    directory = tmp_path / "store"
    fill(directory, range(6))
    with mounted("--bind", "-o", "ro", str(directory), str(directory)):
        for path in (directory, directory / "segments"):
            with contextlib.suppress(OSError):
                path.chmod(0o500)
        yield directory
    for path in (directory, directory / "segments"):
        path.chmod(0o700)


def test_a_store_that_may_not_be_written_can_be_read(unwritable: Path) -> None:
    with pytest.raises(StoreError, match="permissions"):
        Store.open(unwritable, LAYOUT)
    events: list[StoreEvent] = []
    with Store.open(unwritable, LAYOUT, read_only=True, on_event=events.append) as store:
        loaded = store.load([key(n) for n in range(6)])
        assert not loaded.missing
        assert_holds(loaded, list(range(6)))
        assert store.verify(full=True).ok
    with StoreDirectory.open(unwritable, read_only=True) as directory:
        assert directory.stats().entries == 6
    assert events == []
