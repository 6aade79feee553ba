"""What one package's shard yields by itself: fingerprints, questions and hard negatives. Kept beside the shard."""

import io
import json
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import zstandard

from .definition import Definition
from .file_questions import file_questions
from .fingerprint import Fingerprint, fingerprint
from .negatives import Siblings
from .questions import questions

PREPARED_FORMAT = 4


@dataclass(frozen=True, slots=True)
class PreparedQuestion:
    """A question with indices into the package's definitions."""

    text: str
    positives: tuple[int, ...]
    negatives: tuple[int, ...]
    kind: str
    same: tuple[int, ...] = ()
    """Places that are neither."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """The questions of a package and a fingerprint for each of its definitions."""

    prints: list[Fingerprint]
    questions: list[PreparedQuestion]


def prepared(shard: Path, definitions: list[Definition]) -> Prepared:
    """Return what was kept beside the shard, computing it first where it is missing or older than the shard."""
    kept = shard.with_name(shard.name.replace(".jsonl.zst", f".prepared{PREPARED_FORMAT}"))
    if kept.exists() and kept.stat().st_mtime >= shard.stat().st_mtime:
        return _read(kept)
    result = prepare(f"{shard.parent.name}:{shard.name.removesuffix('.jsonl.zst')}", definitions)
    _write(kept, result)
    return result


def prepare(package: str, definitions: list[Definition]) -> Prepared:
    """Ask every question by rule about a package's definitions, with negatives from the same package."""
    siblings = Siblings(definitions)
    found = [
        PreparedQuestion(q.text, q.positives, tuple(siblings.negatives(q)), q.kind, q.same)
        for q in chain(questions(package, definitions), file_questions(package, definitions))
    ]
    return Prepared([fingerprint(definition.text) for definition in definitions], found)


def _write(path: Path, value: Prepared) -> None:
    lengths = np.array([len(print_.shingles) for print_ in value.prints], dtype=np.uint32)
    shingles = np.concatenate([print_.shingles for print_ in value.prints] or [np.empty(0, dtype=np.uint32)])
    rows = json.dumps([[q.text, q.positives, q.negatives, q.kind, q.same] for q in value.questions])
    buffer = io.BytesIO()
    np.savez(
        buffer,
        exact=np.frombuffer(b"".join(print_.exact for print_ in value.prints), dtype=np.uint64),
        lengths=lengths,
        shingles=shingles,
        questions=np.frombuffer(rows.encode(), dtype=np.uint8),
    )
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(zstandard.ZstdCompressor(3).compress(buffer.getvalue()))
    temporary.rename(path)


def _read(path: Path) -> Prepared:
    with np.load(io.BytesIO(zstandard.ZstdDecompressor().decompress(path.read_bytes())), allow_pickle=False) as arrays:
        ends = np.cumsum(arrays["lengths"])
        parts = np.split(arrays["shingles"], ends[:-1]) if len(ends) else []
        exact = arrays["exact"].tobytes()
        rows = json.loads(arrays["questions"].tobytes())
    prints = [Fingerprint(exact[8 * number : 8 * number + 8], part) for number, part in enumerate(parts)]
    found = [PreparedQuestion(text, tuple(pos), tuple(neg), kind, tuple(same)) for text, pos, neg, kind, same in rows]
    return Prepared(prints, found)
