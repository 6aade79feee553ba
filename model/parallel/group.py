"""The processes of a parallel run, over torch.distributed: NCCL between GPUs, gloo between processors.

All processes call the same collectives in the same order. A process that ends, fails or does not come to a collective
in time becomes an error that names it: each one's heart beats into the store where they meet, which outlives a broken
connection. Bytes are exchanged, never pickles.
"""

import math
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch._C._distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from codemem.model.errors import WorkerLost
from codemem.model.parallel import watch as watching
from codemem.model.parallel.watch import Watch

PATIENCE_SECONDS = 30.0
"""How long a process may lag behind another at a collective."""
JOIN_SECONDS = 120.0
SCATTER_BYTES = 256 << 20
"""Of each process's part, dealt out at a time."""
_POLL_SECONDS = 0.0002
_all_gather = getattr(dist, "all_gather_single", dist.all_gather_into_tensor)
"""Newer torch renames it and warns of the old name."""


@dataclass(frozen=True, slots=True)
class Member:
    """A process by name."""

    rank: int
    host: str
    pid: int

    def __str__(self) -> str:
        return f"worker {self.rank} (process {self.pid} on {self.host})"


def meet() -> tuple[Store, int, int]:
    """Where the processes that torchrun started meet, this one's rank, and how many they are."""
    store, rank, size = next(iter(rendezvous("env://", timeout=timedelta(seconds=JOIN_SECONDS))))
    return PrefixStore("codemem", store), rank, size


def own_device(kind: str) -> torch.device:
    """The device of this process: on a host with several GPUs, the one of its place among the host's processes."""
    return torch.device("cuda", dist.get_node_local_rank()) if kind == "cuda" else torch.device(kind)


def use_device(device: torch.device) -> None:
    """Makes 'cuda', without a number, mean this GPU in this process."""
    if device.type == "cuda":
        torch.cuda.set_device(device)


class Group:
    """This process among the others."""

    def __init__(
        self, store: Store, rank: int, size: int, device: torch.device, *, patience_s: float = PATIENCE_SECONDS
    ) -> None:
        """`store` is where the processes meet; every process passes the same one, and its own rank."""
        self.rank, self.size, self.device, self.patience_s = rank, size, device, patience_s
        self._store, self._entered = store, 0
        self._beats = store.clone() if hasattr(store, "clone") else store
        self._ended = threading.Event()
        self.members = self._introduce()
        self._thread = threading.Thread(target=self._beat, daemon=True, name="codemem-heartbeat")
        self._thread.start()
        backend = "nccl" if device.type == "cuda" else "gloo"
        use_device(device)
        try:
            dist.init_process_group(
                backend, store=store, rank=rank, world_size=size, timeout=timedelta(seconds=JOIN_SECONDS)
            )
        except RuntimeError as error:
            raise self.lost(f"the processes cannot reach one another ({_first_line(error)})", None) from error

    def _introduce(self) -> list[Member]:
        self._store.set_timeout(timedelta(seconds=JOIN_SECONDS))
        self._store.set(f"member/{self.rank}", f"{os.getpid()} {socket.gethostname()}")
        members = []
        for rank in range(self.size):
            try:
                pid, host = self._store.get(f"member/{rank}").decode().split(" ", 1)
            except RuntimeError as error:
                raise WorkerLost(f"worker {rank} did not start within {JOIN_SECONDS:.0f} s") from error
            members.append(Member(rank, host, int(pid)))
        return members

    # Collectives ---------------------------------------------------------------------------------------------------

    def gather(self, x: Tensor, *, waits: bool = True, patience_s: float | None = None) -> Tensor:
        """[size, ...]: everyone's tensor, by rank; shapes and types must be the same everywhere.

        `waits=False`: on a GPU only its stream waits. Call `settle` before the processor needs what came of it.
        """
        x = x.contiguous()
        out = torch.empty((self.size, *x.shape), dtype=x.dtype, device=x.device)
        if x.numel() and not waits and x.device.type == "cuda":
            self._entered += 1
            _all_gather(out.view(-1), x.view(-1))
        elif x.numel():
            self._finish(lambda: _all_gather(out.view(-1), x.view(-1), async_op=True), patience_s)
        return out

    def broadcast(self, x: Tensor, *, patience_s: float | None = None) -> Tensor:
        """The first process's tensor, everywhere; filled in place."""
        if x.numel():
            self._finish(lambda: dist.broadcast(x, 0, async_op=True), patience_s)
        return x

    def broadcast_bytes(self, data: bytes = b"", *, patience_s: float | None = None) -> bytes:
        """The first process's bytes, everywhere."""
        size = self.broadcast(torch.tensor([len(data)], device=self.device), patience_s=patience_s)
        payload = _tensor(data, int(size), self.device)
        return _bytes(self.broadcast(payload, patience_s=patience_s))

    def gather_bytes(self, data: bytes, *, patience_s: float | None = None) -> list[bytes]:
        """Everyone's bytes, by rank, everywhere."""
        sizes = self.gather(torch.tensor([len(data)], device=self.device), patience_s=patience_s).flatten().tolist()
        padded = self.gather(_tensor(data, max(sizes), self.device), patience_s=patience_s)
        return [_bytes(row[:size]) for row, size in zip(padded, sizes, strict=True)]

    def collect_bytes(self, data: bytes, *, patience_s: float | None = None) -> list[bytes]:
        """Everyone's bytes, by rank, in the first process; nothing in the others."""
        sizes = self.gather(torch.tensor([len(data)], device=self.device), patience_s=patience_s).flatten().tolist()
        mine = _tensor(data, max(sizes), self.device)
        if not len(mine):
            return [b""] * self.size if self.rank == 0 else []
        parts = [torch.empty_like(mine) for _ in sizes] if self.rank == 0 else None
        self._finish(lambda: dist.gather(mine, parts, 0, async_op=True), patience_s)
        return [_bytes(part[:size]) for part, size in zip(parts or [], sizes, strict=False)]

    def scatter(self, parts: Sequence[Tensor] | None, rows: Sequence[int], like: Tensor) -> Tensor:
        """This process's part [rows[rank], ...] in host memory; the first one passes all. `like` [0, ...]: its type."""
        tail, longest = like.shape[1:], max(rows)
        width = like.dtype.itemsize * math.prod(tail)
        own = torch.empty((rows[self.rank], *tail), dtype=like.dtype)
        # In blocks: the first process would otherwise hold all parts on its GPU at once.
        block = max(1, SCATTER_BYTES // max(1, width))
        for start in range(0, longest, block):
            size = min(block, longest - start) * width
            target = torch.empty(size, dtype=torch.uint8, device=self.device)
            padded = None
            if parts is not None:
                padded = [_padded(part[start : start + block], size, self.device) for part in parts]
            self._finish(partial(dist.scatter, target, padded, 0, async_op=True), None)
            mine = own[start : start + block]
            mine.copy_(target[: mine.numel() * like.dtype.itemsize].cpu().view(like.dtype).view(mine.shape))
        return own

    def settle(self, *, patience_s: float | None = None) -> None:
        """Waits for what the stream was given, watching the others as it does."""
        if self.device.type != "cuda":
            return
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record()
        self._wait(event.query, self.patience_s if patience_s is None else patience_s, Watch(self))

    def _finish(self, begin: Any, patience_s: float | None) -> None:
        """Runs a collective; the processor waits for it, watching the others."""
        self._entered += 1
        watch = Watch(self)
        try:
            work = begin()
            self._wait(work.is_completed, self.patience_s if patience_s is None else patience_s, watch)
            work.wait()
        except RuntimeError as error:
            # A connection broke. Whose heart stops is who ended; that takes a moment to see.
            watch.until_someone_dies()
            raise self.lost(f"the connection to the others broke ({_first_line(error)})", None) from error

    def _wait(self, done: Callable[[], bool], patience: float, watch: Watch) -> None:
        started = time.monotonic()
        while not done():
            waited = time.monotonic() - started
            if waited > watching.BEAT_SECONDS:
                watch.look()
            if waited > patience:
                raise self.lost(f"did not come to a collective within {patience:g} s", watch.laggard())
            time.sleep(_POLL_SECONDS if waited < 0.005 else 5 * _POLL_SECONDS if waited < 1 else 0.01)

    # Watching ------------------------------------------------------------------------------------------------------

    def _beat(self) -> None:
        number = 0
        while not self._ended.is_set():
            number += 1
            try:
                self._beats.set(f"beat/{self.rank}", f"{number} {self._entered}")
            except RuntimeError:
                return  # the store is gone, and with it whoever kept it
            self._ended.wait(watching.BEAT_SECONDS)

    def beats(self) -> dict[int, tuple[int, int]]:
        """By rank: heartbeats, and collectives begun so far. Raises `WorkerLost` if the meeting place is gone."""
        found = {}
        for rank in range(self.size):
            try:
                if self._store.check([f"failed/{rank}"]):
                    raise self.lost(self._store.get(f"failed/{rank}").decode(), rank)
                if self._store.check([f"beat/{rank}"]):
                    number, entered = self._store.get(f"beat/{rank}").decode().split()
                    found[rank] = int(number), int(entered)
            except RuntimeError as error:
                keeper = self.members[0]
                raise WorkerLost(f"{keeper} ended: the place where all processes meet went with it") from error
        return found

    def fail(self, message: str) -> None:
        """Tells the others why this process gives up, so that they do not wait for it."""
        try:
            self._store.set(f"failed/{self.rank}", message)
        except RuntimeError:
            return

    def lost(self, what: str, rank: int | None) -> WorkerLost:
        """What to raise, naming the process where one is known."""
        return WorkerLost(f"{self.members[rank]}: {what}" if rank is not None else what)

    def leave(self) -> None:
        """Ends this process's part. To be called once by everyone, after the last collective."""
        self._ended.set()
        self._thread.join(5)
        if dist.is_initialized():
            dist.destroy_process_group()

    # Meeting in the store: for waits that may be long, during which no collective should hang ----------------------

    def post(self, key: str, value: bytes) -> None:
        """Leaves something for `await_post`."""
        self._store.set(f"post/{key}", value.decode("latin-1"))

    def await_post(self, key: str) -> bytes:
        """Waits, for ever if need be, for what someone posts; raises `WorkerLost` when the first process dies."""
        # Asked again and again, because a wait that runs out makes the store complain on standard error.
        watch, started = Watch(self), time.monotonic()
        while not _there(self._store, f"post/{key}", self.members[0]):
            waited = time.monotonic() - started
            if waited > watching.BEAT_SECONDS:
                watch.look()
            time.sleep(0.002 if waited < 1 else 0.02)
        return self._store.get(f"post/{key}").decode().encode("latin-1")


def _there(store: Store, key: str, keeper: Member) -> bool:
    try:
        return bool(store.check([key]))
    except RuntimeError as error:
        raise WorkerLost(f"{keeper} ended: the place where all processes meet went with it") from error


def _tensor(data: bytes, size: int, device: torch.device) -> Tensor:
    """`data` as uint8 [size], padded with zeros."""
    out = torch.zeros(size, dtype=torch.uint8)
    if data:
        out[: len(data)] = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    return out.to(device)


def _padded(x: Tensor, size: int, device: torch.device) -> Tensor:
    """The bytes of a tensor, uint8 [size]."""
    out = torch.zeros(size, dtype=torch.uint8, device=device)
    raw = x.contiguous().flatten().view(torch.uint8)
    out[: len(raw)] = raw.to(device)
    return out


def _bytes(x: Tensor) -> bytes:
    return bytes(x.cpu().numpy().tobytes())


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def from_torchrun(kind: str) -> Group | None:
    """The group that torchrun started, each process on its own device of this kind; None if this one is alone."""
    if not dist.is_torchelastic_launched():
        return None
    store, rank, size = meet()
    return None if size == 1 else Group(store, rank, size, own_device(kind))
