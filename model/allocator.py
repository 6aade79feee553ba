"""Freed memory stays with the process, so that the next activations do not fault in every page anew.

glibc gives blocks of 128 KB and more back to the system when they are freed, and takes them from it again for the next
layer: each page is then faulted in and zeroed. On two AVX-512 cores that was half of the time of an encoding
(benchmarks/results/2026-11-28-processor.md).
"""

import ctypes
import functools

M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
"""Parameters of mallopt (3), which glibc has and other C libraries have not."""
KEPT_BYTES = 128 << 20
"""Room for the activations of a pack of documents: a block up to this size is kept, and as much at the heap's end."""


@functools.cache
def keep_freed_memory() -> bool:
    """Tells the C library, once a process; False where it cannot be told."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return all(mallopt(parameter, KEPT_BYTES) == 1 for parameter in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD))
