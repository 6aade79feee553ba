"""What training reads, tokenised when a batch needs it. The files are those of codemem.training.data (docs/data.md)."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from codemem.model.tokenizer import Tokenizer
from codemem.training.data.read import DOCUMENTS, PAIRS, QA, rows

Ids = npt.NDArray[np.uint32]

QUESTION_TOKENS = 128
"""Longer questions are cut."""


def path_alone(header: str) -> str:
    """A document's header without the scope behind its path."""
    path, _, scope = header.rstrip("\n").partition(" ")
    return f"{path}\n" if scope else header


@dataclass(slots=True)
class Documents:
    """The documents of a folder alone."""

    headers: list[str]
    texts: list[str]
    packages: npt.NDArray[np.int32]
    """[documents] numbered as they come."""

    @classmethod
    def load(cls, directory: Path) -> "Documents":
        """Reads them."""
        headers, texts, packages = [], [], []
        names: dict[str, int] = {}
        for row in rows(directory / DOCUMENTS):
            headers.append(row["header"])
            texts.append(row["text"])
            packages.append(names.setdefault(row["package"], len(names)))
        return cls(headers, texts, np.asarray(packages, np.int32))


def read_answers(directory: Path) -> list[dict[str, Any]]:
    """The answer records of a folder, with what `codemem.training.explain` added."""
    found = [path for path in (directory / QA, *sorted(directory.glob("explained-*.jsonl.zst"))) if path.exists()]
    return [row for path in found for row in rows(path)]


@dataclass(slots=True)
class Corpus:
    """Documents, questions with the documents that answer them, and answer records."""

    tokenizer: Tokenizer
    headers: list[str]
    texts: list[str]
    packages: npt.NDArray[np.int32]
    questions: list[str]
    positives: list[list[int]]
    negatives: list[list[int]]
    answers: list[dict[str, Any]]
    same: list[list[int]] = field(default_factory=list)
    """Per question, documents that are neither: others of a file that is asked for."""
    kinds: list[str] = field(default_factory=list)
    """Per question, as docs/data.md names them."""
    copies: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """[documents] the first document with the same text."""
    ranked: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    """Answer record -> pieces of files that rank first for it, where a reader is trained (training/retrieved.py)."""

    def __post_init__(self) -> None:
        if not self.same:
            self.same = [[] for _ in self.questions]
        if not self.kinds:
            self.kinds = ["" for _ in self.questions]
        first: dict[str, int] = {}
        self.copies = np.asarray([first.setdefault(text, i) for i, text in enumerate(self.texts)], np.int64)

    @classmethod
    def load(cls, directory: Path, tokenizer: Tokenizer, *, limit: int | None = None, mined: bool = True) -> "Corpus":
        """Reads a folder, with what `codemem.training.explain` added to it; one without answer records is fine.

        Where `codemem.training.mine` was there, its questions are taken instead, and those of
        `codemem.training.prose_questions` are added; neither if `mined` is false. `limit`: the first so many only.
        """
        documents = Documents.load(directory)
        asked = (sorted(directory.glob("mined-*.jsonl.zst")) if mined else []) or [directory / PAIRS]
        asked += sorted(directory.glob("asked-*.jsonl.zst")) if mined else []
        pairs = list(islice((row for path in asked for row in rows(path)), limit))
        return cls(
            tokenizer,
            documents.headers,
            documents.texts,
            documents.packages,
            [pair["q"] for pair in pairs],
            [pair["pos"] for pair in pairs],
            [pair.get("neg", []) for pair in pairs],
            read_answers(directory),
            [pair.get("same", []) for pair in pairs],
            [pair.get("kind", "") for pair in pairs],
        )

    def document_ids(
        self, documents: Iterable[int], max_tokens: int, *, without_scope: Collection[int] = ()
    ) -> list[Ids]:
        """Header and text of each, tokenised apart, cut to `max_tokens`; some with the path alone in their header."""
        chosen = list(documents)
        headers = self.tokenizer.encode_batch(
            [path_alone(self.headers[d]) if d in without_scope else self.headers[d] for d in chosen]
        )
        texts = self.tokenizer.encode_batch([self.texts[d] for d in chosen])
        return [np.asarray((h + t)[:max_tokens], np.uint32) for h, t in zip(headers, texts, strict=True)]

    def question_ids(self, questions: Sequence[int]) -> list[Ids]:
        """Questions without the template."""
        ids = self.tokenizer.encode_batch([self.questions[q] for q in questions])
        return [np.asarray(i[:QUESTION_TOKENS], np.uint32) for i in ids]
