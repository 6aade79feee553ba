"""What a package needs of the processor, in several processes while others are still being fetched.

Every result is kept on disk, so that a run that was cut off goes on where it was.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import ParamSpec, TypeVar

from .answer_shards import ANSWERS_FORMAT, answer_shard
from .definition_answers import kept_answers
from .download import PackageName
from .extract import ShardHead, extract, read_head, read_shard
from .prepare import prepared

P = ParamSpec("P")
T = TypeVar("T")


class Workers:
    """Runs functions in `count` processes; one means here and at once."""

    def __init__(self, count: int) -> None:
        # Not forked: threads of the downloads may hold locks at that moment.
        self._pool = ProcessPoolExecutor(count, mp_context=get_context("spawn")) if count > 1 else None

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def submit(self, function: Callable[P, T], *given: P.args, **named: P.kwargs) -> Future[T]:
        """A future of the call's result."""
        if self._pool is not None:
            return self._pool.submit(function, *given, **named)
        future: Future[T] = Future()
        future.set_result(function(*given, **named))
        return future


def shard_path(out: Path, name: PackageName) -> Path:
    """Where a package's definitions are kept."""
    return out / "shards" / name.ecosystem / (name.name.replace("/", "__") + ".jsonl.zst")


def answers_path(out: Path, name: PackageName) -> Path:
    """Where a Python package's answers are kept."""
    return out / "answers" / f"{name.name}.{ANSWERS_FORMAT}.json.zst"


def read_package(out: Path, name: PackageName, *, answers: bool) -> ShardHead | None:
    """Reads a package that was fetched: definitions, questions, answers (of Python, if wanted). None if it is not
    there."""
    shard, raw = shard_path(out, name), out / "raw"
    fetched = (name.folder(raw) / ".complete").exists()
    if not shard.exists() and not fetched:
        return None
    head = read_head(shard) if shard.exists() else extract(name, raw, shard)
    if head.kept:
        _, definitions = read_shard(shard)
        prepared(shard, definitions)
        if name.ecosystem != "pypi":
            kept_answers(shard, head, definitions, raw)
    if answers and fetched:
        answer_shard(name, raw, answers_path(out, name))
    return head


def results(
    futures: Iterable[Future[ShardHead | None]], say: Callable[[str], None], what: str, *, every: int = 50
) -> list[ShardHead]:
    """What was read, in the order of the futures; says how far it is."""
    waiting = list(futures)
    found: list[ShardHead] = []
    for number, future in enumerate(waiting, start=1):
        if (head := future.result()) is not None:
            found.append(head)
        if number % every == 0 or number == len(waiting):
            say(f"{what} {number} of {len(waiting)} packages")
    return found
