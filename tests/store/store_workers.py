"""What the processes of the store's tests do."""

import os
import resource
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from store_samples import LAYOUT, QUICK, assert_holds, entries, entry, key

from codemem.model.errors import StoreError
from codemem.model.store import Store, StoreEvent
from codemem.model.store.catalogue import Catalogue
from codemem.model.store.folder import SegmentFolder

LIMIT = 6_000
"""Bytes of segments: what `write_steadily` writes does not fit, so that it evicts and compacts all the time."""


def write_steadily(directory: Path, pipe: Connection, seed: int, limit: int | None) -> None:
    """Appends entries and tells after each flush what is durable; ends when killed."""
    order = np.random.default_rng(seed).permutation(500).tolist()
    store = Store.open(directory, LAYOUT, options=QUICK, size_limit_bytes=limit)
    while True:
        for at in range(0, len(order), 3):
            store.append(entries(order[at : at + 3]))
            store.flush()
            pipe.send(order[at : at + 3])


def write_and_die(directory: Path, pipe: Connection, step: int, limit: int | None) -> None:
    """Work that has every kind of step, killed before or after one of them; sends what is durable, in the end None."""
    steps = 0

    def count() -> None:
        nonlocal steps
        if steps == step:
            os.kill(os.getpid(), signal.SIGKILL)
        steps += 1

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            count()
            result = function(*args, **kwargs)
            count()
            return result

        return wrapper

    for owner, name in [
        (os, "fsync"), (Path, "replace"), (Path, "unlink"), (Path, "mkdir"), (SegmentFolder, "write"),
        (SegmentFolder, "remove"), (Catalogue, "add_segment"), (Catalogue, "move_entries"), (Catalogue, "doom_segment"),
        (Catalogue, "drop"), (Catalogue, "stamp"), (Catalogue, "buried"),
    ]:  # fmt: skip
        setattr(owner, name, counted(getattr(owner, name)))
    with Store.open(directory, LAYOUT, options=QUICK, size_limit_bytes=limit) as store:
        for at in range(0, 24, 4):
            store.append(entries(range(at, at + 4)))
            store.flush()
            pipe.send(list(range(at, at + 4)))
            store.load([key(at)])
        store.compact()
    pipe.send(None)


def write_all(directory: Path, pipe: Connection, numbers: list[int]) -> None:
    """Appends in small steps while others do the same, and sends the kinds of events."""
    events: list[StoreEvent] = []
    with Store.open(directory, LAYOUT, options=QUICK, on_event=events.append) as store:
        for at in range(0, len(numbers), 2):
            wanted = numbers[at : at + 2]
            present = store.has(key(n) for n in wanted)
            store.append(entry(n) for n in wanted if key(n) not in present)
            if at % 6 == 0:
                store.flush()
            assert_holds(store.load([key(n) for n in numbers[: at + 2]]), numbers[: at + 2])
    pipe.send([event.kind for event in events])


def read_all(directory: Path, pipe: Connection, count: int) -> None:
    """Reads whatever there is, again and again, until all of it is there; sends how often."""
    order = np.random.default_rng(os.getpid()).permutation(count).tolist()
    seen: set[bytes] = set()
    with Store.open(directory, LAYOUT, options=QUICK, read_only=True) as store:
        times = 0
        while len(seen) < count:
            loaded = store.load([key(n) for n in order])
            assert_holds(loaded, order)
            assert not loaded.corrupt
            assert seen.isdisjoint(loaded.missing)
            seen = set(loaded.keys) - set(loaded.missing)
            times += 1
            time.sleep(0.01)
    pipe.send(times)


def fill_up(directory: Path, pipe: Connection, file_limit: int | None) -> None:
    """Writes until there is no room (on the file system, or in one file), makes room, and writes on."""
    if file_limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    done = 0
    store = Store.open(directory, LAYOUT, options=QUICK)
    try:
        while done < 50_000:
            store.append(entries(range(done, done + 200)))
            store.flush()
            done += 200
        pipe.send("never full")
    except StoreError as error:
        loaded = store.load([key(n) for n in range(done)])
        assert not loaded.missing
        assert_holds(loaded, list(range(done)))
        kept = len(store.has(key(n) for n in range(done, done + 200)))
        if file_limit is None:
            (directory.parent / "ballast").unlink()
        else:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        store.flush()
        store.close()
        pipe.send((str(error), done, kept))
