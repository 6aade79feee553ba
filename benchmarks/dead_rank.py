"""A process of a sharded memory is killed in the middle of routing: what the others say of it, and how soon.

    python -m codemem.benchmarks.dead_rank [--processes 4] [--victim 2] [--device cuda]

Starts the processes, each on a GPU of its own with NCCL (or over gloo), lets them route and merge without end, kills
one with SIGKILL, and prints one JSON object; the exit code is 1 unless every other process names the dead one in time.
torchrun is left out: it would end the others before they can say anything.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import torch
from torch._C._distributed_c10d import TCPStore

from codemem.benchmarks import measure
from codemem.kernels.route import RoutingKeys, route
from codemem.model.device import choose_device
from codemem.model.errors import WorkerLost
from codemem.model.parallel import Group, Share, merge_top

START_SECONDS = 120.0
REPORT_SECONDS = 60.0
"""How long the others are waited for."""
BOUND_SECONDS = 10.0
"""Within this they are to have named the dead one."""
TOP, DOCUMENTS, CHUNKS_A_DOCUMENT, WIDTH, GROUPS, TOKENS = 16, 4096, 16, 1024, 8, 64
ROUTING, LOST = "routing", "lost: "


def work(rank: int, size: int, port: int, device: str) -> None:
    """One process: routes until another is lost, then says so and ends at once."""
    kind = choose_device(device).type
    own = torch.device("cuda", rank % torch.cuda.device_count()) if kind == "cuda" else torch.device(kind)
    store = TCPStore("127.0.0.1", port, is_master=False, timeout=timedelta(seconds=START_SECONDS))
    group = Group(store, rank, size, own)
    offsets = torch.arange(0, (DOCUMENTS + 1) * CHUNKS_A_DOCUMENT, CHUNKS_A_DOCUMENT)
    share = Share.of(offsets.numpy(), rank, size)
    values = torch.randint(-127, 128, (share.chunks, WIDTH), dtype=torch.int8, device=own)
    keys = RoutingKeys(values, torch.full((share.chunks, GROUPS), 0.01, dtype=torch.float16, device=own))
    q, mine = torch.ones(TOKENS, WIDTH, device=own), share.offsets().to(own)
    try:
        passes = 0
        while True:
            documents, scores = route(q, keys, mine, TOP)
            merge_top(group, documents, scores, TOP, first=share.first_document, total=DOCUMENTS)
            group.settle()
            passes += 1
            if passes == 1:
                print(ROUTING, flush=True)
    except WorkerLost as error:
        print(f"{LOST}{error} (after {passes} passes)", flush=True)
        os._exit(1)  # a broken group cannot be left in order


class Process:
    """One process, and when it said what."""

    def __init__(self, rank: int, size: int, port: int, device: str) -> None:
        own = ("--rank", str(rank), "--processes", str(size), "--port", str(port), "--device", device)
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "codemem.benchmarks.dead_rank", *own], stdout=subprocess.PIPE, text=True
        )
        self.said: list[tuple[float, str]] = []
        self.routing = threading.Event()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            self.said.append((time.monotonic(), line.strip()))
            if line.strip() == ROUTING:
                self.routing.set()

    def end(self) -> None:
        self.popen.kill()
        self.popen.wait()
        self.reader.join(5.0)
        if self.popen.stdout is not None:
            self.popen.stdout.close()

    def lost(self) -> tuple[float, str] | None:
        """When it said whom it lost, and its words."""
        return next(((at, line.removeprefix(LOST)) for at, line in self.said if line.startswith(LOST)), None)


def run(size: int, victim: int, device: str, *, let_run: float = 3.0) -> dict[str, Any]:
    """Kills process `victim` of `size` while all route. Raises `RuntimeError` if they do not come to routing."""
    kind = choose_device(device)
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=60))
    processes = [Process(rank, size, store.port, device) for rank in range(size)]
    try:
        deadline = time.monotonic() + START_SECONDS
        for rank, process in enumerate(processes):
            if not process.routing.wait(max(0.0, deadline - time.monotonic())):
                raise RuntimeError(f"process {rank} did not come to routing within {START_SECONDS:.0f} s")
        time.sleep(let_run)
        dead = processes[victim].popen
        dead.send_signal(signal.SIGKILL)
        killed = time.monotonic()
        others = [_report(rank, process, killed) for rank, process in enumerate(processes) if rank != victim]
    finally:
        for process in processes:
            process.end()
    name = f"worker {victim} (process {dead.pid} "
    named = [o["said"] is not None and o["said"].startswith(name) and o["seconds"] < BOUND_SECONDS for o in others]
    return {
        "bench": "dead rank",
        "machine": measure.machine(kind),
        "backend": "nccl" if kind.type == "cuda" else "gloo",
        "processes": size,
        "killed": victim,
        "killed_process": dead.pid,
        "others": others,
        "ok": all(named),
    }


def _report(rank: int, process: Process, killed: float) -> dict[str, Any]:
    try:
        code: int | None = process.popen.wait(max(0.0, killed + REPORT_SECONDS - time.monotonic()))
    except subprocess.TimeoutExpired:
        code = None
    process.reader.join(1.0)
    lost = process.lost()
    return {
        "rank": rank,
        "seconds": None if lost is None else round(lost[0] - killed, 2),
        "said": None if lost is None else lost[1],
        "exit_code": code,
    }


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--victim", type=int, default=2)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rank", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    o = parser.parse_args(arguments)
    if o.rank is not None:
        work(o.rank, o.processes, o.port, o.device)
        return 0
    if not 0 <= o.victim < o.processes:
        parser.error(f"there is no process {o.victim} of {o.processes}")
    result = run(o.processes, o.victim, o.device)
    print(json.dumps(result))
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
