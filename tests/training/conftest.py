"""A tiny base model and a folder of training data about sixteen documents."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import zstandard

from codemem.model.testing import write_tiny_checkpoint
from codemem.model.tokenizer import Tokenizer
from codemem.training.corpus import Corpus

WORDS = ("alpha", "bravo", "delta", "gamma", "omega", "sigma", "theta", "kappa")


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_bytes(zstandard.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Sixteen documents; each question is the word that stands in its document."""
    folder = tmp_path / "data"
    folder.mkdir()
    names = [f"{WORDS[i % 8]}{i // 8}" for i in range(16)]
    write_rows(
        folder / "documents.jsonl.zst",
        [
            {
                "header": f"f{i}.py\n",
                "text": f"def {n}():\n    return {n}\n",
                "language": "python",
                "package": f"p{i % 2}",
            }
            for i, n in enumerate(names)
        ],
    )
    kinds = {"kind": "name", "language": "python"}
    write_rows(
        folder / "pairs.jsonl.zst", [{"q": n, "pos": [i], "neg": [(i + 1) % 16], **kinds} for i, n in enumerate(names)]
    )
    answers = [
        {"question": f"What is {n}?", "gold": [i] if i % 4 else [], "distractors": [(i + 1) % 16, (i + 2) % 16]}
        for i, n in enumerate(names)
    ]
    write_rows(folder / "qa.jsonl.zst", [{**row, "answer": "It is so.", "evidence": "", **kinds} for row in answers])
    return folder


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write_tiny_checkpoint(tmp_path / "base")


def corpus_of(folder: Path, base: Path, documents: Sequence[tuple[str, str]]) -> Corpus:
    """A corpus of one package with these documents (path, text), and no questions."""
    rows = [{"header": f"{path}\n", "text": text, "language": "python", "package": "p"} for path, text in documents]
    write_rows(folder / "documents.jsonl.zst", rows)
    write_rows(folder / "pairs.jsonl.zst", [])
    return Corpus.load(folder, Tokenizer.from_folder(base))
