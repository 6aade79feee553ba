"""Read what `python -m codemem.training.data` wrote."""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

DOCUMENTS = "documents.jsonl.zst"
PAIRS = "pairs.jsonl.zst"
DEV_PAIRS = "dev_pairs.jsonl.zst"
QA = "qa.jsonl.zst"
DEV_QA = "dev_qa.jsonl.zst"


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """A document; its index is its 0-based line."""

    header: str
    """What the model reads before the text, with its newline."""
    text: str
    language: str
    package: str


@dataclass(frozen=True, slots=True)
class Pair:
    """A question with indices of documents that answer it and of some of the same package that do not."""

    question: str
    positives: tuple[int, ...]
    negatives: tuple[int, ...]
    kind: str
    language: str


@dataclass(frozen=True, slots=True)
class QuestionAnswer:
    """A question with its answer and the documents to read; `evidence` is a substring of a gold document's text."""

    question: str
    gold: tuple[int, ...]
    """In the order in which they are needed; empty when the answer is not in the sources."""
    distractors: tuple[int, ...]
    answer: str
    evidence: str
    kind: str
    language: str


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects of a zstd-compressed JSON-lines file."""
    with path.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as stream:
        for line in io.TextIOWrapper(stream, encoding="utf-8"):
            yield json.loads(line)


def documents(folder: Path) -> list[DocumentRow]:
    """Read every document; indices in pairs and answers are positions in this list."""
    return [
        DocumentRow(row["header"], row["text"], row["language"], row["package"]) for row in rows(folder / DOCUMENTS)
    ]


def pairs(folder: Path, *, dev: bool = False) -> Iterator[Pair]:
    """Yield training pairs, or those of the packages held out."""
    for row in rows(folder / (DEV_PAIRS if dev else PAIRS)):
        yield Pair(row["q"], tuple(row["pos"]), tuple(row["neg"]), row["kind"], row["language"])


def question_answers(folder: Path, *, dev: bool = False) -> Iterator[QuestionAnswer]:
    """Yield records for answer training, or those of the packages held out."""
    for row in rows(folder / (DEV_QA if dev else QA)):
        yield QuestionAnswer(
            row["question"], tuple(row["gold"]), tuple(row["distractors"]), row["answer"], row["evidence"], row["kind"],
            row["language"],
        )  # fmt: skip


class Writer:
    """Writes JSON lines under zstd to a temporary name and takes the real one when closed without error.

    `to_carry` makes a file a quarter smaller in several times the time, where like rows stand side by side.
    """

    def __init__(self, path: Path, *, to_carry: bool = False) -> None:
        self._path = path
        self._temporary = path.with_name(path.name + ".part")
        self._raw = self._temporary.open("wb")
        far = zstandard.ZstdCompressionParameters.from_level(16, window_log=27, enable_ldm=True)
        compressor = zstandard.ZstdCompressor(compression_params=far) if to_carry else zstandard.ZstdCompressor(9)
        self._compressor = compressor.compressobj()

    def __enter__(self) -> "Writer":
        return self

    def write(self, row: dict[str, Any]) -> None:
        line = json.dumps(row, separators=(",", ":")) + "\n"
        self._raw.write(self._compressor.compress(line.encode("ascii")))

    def __exit__(self, failed: object, *_: object) -> None:
        self._raw.write(self._compressor.flush())
        self._raw.close()
        if failed is None:
            self._temporary.rename(self._path)
        else:
            self._temporary.unlink()
