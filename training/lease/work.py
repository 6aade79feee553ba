"""What the processes of one adapter share below a folder: settings, claims, and a memory of which each encodes a share.

Nothing here is run by itself: `swe_qa` and `plain_questions` are.
"""

import argparse
import glob
import json
import os
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from codemem.config import Settings
from codemem.engine_interface import MemoryEngine
from codemem.index import begin_memory, open_memory
from codemem.manifest import KEY_BYTES, DocumentKeys, Manifest
from codemem.memory import complete_files, present
from codemem.model.entry import TokenisedDocument
from codemem.snapshot import make_snapshot
from codemem.workspace import open_workspace

BLOCK = 64
"""Documents that go to one process together."""
CALL_TOKENS = 65_536
"""Encoded at once."""
PATIENCE = 240.0
"""Seconds that one process waits for another."""
Row = dict[str, Any]
_BEGAN = time.perf_counter()


def add_options(parser: argparse.ArgumentParser, *, threads: int) -> None:
    """The options of all that asks: which model, on what, which share, and where answers go or are read from."""
    add = parser.add_argument
    add("--model", default="small", help="a .gguf file or a model's name")
    add("--adapter", type=Path, help="the shipped one by default")
    add("--device", default="cuda")
    add("--gpu", help="its number")
    add("--part", type=int, default=0)
    add("--parts", type=int, default=1)
    add("--out", type=Path)
    add("--tokens", type=int, default=256, help="of an answer")
    add("--threads", type=int, default=threads)
    add("--report", nargs="+", metavar="NAME=GLOB", help="of what was written")


def log(text: str) -> None:
    """Says it on stderr, with the seconds since the process began."""
    print(f"{time.perf_counter() - _BEGAN:6.1f} s {text}", file=sys.stderr, flush=True)


def settings_of(work: Path, threads: int | None = None) -> Settings:
    """The user's settings with all data below `work`."""
    settings = Settings.load()
    return replace(
        settings,
        places=replace(settings.places, data=work / "data"),
        user=replace(settings.user, threads=threads),
    )


def model_name(model: str) -> str:
    """A .gguf file by its whole path, a model's name as it is."""
    return str(Path(model).absolute()) if model.endswith(".gguf") else model


def read_runs(names: Iterable[str]) -> dict[str, list[Row]]:
    """Rows of every `NAME=GLOB`, by name; a line that a stop cut short is left out."""
    runs: dict[str, list[Row]] = {}
    for name, _, pattern in (text.partition("=") for text in names):
        rows = runs.setdefault(name, [])
        for path in sorted(glob.glob(pattern)):
            lines = Path(path).read_text(encoding="utf-8").split("\n")
            rows += [json.loads(line) for line in lines if line.endswith("}")]
    return runs


def wait_for(files: Iterable[Path], patience: float = PATIENCE) -> bool:
    """Whether all files were there before the patience ended."""
    wanted, until = list(files), time.monotonic() + patience
    while not all(file.exists() for file in wanted):
        if time.monotonic() > until:
            return False
        time.sleep(0.2)
    return True


def claim(work: Path, name: str) -> bool:
    """Whether this process is the first to claim what `name` stands for."""
    (work / "claims").mkdir(exist_ok=True)
    try:
        os.close(os.open(work / "claims" / name, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def encode_share(engine: MemoryEngine, settings: Settings, root: Path, *, part: int, parts: int, note: Path) -> None:
    """Entries of this process's documents into the shared store; their keys into the file `note`."""
    numbers: list[int] = []
    keys: list[bytes] = []
    tokens: list[int] = []
    seen: set[bytes] = set()
    ready: list[TokenisedDocument] = []
    with open_workspace(root, settings, whole=True) as workspace:
        snapshot = make_snapshot(workspace, workspace.load() or Manifest.empty())
        count = snapshot.manifest.documents
        with open_memory(engine, "ask", settings).store as store:
            for start in range(part * BLOCK, count, parts * BLOCK):
                block = range(start, min(start + BLOCK, count))
                texts = [snapshot.passages.document(number) for number in block]
                snapshot.passages.forget()
                tokenised = engine.tokenise([(text.header, text.text) for text in texts])
                for number, done in zip(block, tokenised, strict=True):
                    key = engine.layout.key(done.ids)
                    numbers.append(number)
                    keys.append(key)
                    tokens.append(len(done.ids))
                    if key not in seen:
                        seen.add(key)
                        ready.append(done)
                if sum(len(done.ids) for done in ready) >= CALL_TOKENS or start + parts * BLOCK >= count:
                    for entry in engine.encode(ready, engine.layout):
                        store.append([entry])
                    ready.clear()
            store.flush()
    _write_note(note, numbers, keys, tokens)


def _write_note(note: Path, numbers: Sequence[int], keys: Sequence[bytes], tokens: Sequence[int]) -> None:
    part_file = note.with_suffix(".part.npz")
    np.savez(
        part_file,
        numbers=np.array(numbers, np.int64),
        tokens=np.array(tokens, np.uint32),
        keys=np.frombuffer(b"".join(keys), np.uint8).reshape(-1, KEY_BYTES),
    )
    part_file.rename(note)  # whole, or not there


def settle_memory(engine: MemoryEngine, settings: Settings, root: Path, notes: Iterable[Path]) -> None:
    """Notes in the tree's manifest what all processes encoded."""
    with open_workspace(root, settings, whole=True) as workspace, workspace.writing(wait=True):
        snapshot = make_snapshot(workspace, workspace.load() or Manifest.empty())
        begin_memory(snapshot, engine, "ask")
        found = DocumentKeys.unknown(snapshot.manifest.documents)
        for note in notes:
            if note.is_file():
                with np.load(note) as part:
                    found.keys[part["numbers"]], found.tokens[part["numbers"]] = part["keys"], part["tokens"]
        manifest = snapshot.manifest.with_keys({engine.layout.fingerprint: found})
        with open_memory(engine, "ask", settings).store as store:
            there = present(found, store)
        snapshot.manifest = manifest.with_remembered(complete_files(manifest, there))
        snapshot.save()
        log(f"{root.name}: {int(there.sum())} of {len(there)} documents in memory, {int(found.tokens.sum())} tokens")
