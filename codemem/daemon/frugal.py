"""What keeps a process small that stays for days (benchmarks/results/2026-11-28-memory.md)."""

import contextlib
import ctypes
import resource

from codemem.config import preset

PRODUCTS = 64
"""oneDNN keeps a compiled product for every number of rows that it met, 1,024 of them: some 400 MB after a day of
queries and documents of all lengths. A document needs six; making one anew takes less than a millisecond."""
M_ARENA_MAX, ARENAS = -8, 1
"""A parameter of mallopt (3). With a heap for each of its threads the daemon holds what each of them has freed."""
DESCRIPTORS = 16_384
"""Each open session keeps up to 256 segments mapped, each with a descriptor; 1,024 is a common limit for them all."""


def prepare() -> None:
    """Before a model is loaded. What the user has set stands."""
    preset("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(PRODUCTS))
    with contextlib.suppress(OSError, AttributeError):  # another C library than glibc
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, ARENAS)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # macOS refuses what it cannot give
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def give_back_memory() -> None:
    """Returns what is free between blocks in use to the system, where the C library can (glibc)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
