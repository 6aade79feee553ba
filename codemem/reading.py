"""Reads many files of a tree, on all cores where that pays."""

import hashlib
import itertools
import multiprocessing
import os
import pickle
import signal
import zlib
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace

from codemem.config import keep_children_from_importing_the_current_folder
from codemem.indexer import FileEntry, Selection, Skipped, SourceFile, Tree, UnreadableFileError, blob_id, read_file
from codemem.indexer.tree import ObjectFormat
from codemem.manifest import LeftOut
from codemem.outline.records import FileRecord, record
from codemem.recent import Recent

PARALLEL_BYTES = 4 << 20
"""Fewer bytes are read by this process alone: starting others takes a second."""
BATCH_BYTES = 256 << 10
MAX_WORKERS = 8
RECENT_BYTES, RECENT_FILES = 8 << 20, 1024
"""How much, and how many, is kept of files as they were read: packed, a third of their size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlinedFile(SourceFile):
    """A file that another process read: with its outline, its documents without their texts.

    Texts would be most of what passes between processes and stay in memory; whoever needs one reads its file again.
    """

    outline: FileRecord


Outcome = SourceFile | LeftOut | Skipped
"""A file read; one that its content rules out, remembered as such; or one that could not be read this time."""


@dataclass(frozen=True, slots=True)
class _Job:
    """A file's bytes on their way to another process."""

    path: str
    data: bytes
    reincluded: bool
    selection: Selection
    object_format: ObjectFormat

    def run(self) -> SourceFile | LeftOut:
        found = read_file(
            self.path,
            self.data,
            reincluded=self.reincluded,
            selection=self.selection,
            object_format=self.object_format,
        )
        if isinstance(found, Skipped):
            return LeftOut(self.path, blob_id(self.data, self.object_format), found.reason)
        return found


def read_files(tree: Tree, entries: Sequence[FileEntry], selection: Selection) -> Generator[Outcome, None, None]:
    """Outcomes in the order of the entries. Closing the iterator ends the work."""
    workers = min(_cores(), MAX_WORKERS)
    if workers < 2 or sum(entry.size for entry in entries) < PARALLEL_BYTES:
        for entry in entries:
            yield _read_or_recall(tree, entry, selection)
        return
    yield from _in_parallel(tree, entries, selection, workers)


_recent = Recent(RECENT_BYTES, RECENT_FILES)
"""Files as they were read, by content: who switches branches in a process that stays has both versions at hand."""


def _read_or_recall(tree: Tree, entry: FileEntry, selection: Selection) -> Outcome:
    key = hashlib.blake2b(repr((entry, selection, tree.object_format)).encode(), digest_size=16).digest()
    if packed := _recent.get(key):
        known: SourceFile = pickle.loads(zlib.decompress(packed))  # noqa: S301 - bytes that this process made
        return known
    job = _job(tree, entry, selection)
    outcome = job.run() if isinstance(job, _Job) else job
    if isinstance(outcome, SourceFile) and outcome.oid == entry.oid:
        _recent.put(key, zlib.compress(pickle.dumps(outcome), 1))
    return outcome


def _job(tree: Tree, entry: FileEntry, selection: Selection) -> _Job | Skipped:
    try:
        data = tree.read(entry)
    except UnreadableFileError as error:
        return Skipped(entry.path, str(error))
    return _Job(entry.path, data, entry.reincluded, selection, tree.object_format)


def _in_parallel(tree: Tree, entries: Sequence[FileEntry], selection: Selection, workers: int) -> Iterator[Outcome]:
    pool = _pool(workers)
    waiting: deque[tuple[list[_Job | Skipped], Future[list[Outcome]]]] = deque()
    batches = _batches(tree, entries, selection)
    try:
        for batch in batches:
            waiting.append((batch, pool.submit(_run_in_process, batch)))
            if len(waiting) > 2 * workers:
                yield from waiting.popleft()[1].result()
        while waiting:
            yield from waiting[0][1].result()
            waiting.popleft()
    except BrokenProcessPool:
        # A parser crashed on some file: what is left is read batch by batch, and that file found.
        rest = [batch for batch, _ in waiting]
        yield from _with_care(itertools.chain(rest, batches))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _with_care(batches: Iterable[list[_Job | Skipped]]) -> Iterator[Outcome]:
    """One process at a time; a batch that kills it is read file by file, and a file that does is left out."""
    able = _run_apart([]) is not None  # where no process can be started, no file is to blame
    for batch in batches:
        outcomes = _run_apart(batch) if able else _run(batch)
        if outcomes is not None:
            yield from outcomes
            continue
        for job in batch:
            alone = _run_apart([job])
            if alone is not None:
                yield from alone
            elif isinstance(job, _Job):
                oid = blob_id(job.data, job.object_format)
                yield LeftOut(job.path, oid, "its parser crashed on it")


def _run_apart(batch: list[_Job | Skipped]) -> list[Outcome] | None:
    """None if the process died."""
    with _pool(1) as pool:
        try:
            return pool.submit(_run_in_process, batch).result()
        except BrokenProcessPool:
            return None


def _batches(tree: Tree, entries: Sequence[FileEntry], selection: Selection) -> Iterator[list[_Job | Skipped]]:
    batch: list[_Job | Skipped] = []
    size = 0
    for entry in entries:
        batch.append(_job(tree, entry, selection))
        size += entry.size
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _run(batch: list[_Job | Skipped]) -> list[Outcome]:
    return [job.run() if isinstance(job, _Job) else job for job in batch]


def _run_in_process(batch: list[_Job | Skipped]) -> list[Outcome]:
    return [_outlined(outcome) if isinstance(outcome, SourceFile) else outcome for outcome in _run(batch)]


def _outlined(file: SourceFile) -> OutlinedFile:
    return OutlinedFile(
        path=file.path,
        oid=file.oid,
        size=file.size,
        language=file.language,
        kind=file.kind,
        documents=tuple(replace(document, text="") for document in file.documents),
        symbols=file.symbols,
        outline=record(file),
    )


def _pool(workers: int) -> ProcessPoolExecutor:
    # Spawned, not forked: this process may have threads. Ctrl-C reaches the whole group; the parent handles it.
    keep_children_from_importing_the_current_folder()
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, context, signal.signal, (signal.SIGINT, signal.SIG_IGN))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
