"""A large memory on the processor: peak memory while it is made, its size on disk by part, `find` and `ask` over it.

    python -m codemem.benchmarks.find_cpu TREE [--real-tokens N] [--queries N]

TREE is indexed into a folder of its own, through `codemem index`'s own code: listing, outline, tokenising, manifest and
store. The model really encodes the first `--real-tokens` tokens, which is when its memory peaks; the entries of the
others have their true keys and sizes and random contents, for a million tokens take half an hour on two cores. Speed
and sizes do not depend on what the numbers say; ranks do, so none are looked at. The weights are the user's own.

Each stage runs in a process of its own. Times are medians; "processor" is time that the process was given, over all of
its threads, which on a machine that others use says more than the clock.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from codemem.ask import Piece, ask
from codemem.config import Settings
from codemem.engines import loader
from codemem.find import find
from codemem.index import IndexOptions, index
from codemem.model.entry import Entry, EntryLayout, TokenisedDocument
from codemem.search import Target, open_session
from codemem.workspace import open_workspace

QUERIES = (
    "where are connections retried",
    "parse the configuration file",
    "how is the cache evicted",
    "serialize a record to bytes",
    "validate user input",
)


class PartlySynthetic:
    """An engine that encodes so many tokens itself and then makes entries up."""

    def __init__(self, engine: Any, real_tokens: int) -> None:
        self._engine, self._left = engine, real_tokens
        self._random = np.random.default_rng(0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def encode(self, documents: Sequence[TokenisedDocument], layout: EntryLayout) -> Iterator[Entry]:
        real = []
        for document in documents:
            if self._left > 0:
                real.append(document)
                self._left -= len(document.ids)
            else:
                yield self._made_up(document, layout)
        if real:
            yield from self._engine.encode(real, layout)

    def _made_up(self, document: TokenisedDocument, layout: EntryLayout) -> Entry:
        rows = len(document.chunk_ends)
        tensors = {
            spec.name: self._random.integers(-127, 128, (rows, spec.width)).astype(np.int8)
            if spec.dtype == "int8"
            else self._random.uniform(0.001, 0.1, (rows, spec.width)).astype(spec.dtype)
            for spec in layout.tensors
        }
        return Entry(layout.key(document.ids), len(document.ids), document.chunk_ends, tensors)


def peak_bytes() -> int:
    """Largest resident memory of this process so far, mapped files that it touched included."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def stage_index(settings: Settings, arguments: argparse.Namespace) -> dict[str, Any]:
    load = loader(settings, device="cpu")
    with open_workspace(arguments.tree, settings, whole=False) as workspace:
        made = index(
            workspace,
            settings,
            lambda name: PartlySynthetic(load(name), arguments.real_tokens),
            IndexOptions(model="small", purpose="ask"),
        )
        outline, manifest = workspace.outline_path(), workspace.outline_path().with_name("manifest")
        parts = {"manifest": manifest.stat().st_size, "outline": outline.stat().st_size}
    store = settings.places.store
    for segment in sorted(store.glob("segments/*.safetensors")):
        header = json.loads(segment.read_bytes()[8 : 8 + int.from_bytes(segment.read_bytes()[:8], "little")])
        for name, about in header.items():
            if name != "__metadata__":
                part = "segment index" if name.startswith("entry.") else name.partition(".")[0].removesuffix("_scale")
                parts[part] = parts.get(part, 0) + about["data_offsets"][1] - about["data_offsets"][0]
    parts["catalogue"] = sum(file.stat().st_size for file in store.glob("catalogue.sqlite*"))
    return {
        "documents": made.documents,
        "tokens": made.tokens,
        "peak memory while indexing, GB": round(peak_bytes() / 1e9, 2),
        "bytes a token": {part: round(size / made.tokens, 2) for part, size in parts.items()},
        "bytes a token in all": round(sum(parts.values()) / made.tokens, 2),
    }


def stage_find(settings: Settings, arguments: argparse.Namespace) -> dict[str, Any]:
    clock, processor, route = [], [], []
    with open_session(Target([arguments.tree], model="small"), settings, loader(settings, device="cpu")) as session:
        for query in QUERIES:
            find(session, query, k=10)
        for number in range(arguments.queries):
            began, given = time.perf_counter(), time.process_time()
            result = find(session, f"{QUERIES[number % len(QUERIES)]} {number}", k=10)
            clock.append(time.perf_counter() - began)
            processor.append(time.process_time() - given)
            route.append(result.route_ms)
    return {
        "find, model loaded, ms": round(statistics.median(clock) * 1e3, 1),
        "find, model loaded, ms of processor": round(statistics.median(processor) * 1e3, 1),
        "of it routing, ms": round(statistics.median(route), 1),
        "peak memory while finding, GB": round(peak_bytes() / 1e9, 2),
    }


def stage_ask(settings: Settings, arguments: argparse.Namespace) -> dict[str, Any]:
    """To the first word of an answer, in a second question: the first one packs matrices."""
    target = Target([arguments.tree], model="small")
    with open_session(target, settings, loader(settings, device="cpu"), answering=True) as session:
        config = replace(session.config, max_rounds=1, max_tokens=16)
        list(ask(session, QUERIES[0], replace(config, source_tokens=256)))
        began, given = time.perf_counter(), time.process_time()
        for event in ask(session, QUERIES[1], config):
            if isinstance(event, Piece):
                break
        clock, processor = time.perf_counter() - began, time.process_time() - given
    return {
        "ask, source tokens read at most": config.source_tokens,
        "ask, first word, s": round(clock, 2),
        "ask, first word, s of processor": round(processor, 2),
        "peak memory while asking, GB": round(peak_bytes() / 1e9, 2),
    }


def stage_cold(settings: Settings, arguments: argparse.Namespace) -> dict[str, Any]:
    """The command as a user types it; the second run, when its files are in the system's cache."""
    command = [sys.executable, "-m", "codemem", "find", QUERIES[0], "-C", str(arguments.tree), "--json"]
    clock, processor = [], []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        clock.append(time.perf_counter() - began)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        processor.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return {"find, cold, s": round(min(clock), 2), "find, cold, s of processor": round(min(processor), 2)}


STAGES = {"index": stage_index, "find": stage_find, "ask": stage_ask, "cold": stage_cold}


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="find_cpu")
    parser.add_argument("tree", type=Path)
    parser.add_argument("--real-tokens", type=int, default=6000)
    parser.add_argument("--queries", type=int, default=15)
    parser.add_argument(
        "--stage", choices=list(STAGES), help="run one stage here, in the home that the environment names"
    )
    arguments = parser.parse_args(argv)
    if arguments.stage:
        print(json.dumps(STAGES[arguments.stage](Settings.load(), arguments)))
        return
    figures: dict[str, Any] = {"machine": f"{platform.machine()}, {os.cpu_count()} cores"}
    with tempfile.TemporaryDirectory(prefix="codemem-bench-") as temporary:
        home = Path(temporary)
        environment = os.environ | {"CODEMEM_HOME": str(home), "CODEMEM_DAEMON": "off"}
        (home / "cache").symlink_to(Settings.load().places.cache)
        for stage in STAGES:
            command = [sys.executable, "-m", "codemem.benchmarks.find_cpu", str(arguments.tree), "--stage", stage]
            command += ["--real-tokens", str(arguments.real_tokens), "--queries", str(arguments.queries)]
            done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
            figures |= json.loads(done.stdout.splitlines()[-1])
    for label, value in figures.items():
        print(f"{label:40} {value}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1:])
