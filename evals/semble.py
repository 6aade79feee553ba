"""semble 0.7.0 (PyPI) as a baseline, and static word vectors that can be had offline.

semble joins BM25 over syntax-aligned pieces, static vectors and rules about paths and definitions. Its own vectors are
on a model hub alone; without them the same rules run on BM25.
"""

import importlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from codemem.evals.baselines import Encoder
from codemem.evals.checkouts import Checkout
from codemem.evals.errors import MissingBaselineError
from codemem.evals.retrieval import Hit

TOP_K = 50
"""Results asked of semble: it looks at five times as many candidates, and gives pieces of one file several times."""


class SembleRetriever:
    """semble over the searched folder, with its static model switched off (None) or replaced."""

    def __init__(self, encoder: Encoder | None = None, *, encoder_name: str = "no") -> None:
        if importlib.util.find_spec("semble") is None:
            raise MissingBaselineError("semble", "pip install semble==0.7.0")
        self.name = f"semble with {encoder_name} vectors"
        # Weight of the vectors: none without a model, else semble's own choice by the kind of query.
        self._alpha = 0.0 if encoder is None else None
        self._encoder = encoder or _SameForAll()

    def prepare(self, checkout: Checkout) -> None:
        create: Any = importlib.import_module("semble.index.create")
        prefix = checkout.repository.folder
        self._prefix = f"{prefix}/" if prefix else ""
        self._bm25, self._vectors, self._chunks, _ = create.create_index_from_path(
            checkout.searched, _Adapter(self._encoder), display_root=checkout.searched
        )

    def rank(self, query: str, k: int) -> list[Hit]:
        if not self._chunks or not query.strip():
            return []
        search: Any = importlib.import_module("semble.search").search
        top = min(k, TOP_K)
        found = search(query, _Adapter(self._encoder), self._vectors, self._bm25, self._chunks, top, alpha=self._alpha)
        return [
            Hit(self._prefix + hit.chunk.file_path, hit.chunk.start_line, hit.chunk.end_line, float(hit.score))
            for hit in found
        ]


class WordLlamaEncoder:
    """Mean of static token vectors [256] distilled from language models' input embeddings, carried by `wordllama`.

    Read from the package's files: its own loader looks for its tokenizer on the network.
    """

    def __init__(self) -> None:
        found = importlib.util.find_spec("wordllama")
        if found is None or found.origin is None:
            raise MissingBaselineError("wordllama", "pip install wordllama")
        folder = Path(found.origin).parent
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizers" / "l2_supercat_tokenizer_config.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        tensors = load_file(folder / "weights" / "l2_supercat_256.safetensors")
        self._table = next(iter(tensors.values())).astype(np.float32)

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Unit vectors [len(texts), 256]; zeros for a text without tokens."""
        vectors = np.zeros((len(texts), self._table.shape[1]), dtype=np.float32)
        for row, tokens in enumerate(self._tokenizer.encode_batch(list(texts), add_special_tokens=False)):
            if tokens.ids:
                vectors[row] = self._table[tokens.ids].mean(0)
        unit: npt.NDArray[np.float32] = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
        return unit


class _SameForAll:
    """Gives every text the same vector."""

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return np.ones((len(texts), 1), dtype=np.float32)


class _Adapter:
    """An encoder as semble calls it."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    @property
    def dim(self) -> int:
        return int(self._encoder.encode(["dimensions"]).shape[1])

    def encode(self, texts: Sequence[str], **_: Any) -> npt.NDArray[np.float32]:
        return self._encoder.encode(texts)
