"""Entries of a large pool, made by several processes and kept in files, so that a run that is cut off goes on.

Process i of n encodes the documents i, i + n, i + 2 n, ... and writes a file every few million tokens. What all of them
wrote is put together in the pool's order, up to the first document that is missing.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

from codemem.benchmarks.scaling.corpus import Text
from codemem.engine_interface import MemoryEngine
from codemem.model.entry import Entry, EntryLayout
from codemem.model.store import LoadedEntries

BLOCK_TOKENS = 4_000_000
"""In a file."""
CALL_DOCUMENTS = 512
MARGIN = 1.02
"""Encoded beyond a process's part of the tokens wanted: parts differ."""


def encode_part(
    documents: Sequence[Text],
    engine: MemoryEngine,
    layout: EntryLayout,
    folder: Path,
    *,
    part: int,
    parts: int,
    tokens: int,
    progress: Callable[[str], None] = lambda _: None,
) -> int:
    """Writes this process's files; returns the tokens they hold. `tokens`: of all processes together."""

    def name(block: int) -> Path:
        return folder / f"{part}-of-{parts}-{block:03}.safetensors"

    folder.mkdir(parents=True, exist_ok=True)
    mine = list(range(part, len(documents), parts))
    blocks = sorted(folder.glob(f"{part}-of-{parts}-*.safetensors"))
    held = done = 0
    for block in blocks:
        kept = _load(block, layout)
        held, done = held + int(kept["tokens"].sum()), done + len(kept["tokens"])
    started, before = time.perf_counter(), held
    entries: list[Entry] = []
    size = 0
    while done + len(entries) < len(mine) and held < MARGIN * tokens / parts:
        at = done + len(entries)
        batch = engine.tokenise([documents[i] for i in mine[at : at + CALL_DOCUMENTS]])
        made = {
            entry.key: entry for entry in engine.encode(list({layout.key(d.ids): d for d in batch}.values()), layout)
        }
        entries += [made[layout.key(document.ids)] for document in batch]
        size += sum(len(document.ids) for document in batch)
        held += sum(len(document.ids) for document in batch)
        if size >= BLOCK_TOKENS:
            blocks.append(_save(name(len(blocks)), entries, mine[done:], layout))
            done, size, entries = done + len(entries), 0, []
        progress(f"part {part}: {held:,} tokens, {(held - before) / (time.perf_counter() - started):,.0f} a second")
    if entries:
        _save(name(len(blocks)), entries, mine[done:], layout)
    return held


def _load(path: Path, layout: EntryLayout) -> dict[str, npt.NDArray[Any]]:
    """A file's arrays. Raises `ValueError` if another model, layout or a damaged disk wrote it."""
    try:
        with safe_open(str(path), "np") as file:
            fingerprint = (file.metadata() or {}).get("fingerprint")
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged ({error}): delete it, and it is made again") from error
    if fingerprint != layout.fingerprint:
        raise ValueError(f"{path} was made by another model or of other layers: use an empty folder")
    return load_file(path)


def _save(path: Path, entries: Sequence[Entry], numbers: Sequence[int], layout: EntryLayout) -> Path:
    tensors: dict[str, Any] = {
        "number": np.array(numbers[: len(entries)], np.int64),
        "tokens": np.array([entry.tokens for entry in entries], np.int64),
        "chunks": np.array([entry.chunks for entry in entries], np.int64),
        "chunk_ends": np.concatenate([entry.chunk_ends for entry in entries]),
    }
    for name in entries[0].tensors:
        tensors[f"tensor.{name}"] = np.concatenate([entry.tensors[name] for entry in entries])
    partial = path.with_suffix(".writing")
    save_file(tensors, str(partial), {"fingerprint": layout.fingerprint})
    partial.rename(path)
    return path


@dataclass(frozen=True, slots=True)
class Encoded:
    """Entries of the first n documents of a pool, in its order."""

    tokens: npt.NDArray[np.int64]
    """[n]"""
    offsets: npt.NDArray[np.int64]
    """[n + 1] chunks."""
    chunk_ends: npt.NDArray[np.uint32]
    tensors: dict[str, npt.NDArray[Any]]

    def part(self, numbers: npt.NDArray[np.int64], names: Sequence[str] | None = None) -> LoadedEntries:
        """Those of some documents, ascending, as the store would give them back. `names`: of the tensors; all."""
        counts = np.diff(self.offsets)[numbers]
        whole = len(numbers) == 0 or int(numbers[-1]) == len(numbers) - 1  # a prefix needs no copy
        rows: Any = slice(0, int(counts.sum())) if whole else spans(self.offsets[numbers], counts)
        return LoadedEntries(
            keys=tuple(int(number).to_bytes(32) for number in numbers),
            offsets=np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
            tokens=self.tokens[numbers].astype(np.uint32),
            chunk_ends=self.chunk_ends[rows],
            tensors={name: array[rows] for name, array in self.tensors.items() if names is None or name in names},
            missing=(),
            corrupt=(),
            mapped=False,
        )


def spans(starts: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The numbers of `counts` rows from each start."""
    ends = np.cumsum(counts)
    rows: npt.NDArray[np.int64] = np.arange(int(ends[-1]) if len(ends) else 0)
    rows += np.repeat(starts - (ends - counts), counts)
    return rows


def load_encoded(folder: Path, layout: EntryLayout) -> Encoded:
    """Everything in a folder up to the first document that is missing.

    Raises `ValueError` if the first one is, or if a file is of another layout or damaged.
    """
    blocks = [_load(path, layout) for path in sorted(folder.glob("*.safetensors"))]
    numbers = np.concatenate([block["number"] for block in blocks]) if blocks else np.zeros(0, np.int64)
    order = np.argsort(numbers, kind="stable")
    ordered = numbers[order]
    gaps = np.flatnonzero(ordered != np.arange(len(ordered)))
    count = int(gaps[0]) if len(gaps) else len(ordered)
    if not count:
        raise ValueError(f"no entries from the first document on in {folder}")
    order = order[:count]
    chunks = np.concatenate([block["chunks"] for block in blocks])
    rows = spans((np.cumsum(chunks) - chunks)[order], chunks[order])
    names = [name for name in blocks[0] if name.startswith("tensor.")]
    return Encoded(
        tokens=np.concatenate([block["tokens"] for block in blocks])[order],
        offsets=np.concatenate(([0], np.cumsum(chunks[order]))).astype(np.int64),
        chunk_ends=np.concatenate([block["chunk_ends"] for block in blocks])[rows],
        tensors={n.removeprefix("tensor."): np.concatenate([block[n] for block in blocks])[rows] for n in names},
    )
