"""all-MiniLM-L6-v2 over a large pool: mean-pooled unit vectors, at most 256 word pieces a text (as `evals.minilm`)."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

MAX_TOKENS = 256
BATCH = {"cpu": 32, "cuda": 1024}
VECTORS = "dense.safetensors"
"""In a run's `work` folder: vectors of the whole pool, which depend on no model of ours."""


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
    def encode(self, texts: Sequence[str], *, progress: Callable[[str], None] = lambda _: None) -> Tensor:
        """Unit vectors [len(texts), 384] in the order of `texts`."""
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        found: list[Tensor] = []
        size = BATCH.get(self.device.type, 32)
        for start in range(0, len(order), size):
            found.append(self._forward([texts[i] for i in order[start : start + size]]))
            if start // size % 50 == 49:
                progress(f"MiniLM: {start + size:,} of {len(texts):,} documents")
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


def save_vectors(path: Path, vectors: Tensor, texts: Sequence[str]) -> None:
    """Keeps the vectors of these texts; the file appears whole or not at all."""
    partial = path.with_suffix(".writing")
    save_file({"vectors": vectors.cpu().contiguous()}, str(partial), {"texts": _digest(texts)})
    partial.rename(path)


def load_vectors(path: Path, texts: Sequence[str], device: torch.device) -> Tensor | None:
    """Vectors that were kept of these very texts; None if there are none."""
    if not path.is_file():
        return None
    try:
        with safe_open(str(path), "pt") as file:
            kept = (file.metadata() or {}).get("texts")
    except SafetensorError:
        return None
    return load_file(str(path), device=str(device))["vectors"] if kept == _digest(texts) else None


def _digest(texts: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()
