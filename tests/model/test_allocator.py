"""Freed memory that stays with the process costs no page faults when it is taken again."""

import subprocess
import sys

import pytest

from codemem.model.allocator import keep_freed_memory

PROGRAM = """
import resource, sys, torch
from codemem.model.allocator import keep_freed_memory
if "keep" in sys.argv:
    assert keep_freed_memory()
def work():
    for _ in range(10):
        torch.ones(64 << 18)  # 64 MB
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(*arguments: str) -> int:
    done = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(not keep_freed_memory(), reason="this C library cannot be told to keep memory")
def test_activations_are_faulted_in_once() -> None:
    assert faults("keep") * 10 < faults()
