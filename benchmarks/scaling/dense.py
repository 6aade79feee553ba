"""all-MiniLM-L6-v2 over a large pool: mean-pooled unit vectors, at most 256 word pieces a text (as `evals.minilm`)."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

MAX_TOKENS = 256
BATCH = {"cpu": 32, "cuda": 1024}
VECTORS = "dense"
"""Folder in a run's `work`: vectors of the pool in blocks, which depend on no model of ours."""
BLOCK = 16_384
"""Documents in a file: some seven seconds of a GPU, which is what a stop loses."""
_DIGEST_BYTES = 16


class DenseEncoder:
    """On a GPU in float16 products; vectors are float32 and stay on the device."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        """`folder`: the model as transformers reads it (`evals.minilm.model_folder()`)."""
        from transformers import AutoModel, AutoTokenizer

        self.device = device
        self._tokenizer = AutoTokenizer.from_pretrained(str(folder))
        dtype = torch.float16 if device.type == "cuda" else torch.float32
        self._model = AutoModel.from_pretrained(str(folder), dtype=dtype).eval().to(device)

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors [len(texts), 384] in the order of `texts`."""
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        found: list[Tensor] = []
        size = BATCH.get(self.device.type, 32)
        for start in range(0, len(order), size):
            found.append(self._forward([texts[i] for i in order[start : start + size]]))
        out = torch.empty(len(texts), found[0].shape[1] if found else 384, device=self.device)
        out[torch.tensor(order, device=self.device)] = torch.cat(found) if found else out[:0]
        return out

    def _forward(self, texts: list[str]) -> Tensor:
        tokens = self._tokenizer(texts, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
        tokens = tokens.to(self.device)
        hidden = self._model(**tokens).last_hidden_state.float()
        mask = tokens["attention_mask"].unsqueeze(-1).float()
        mean = (hidden * mask).sum(1) / mask.sum(1).clamp_min(1)
        return torch.nn.functional.normalize(mean, dim=-1)


def vectors_of(
    texts: Sequence[str],
    folder: Path,
    encode: Callable[[Sequence[str]], Tensor],
    device: torch.device,
    *,
    progress: Callable[[str], None] = lambda _: None,
) -> Tensor:
    """Vectors [len(texts), width] of texts, which are at least one. Each block is kept as soon as it is made, and read
    where it was made of these very texts before, so that a run that is cut off goes on."""
    folder.mkdir(parents=True, exist_ok=True)
    found: list[Tensor] = []
    for start in range(0, len(texts), BLOCK):
        block, path = texts[start : start + BLOCK], folder / f"{start // BLOCK:04}.safetensors"
        vectors = load_vectors(path, block, device)
        if vectors is None:
            vectors = encode(block)
            save_vectors(path, vectors, block)
            progress(f"MiniLM: {start + len(block):,} of {len(texts):,} documents")
        found.append(vectors)
    return torch.cat(found)


def save_vectors(path: Path, vectors: Tensor, texts: Sequence[str]) -> None:
    """Keeps the vectors of these texts; the file appears whole or not at all."""
    partial = path.with_suffix(".writing")
    save_file({"vectors": vectors.cpu().contiguous(), "texts": _digests(texts)}, str(partial))
    partial.rename(path)


def load_vectors(path: Path, texts: Sequence[str], device: torch.device) -> Tensor | None:
    """Vectors that were kept of these very texts, and maybe of others behind them; None if there are none."""
    if not path.is_file():
        return None
    try:
        kept = load_file(str(path))
    except SafetensorError:
        return None
    if not torch.equal(kept["texts"][: len(texts)], _digests(texts)):
        return None
    return kept["vectors"][: len(texts)].to(device)


def _digests(texts: Sequence[str]) -> Tensor:
    """uint8 [len(texts), 16]."""
    parts = (hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:_DIGEST_BYTES] for text in texts)
    return torch.frombuffer(bytearray(b"".join(parts)), dtype=torch.uint8).view(-1, _DIGEST_BYTES)
