"""Small layouts and entries for the store's tests: an entry's content follows from its number alone."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from codemem.model.entry import Entry, EntryLayout, TensorSpec
from codemem.model.store import LoadedEntries, Store, StoreOptions

LAYOUT = EntryLayout(
    hashlib.sha256(b"model one").hexdigest(),
    64,
    (
        TensorSpec("route.1", "int8", 8),
        TensorSpec("route_scale.1", "float16", 1),
        TensorSpec("k.1", "uint16", 4),
        TensorSpec("v.1", "float32", 3),
        TensorSpec("route.2", "int8", 8),
    ),
)
OTHER_LAYOUT = EntryLayout(hashlib.sha256(b"model two").hexdigest(), 64, (TensorSpec("route.1", "int8", 5),))
QUICK = StoreOptions(segment_bytes=40_000, segment_entries=5, small_segments=6, stamp_interval_s=0.0)


def entry(number: int, layout: EntryLayout = LAYOUT) -> Entry:
    """The entry of a number: 1 to 5 chunks."""
    random = np.random.default_rng(number)
    chunks = 1 + number % 5
    tensors = {spec.name: random.integers(0, 100, (chunks, spec.width)).astype(spec.dtype) for spec in layout.tensors}
    ends = np.cumsum(random.integers(1, 300, chunks)).astype(np.uint32)
    return Entry(key(number, layout), 64 * chunks - number % 64, ends, tensors)


def key(number: int, layout: EntryLayout = LAYOUT) -> bytes:
    """The key of a number."""
    return layout.key([number])


def entries(numbers: Iterable[int], layout: EntryLayout = LAYOUT) -> list[Entry]:
    return [entry(number, layout) for number in numbers]


def assert_holds(loaded: LoadedEntries, numbers: list[int], layout: EntryLayout = LAYOUT) -> None:
    """What was loaded is exactly these entries in this order, but for the missing ones, which have no rows."""
    missing = set(loaded.missing)
    assert loaded.keys == tuple(key(number, layout) for number in numbers)
    assert len(loaded.offsets) == len(numbers) + 1
    assert set(loaded.tensors) == {spec.name for spec in layout.tensors}
    for spec in layout.tensors:
        assert loaded.tensors[spec.name].shape == (loaded.chunks, spec.width)
        assert loaded.tensors[spec.name].dtype == spec.dtype
    for at, number in enumerate(numbers):
        rows = slice(int(loaded.offsets[at]), int(loaded.offsets[at + 1]))
        wanted = entry(number, layout)
        if wanted.key in missing:
            assert rows.start == rows.stop
            assert loaded.tokens[at] == 0
            continue
        assert loaded.tokens[at] == wanted.tokens
        np.testing.assert_array_equal(loaded.chunk_ends[rows], wanted.chunk_ends)
        for name, tensor in wanted.tensors.items():
            np.testing.assert_array_equal(loaded.tensors[name][rows], tensor)


def fill(directory: Path, numbers: Iterable[int], options: StoreOptions = QUICK) -> None:
    """A store with these entries, closed."""
    with Store.open(directory, LAYOUT, options=options) as store:
        store.append(entries(numbers))


def segment_files(directory: Path) -> list[Path]:
    return sorted((directory / "segments").iterdir())


def flip(path: Path, offset: int, mask: int = 0x10) -> None:
    """Changes bits of one byte."""
    data = bytearray(path.read_bytes())
    data[offset] ^= mask
    path.write_bytes(data)
