"""What of a GGUF file need not travel: the coarser of two copies of a tied matrix, which our loader never reads.

Some releases hold input embedding and output matrix as two quantisations of one matrix; the loader takes the finer one
for both (model/weights/gguf_file.py). The other's bytes are left out, and its entry in the file's table is pointed at
the finer one's, so that what is made there is still a valid file with the same dequantised weights.
"""

import struct
from pathlib import Path
from typing import Any

import gguf

from codemem.model.weights.gguf_file import GgufFile


def hole_and_patches(file: Path) -> tuple[list[tuple[int, int]], dict[int, bytes]]:
    """Byte range to leave out and bytes to write at offsets, for `parts.cut`; nothing if no matrix is there twice."""
    names = {"token_embd.weight", "output.weight"}
    found: dict[str, Any] = {t.name: t for t in gguf.GGUFReader(file).tensors if t.name in names}
    if len(found) < 2 or not GgufFile(file).config()["tie_word_embeddings"]:
        return [], {}
    embedding, output = found["token_embd.weight"], found["output.weight"]
    finer, coarser = (output, embedding) if output.n_bytes > embedding.n_bytes else (embedding, output)
    start = int(coarser.data_offset)
    return [(start, start + int(coarser.n_bytes))], _as_if(coarser, finer)


def _as_if(entry: Any, other: Any) -> dict[int, bytes]:
    """Patches that give a table entry the type and the place of another's data (GGUF: name, dims, type, offset)."""
    kind_at = _place_of_kind(entry)
    kind, offset = (other.field.parts[index] for index in (-2, -1))
    return {kind_at: struct.pack("<I", int(kind[0])), kind_at + 4: struct.pack("<Q", int(offset[0]))}


def _place_of_kind(entry: Any) -> int:
    """File offset of the entry's type, a uint32; behind it stands the offset of its data, a uint64."""
    before = sum(int(part.nbytes) for part in entry.field.parts[:-2])
    return int(entry.field.offset) + before
