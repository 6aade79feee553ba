"""How soon a memory is current again, and what staying current costs others.

    python -m codemem.benchmarks.freshness [--weights FOLDER] [--out REPORT.md] [--only detection ...]

detection: listing and comparing a tree of 10,000 files that nothing changed in. switch: a branch that was seen before,
through a daemon; what `codemem find` takes beyond the interpreter and the daemon's `took_ms`; what hooks add to a
commit. edit: one file of 2,000 tokens changed in a repository of a million, through a daemon with the default model;
the entries of all other documents are random numbers in the store, for making them would take an hour and their values
cost nothing.

Medians; wall time, and for what is done here alone also processor time, which others on the machine disturb less.
"""

import argparse
import datetime
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from codemem.config import Settings
from codemem.daemon.address import address_of
from codemem.daemon.client import Connection, connect_or_start
from codemem.engines import loader
from codemem.hooks import install_hooks
from codemem.index import IndexOptions, begin_memory, index, open_memory
from codemem.indexer import DEFAULT_SELECTION, SourceFile, index_tree, open_tree
from codemem.manifest import Manifest
from codemem.manifest_build import next_manifest
from codemem.model.entry import Entry, EntryLayout
from codemem.snapshot import make_snapshot
from codemem.sync import compare
from codemem.workspace import open_workspace

FILES = 10_000
TOKENS = 1_000_000
EDIT_BYTES = 7_000
"""About 2,000 tokens of code."""
Row = tuple[str, str, str]
"""What, the figure, and how it was taken."""


def git(root: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=Benchmark", "-c", "user.email=benchmark@example.org")
    subprocess.run(["git", "-C", str(root), *identity, *arguments], check=True, capture_output=True)


def processor_ms() -> float:
    """Of this process and its children so far."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return 1000 * sum(u.ru_utime + u.ru_stime for u in used)


def timed(work: Callable[[], object], repeats: int) -> tuple[list[float], list[float]]:
    """Milliseconds of wall and of processor time, ascending."""
    wall, used = [], []
    for _ in range(repeats):
        began, before = time.perf_counter(), processor_ms()
        work()
        wall.append(1000 * (time.perf_counter() - began))
        used.append(processor_ms() - before)
    return sorted(wall), sorted(used)


def shown(values: list[float]) -> str:
    return f"{statistics.median(values):.0f} ms (least {values[0]:.0f})"


def detection(folder: Path) -> list[Row]:
    root = folder / "files"
    for number in range(FILES):
        path = root / f"package{number // 200}" / f"part{number // 20 % 10}" / f"file{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"def function{number}():\n    return {number}\n")
    git(root.parent, "init", "-q", str(root))
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "Files")
    with open_tree(root) as tree:
        listing = tree.list()
        manifest = _manifest_of(tree, listing)
    time.sleep(2.5)  # until their times are old enough to be trusted

    def look() -> None:
        with open_tree(root) as again:
            assert not compare(again, manifest, selection=DEFAULT_SELECTION)

    look()
    with open_tree(root) as tree:
        manifest = _manifest_of(tree, tree.list())
    look()
    wall, used = timed(look, 15)
    return [(f"change detection, {FILES:,} files, nothing changed", shown(wall), f"processor: {shown(used)}")]


def _manifest_of(tree: Any, listing: Any) -> Manifest:
    read = {f.path: f for f in index_tree(tree, listing.entries) if isinstance(f, SourceFile)}
    return next_manifest(Manifest.empty(), read, skipped=listing.skipped, stat_cache=listing.stat_cache)


class Daemon:
    """A real one, of a home of its own."""

    def __init__(self, home: Path, config: str, weights: Path | None = None) -> None:
        home.mkdir()
        if weights is not None:
            (home / "cache").mkdir()
            (home / "cache" / "weights").symlink_to(weights)
        (home / "config.toml").write_text(config, encoding="utf-8")
        os.environ |= {"CODEMEM_HOME": str(home), "XDG_RUNTIME_DIR": str(home)}
        home.chmod(0o700)
        self.settings = Settings.load()
        self.connection: Connection = connect_or_start(address_of(self.settings))

    def find(self, root: Path, seconds: float = 0.0) -> dict[str, Any]:
        """An answer; `fresh` says whether it knew everything."""
        params = {"paths": [str(root)], "query": "where is the cache emptied", "catch_up": seconds}
        found: dict[str, Any] = self.connection.request("find", params)
        return found

    def index(self, root: Path) -> dict[str, Any]:
        made: dict[str, Any] = self.connection.request("index", {"path": str(root)})
        return made

    def stop(self) -> None:
        self.connection.request("shutdown")
        self.connection.close()


def tiny_config(folder: Path) -> str:
    from codemem.model.testing import write_tiny_adapter, write_tiny_checkpoint

    write_tiny_checkpoint(folder / "tiny")
    write_tiny_adapter(folder / "tiny" / "codemem-adapter.safetensors")
    return f'model = "tiny"\ndevice = "cpu"\nthreads = 1\n[models]\ntiny = "{folder / "tiny"}"\n'


def switch_and_client(folder: Path) -> list[Row]:
    root = folder / "branches"
    _copy_code(root, 600_000)
    daemon = Daemon(folder / "home", tiny_config(folder))
    try:
        daemon.index(root)
        git(root, "switch", "-q", "-c", "other")
        for path in sorted(root.rglob("*.py"))[:20]:
            path.write_text(f"# other\n{path.read_text(encoding='utf-8')}", encoding="utf-8")
        git(root, "commit", "-q", "-a", "-m", "Other")
        daemon.index(root)
        switched = []
        for turn in range(9):
            git(root, "switch", "-q", ("main", "other")[turn % 2])
            began = time.perf_counter()
            assert daemon.find(root, seconds=10)["fresh"]
            switched.append(1000 * (time.perf_counter() - began))
        encoded = daemon.index(root)["encoded"]
        rows = [("branch switch to a commit seen before, until `find` has answered from it", shown(sorted(switched)),
                 f"20 files differ, {encoded} documents encoded")]  # fmt: skip
        return rows + _client(root) + _commit(folder / "hooked", root)
    finally:
        daemon.stop()


def _client(root: Path) -> list[Row]:
    time.sleep(2.5)
    command = [sys.executable, "-m", "codemem", "find", "where is the cache emptied", "-C", str(root), "--json"]
    bare, client, used_bare, used = [], [], [], []
    for _ in range(15):
        wall, spent = timed(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True), 1)
        bare += wall
        used_bare += spent
        began, before = time.perf_counter(), processor_ms()
        done = subprocess.run(command, check=True, capture_output=True)
        used.append(processor_ms() - before)
        client.append(1000 * (time.perf_counter() - began) - json.loads(done.stdout)["took_ms"])
    beyond = f"{min(client) - min(bare):.0f} ms (least less least)"
    how = f"processor: {min(used) - min(used_bare):.0f} ms; interpreter alone: {min(bare):.0f} ms"
    return [("warm `codemem find`, beyond interpreter and took_ms", beyond, how)]


def _commit(root: Path, like: Path) -> list[Row]:
    shutil.copytree(like, root, ignore=shutil.ignore_patterns(".git"))
    git(root, "init", "-q", "-b", "main")

    def commit() -> None:
        git(root, "commit", "-q", "--allow-empty", "-m", "Empty")

    git(root, "add", "-A")
    commit()
    plain, _ = timed(commit, 15)
    with open_workspace(root, Settings.load(), whole=True) as workspace:
        index(workspace, Settings.load(), loader(Settings.load()), IndexOptions("outline"))
    install_hooks(root)
    hooked, _ = timed(commit, 15)
    added = statistics.median(hooked) - statistics.median(plain)
    return [("added to a commit by hooks", f"{added:.0f} ms", f"{shown(plain)} without, {shown(hooked)} with")]


def _copy_code(root: Path, size: int) -> None:
    """A repository with so many bytes of the standard library's code."""
    library, taken = Path(os.__file__).parent, 0
    for path in sorted(library.rglob("*.py")):
        inside = path.relative_to(library)
        if taken >= size:
            break
        if {"test", "site-packages", "idlelib"} & set(inside.parts) or not 500 < path.stat().st_size < 200_000:
            continue
        (root / inside).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, root / inside)
        taken += path.stat().st_size
    git(root.parent, "init", "-q", "-b", "main", str(root))
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "Code")


def edit(folder: Path, weights: Path) -> list[Row]:
    root = folder / "million"
    _copy_code(root, int(TOKENS * 3.6))
    daemon = Daemon(folder / "edit-home", 'model = "small"\ndevice = "cpu"\n', weights)
    try:
        tokens = _pretend(root, daemon.settings)
        first = time.perf_counter()
        assert daemon.find(root, seconds=60)["fresh"]
        loading = time.perf_counter() - first
        rows = []
        for turn in range(3):
            (root / "edited.py").write_text(_code(turn), encoding="utf-8")
            began = time.perf_counter()
            made = daemon.index(root)
            current = time.perf_counter() - began
            assert daemon.find(root)["fresh"]
            rows.append((current, time.perf_counter() - began, made))
        current, answered, made = min(rows, key=lambda row: row[0])
        changed, rate = made["tokens"] - tokens, made["tokens_per_second"]
        return [(f"one file of {changed:,} tokens changed among {tokens:,}, until the memory is current",
                 f"{current:.1f} s (least of 3)",
                 f"encoding {changed / rate:.1f} s of it ({rate:.0f} tokens/s here and now)"),
                ("... and until `find` has answered from it", f"{answered:.1f} s",
                 f"first question after a start, loading included: {loading:.1f} s")]  # fmt: skip
    finally:
        daemon.stop()


def _code(turn: int) -> str:
    """A file that was never seen, of the usual sort."""
    source = Path(json.__file__).with_name("decoder.py").read_text(encoding="utf-8")[:EDIT_BYTES]
    return source.replace("JSON", f"Text{turn}")


def _pretend(root: Path, settings: Settings) -> int:
    """Random entries for all documents of a tree, as if they had been encoded; tokens in all."""
    engine = loader(settings)("small")
    with open_workspace(root, settings, whole=True) as workspace:
        snapshot = make_snapshot(workspace, Manifest.empty())
        begin_memory(snapshot, engine, "ask")
        memory = open_memory(engine, "ask", settings)
        with memory.store:
            work = memory.plan(snapshot.manifest, snapshot.passages)
            random = np.random.default_rng(0)
            for key, count in zip(work.keys.key_list(), work.keys.tokens.tolist(), strict=True):
                memory.store.append([_random_entry(memory.layout, key, count, random)])
        snapshot.manifest = work.manifest.with_remembered(np.ones(len(work.manifest), np.bool_))
        snapshot.save()
    return int(work.keys.tokens.sum())


def _random_entry(layout: EntryLayout, key: bytes, tokens: int, random: np.random.Generator) -> Entry:
    chunks = -(-tokens // layout.chunk_tokens)
    tensors = {}
    for spec in layout.tensors:
        if spec.dtype == "int8":
            tensors[spec.name] = random.integers(-127, 128, (chunks, spec.width), np.int8)
        else:
            tensors[spec.name] = np.full((chunks, spec.width), 0.01, np.dtype(spec.dtype))
    return Entry(key, tokens, np.arange(1, chunks + 1, dtype=np.uint32), tensors)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="freshness", description=__doc__)
    parser.add_argument("--weights", type=Path, help="the folder that `codemem model pull` fills, for `edit`")
    parser.add_argument("--only", nargs="*", choices=("detection", "switch", "edit"))
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args(arguments)
    wanted = chosen.only or ["detection", "switch", "edit"]
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="fresh-") as name:
        folder = Path(name)
        if "detection" in wanted:
            rows += detection(folder)
        if "switch" in wanted:
            rows += switch_and_client(folder)
        if "edit" in wanted and chosen.weights:
            rows += edit(folder, chosen.weights.absolute())
    load = os.getloadavg()[0]
    lines = [
        f"# Freshness, {datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}",
        "",
        f"{platform.machine()}, {os.cpu_count()} cores, load {load:.1f}, Python {platform.python_version()}. "
        f"Command: `python -m codemem.benchmarks.freshness --weights FOLDER`.",
        "",
        "| what | seen | |",
        "| --- | --- | --- |",
        *(f"| {what} | {figure} | {how} |" for what, figure, how in rows),
        "",
    ]
    print("\n".join(lines))
    if chosen.out:
        chosen.out.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
