"""Joining small neighbours into parts, so that an insertion changes only the parts around it.

Filling parts from the start would shift every later boundary when something is inserted. Instead each boundary between
two neighbours has a strength of its own, drawn from what follows it; boundaries are removed from the weakest to the
strongest, each if the two sides together still fit. What happens to a boundary then depends on its surroundings alone,
two parts that stay apart never fit together, and no sliver is left over.
"""

from collections.abc import Sequence
from zlib import crc32

Strength = tuple[int, int]
"""(level, tie-break): a lower level is removed first."""


def strength(level: int, text: bytes) -> Strength:
    """A boundary's strength; the tie-break is drawn from the text that names what follows it."""
    return level, crc32(text)


def pack(sizes: Sequence[int], strengths: Sequence[Strength], limit: int) -> list[tuple[int, int]]:
    """Half-open index ranges of the parts, in order; `strengths[i]` is of the boundary before item i.

    A part is larger than `limit` only where a single item is. O(n log n).
    """
    count = len(sizes)
    if count == 0:
        return []
    last = list(range(count))  # of a part's first item: its last one
    first = list(range(count))  # of a part's last item: its first one
    total = list(sizes)  # of a part's first item: the part's size
    joined = [False] * (count + 1)
    for boundary in sorted(range(1, count), key=lambda index: strengths[index]):
        left = first[boundary - 1]
        if total[left] + total[boundary] <= limit:
            end = last[boundary]
            total[left] += total[boundary]
            last[left], first[end] = end, left
            joined[boundary] = True
    starts = [index for index in range(count) if not joined[index]]
    return list(zip(starts, [*starts[1:], count], strict=True))
