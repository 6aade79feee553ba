"""The numbers by which MSA-4B knows documents, which travel with its entries: a number is part of an entry's key."""

from collections.abc import Sequence

import numpy as np

from codemem.config import Places
from codemem.model.entry import EntryLayout
from codemem.model.msa4b.numbering import Numbering
from codemem.model.store import LoadedEntries

TENSOR = "number"
"""Of a layout whose entries spell a number."""


def is_numbered(layout: EntryLayout) -> bool:
    return any(spec.name == TENSOR for spec in layout.tensors)


def numbers_of(loaded: LoadedEntries, places: Places) -> list[tuple[bytes, int]]:
    """(sha256 of the content, number) of each entry; empty where documents have no numbers."""
    if TENSOR not in loaded.tensors:
        return []
    rows = np.ascontiguousarray(loaded.tensors[TENSOR]).view("<u4")[:, 0]
    spans = zip(loaded.offsets.tolist(), loaded.offsets[1:].tolist(), strict=False)
    wanted = {int(rows[start]) for start, end in spans if start < end}
    numbering = Numbering(places.numbers)
    try:
        return [pair for pair in numbering.contents() if pair[1] in wanted]
    finally:
        numbering.close()


def adopt_numbers(pairs: Sequence[tuple[bytes, int]], places: Places) -> int:
    """Gives documents the numbers that they have elsewhere; how many have another one here, or theirs is taken."""
    if not pairs:
        return 0
    numbering = Numbering(places.numbers)
    try:
        return numbering.adopt(pairs)
    finally:
        numbering.close()
