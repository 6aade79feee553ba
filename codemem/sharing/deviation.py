"""How far two entries of the same document are apart."""

import numpy as np
import numpy.typing as npt

from codemem.model.entry import Entry

Rows = npt.NDArray[np.float64]


def deviation(found: Entry, expected: Entry) -> float:
    """The largest relative error (Frobenius norm) of a tensor; infinity where shapes, tokens or chunks differ.

    int8 rows are compared with their scales (`part_scale.layer`), bfloat16 bits as numbers.
    """
    same = found.tokens == expected.tokens and np.array_equal(found.chunk_ends, expected.chunk_ends)
    if not same or found.tensors.keys() != expected.tensors.keys():
        return float("inf")
    worst = 0.0
    for name in expected.tensors:
        ours, theirs = _values(expected, name), _values(found, name)
        if ours.shape != theirs.shape:
            return float("inf")
        difference, size = float(np.linalg.norm(theirs - ours)), float(np.linalg.norm(ours))
        worst = max(worst, difference / size if size else float(difference > 0))
    return worst


def _values(entry: Entry, name: str) -> Rows:
    tensor = np.asarray(entry.tensors[name])
    if tensor.dtype == np.uint16:
        bits = tensor.astype(np.uint32) << 16
        return bits.view(np.float32).astype(np.float64)
    part, dot, rest = name.partition(".")
    scale = entry.tensors.get(f"{part}_scale{dot}{rest}")
    rows = tensor.astype(np.float64)
    if tensor.dtype != np.int8 or scale is None:
        return rows
    groups = np.asarray(scale, np.float64)[:, :, None]
    return (rows.reshape(len(rows), groups.shape[1], -1) * groups).reshape(len(rows), -1)
