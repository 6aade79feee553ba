"""Several processes for a test: forked from one server that has torch imported, met in a store that the test keeps."""

import multiprocessing
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch.distributed as dist

sys.path.insert(0, str(Path(__file__).parent))  # the server's children find the workers' module by it

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["torch", "torch.distributed", "codemem.model.parallel.engine", "codemem.model.testing"]
)
LIMIT_SECONDS = 120

Run = Callable[..., list[Any]]


@pytest.fixture
def processes() -> Run:
    """`processes(work, size, *arguments)`: what `work(group_maker, *arguments)` returned in each process, by rank.

    None stands for a process that ended without a word.
    """

    def run(work: Callable[..., Any], size: int, *arguments: Any) -> list[Any]:
        from parallel_workers import enter

        store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=60))
        pipes = [_CONTEXT.Pipe(duplex=False) for _ in range(size)]
        started = [
            _CONTEXT.Process(
                target=enter, args=(work, (rank, size, store.port), pipes[rank][1], arguments), daemon=True
            )
            for rank in range(size)
        ]
        for process in started:
            process.start()
        for _, sending in pipes:
            sending.close()
        found = [_receive(receiving) for receiving, _ in pipes]
        for process in started:
            process.join(LIMIT_SECONDS)
            if process.is_alive():
                process.kill()
        return found

    return run


def _receive(pipe: Any) -> Any:
    if not pipe.poll(LIMIT_SECONDS):
        return "nothing came"
    try:
        return pipe.recv()
    except EOFError:
        return None
