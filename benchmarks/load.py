"""Loading a memory: from a store on disk to a bank that answers, beside the rate at which the same files are read.

    python -m codemem.benchmarks.stage load '{"device": "cuda", "shape": "4b"}'

Entries are random and of the true size, in the store's own segments; without `tokens`, as many as the disk holds. The
system is told to forget the files before each cold reading; where it does not (a file system in memory), cold is warm.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from codemem.benchmarks import measure
from codemem.benchmarks.shapes import SHAPES, place
from codemem.model.bank import Bank
from codemem.model.entry import Entry, EntryLayout
from codemem.model.layouts import entry_layout
from codemem.model.store import Store
from codemem.model.tiers import Budget

CHUNKS_A_DOCUMENT = 16
DISTINCT = 64
"""Documents whose numbers differ; behind them the same come again, under other keys."""
BATCH = 256
DISK_SHARE = 0.6
"""Of what is free, the most that is written where no size is asked for."""
READ_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Options:
    device: str = "auto"
    shape: str = "4b"
    tokens: int | None = None
    """Of the memory; None: as many as the disk holds."""
    folder: str | None = None
    """Where the store is made, and removed again; None: the system's folder for temporary files."""


def run(options: Options, *, progress: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Seconds and bytes a second of writing, of reading the files alone, and of loading them cold and warm."""
    device, dtype = place(options.device)
    shape = SHAPES[options.shape]
    layout = entry_layout(shape.decoder, shape.memory, shape.memory.routed_layers, base="0" * 64, adapter="0" * 64)
    with tempfile.TemporaryDirectory(prefix="codemem-load-", dir=options.folder) as made:
        folder = Path(made)
        document_tokens = layout.chunk_tokens * CHUNKS_A_DOCUMENT
        tokens = options.tokens or _most(folder, layout)
        keys = [number.to_bytes(32, "big") for number in range(max(1, tokens // document_tokens))]
        progress(f"a store of {len(keys) * document_tokens:,} tokens")
        written = _timed(lambda: _write(folder, layout, keys))
        files = sorted(folder.rglob("*.safetensors"))
        size = sum(file.stat().st_size for file in files)
        _forget(files)
        read = _timed(lambda: _read(files))
        _forget(files)
        rows: list[dict[str, Any]] = [
            {"what": "written", "seconds": written},
            {"what": "files read, cold", "seconds": read},
        ]
        for what in ("loaded, cold", "loaded, warm"):
            progress(what)
            row, placed, whole = _load(folder, layout, keys, device, dtype)
            rows.append({"what": what, **row})
    return {
        "bench": "load",
        "shape": options.shape,
        "machine": measure.machine(device),
        "memory_tokens": len(keys) * document_tokens,
        "bytes": size,
        "segments": len(files),
        "rows": [row | {"gigabytes_a_second": size / row["seconds"] / 1e9} for row in rows],
        "placed": placed,
        "ok": whole,
        **measure.peaks(device),
    }


def _load(
    folder: Path, layout: EntryLayout, keys: list[bytes], device: torch.device, dtype: torch.dtype
) -> tuple[dict[str, float], str, bool]:
    """Seconds, where everything went, and whether nothing was lost."""
    started = time.perf_counter()
    with Store.open(folder, layout, read_only=True) as store:
        entries = store.load(keys)
        checked = time.perf_counter() - started
        bank = Bank(entries, layout, device=device, dtype=dtype, budget=Budget())
        measure.synchronise(device)
        seconds = {"seconds": time.perf_counter() - started, "of it store and checksums": checked}
        return seconds, bank.placement.words(), not entries.missing and len(bank) == len(keys)


def _most(folder: Path, layout: EntryLayout) -> int:
    chunks = int(DISK_SHARE * shutil.disk_usage(folder).free) // layout.bytes_per_chunk
    return chunks * layout.chunk_tokens


def _timed(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _write(folder: Path, layout: EntryLayout, keys: list[bytes]) -> None:
    some = [_random(layout, seed) for seed in range(min(DISTINCT, len(keys)))]
    ends = np.arange(1, CHUNKS_A_DOCUMENT + 1, dtype=np.uint32)
    tokens = layout.chunk_tokens * CHUNKS_A_DOCUMENT

    def entries(numbers: range) -> Iterator[Entry]:
        for number in numbers:
            yield Entry(keys[number], tokens, ends, some[number % len(some)])

    with Store.open(folder, layout) as store:
        for start in range(0, len(keys), BATCH):
            store.append(entries(range(start, min(start + BATCH, len(keys)))))


def _random(layout: EntryLayout, seed: int) -> dict[str, npt.NDArray[np.generic]]:
    random = np.random.default_rng(seed)
    return {
        spec.name: random.integers(-127, 128, (CHUNKS_A_DOCUMENT, spec.width), np.int8)
        if spec.dtype == "int8"
        else random.uniform(0.001, 0.1, (CHUNKS_A_DOCUMENT, spec.width)).astype(spec.dtype)
        for spec in layout.tensors
    }


def _read(files: list[Path]) -> None:
    buffer = bytearray(READ_BYTES)
    for file in files:
        with file.open("rb", buffering=0) as opened:
            while opened.readinto(buffer):
                pass


def _forget(files: list[Path]) -> None:
    """What the system keeps of the files in memory, once they are on the disk."""
    for file in files:
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
