"""Fingerprints of what evaluations use: training documents that resemble any of it are dropped."""

import json
from pathlib import Path

import numpy as np

from .download import PackageName, archives
from .extract import definitions_of
from .fingerprint import Fingerprint, SeenTexts, fingerprint
from .stages import Workers


def gather_never(
    raw: Path, names: list[PackageName], documents: list[Path], kept: Path, *, workers: Workers
) -> SeenTexts:
    """Read the evaluations' packages (downloaded to be recognised, never trained on) and documents given as JSON lines.

    The result is kept in `kept` (an .npz file) until a package's archives or a document file change.
    """
    paths = [path for name in names for path in archives(name, raw)] + documents
    state = "\n".join(f"{path.name} {path.stat().st_size}" for path in paths)
    if kept.exists():
        with np.load(kept, allow_pickle=False) as arrays:
            if str(arrays["state"]) == state:
                exact = arrays["exact"].tobytes()
                return SeenTexts({exact[i : i + 8] for i in range(0, len(exact), 8)}, arrays["shingles"])
    prints: list[Fingerprint] = []
    for document in documents:
        with document.open(encoding="utf-8") as rows:
            prints.extend(fingerprint(json.loads(row)["text"]) for row in rows)
    for found in [workers.submit(_prints, name, raw) for name in names]:
        prints.extend(found.result())
    seen = SeenTexts.of(prints)
    kept.parent.mkdir(parents=True, exist_ok=True)
    exact_array = np.frombuffer(b"".join(sorted(seen.exact)), dtype=np.uint8)
    np.savez(kept, state=np.array(state), exact=exact_array, shingles=seen.shingles)
    return seen


def _prints(name: PackageName, raw: Path) -> list[Fingerprint]:
    return [fingerprint(found.text) for found in definitions_of(name, list(archives(name, raw)))]
