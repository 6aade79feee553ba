"""A public repository's real history, commit by commit: does the memory that follows it end as one built at the end?

    PYTHONPATH=tests python -m soak.replay REPOSITORY [--days 14] [--engine tiny|fake] [--every 0] [--out REPORT.md]

REPOSITORY is a clone or a bare git directory; it is only read. Every commit of the last DAYS days before its HEAD is
checked out in order of the graph, merged side branches included, and synced as a hook would have it. At the end (and
with --every N after each N commits) documents, keys, entries and results are compared with an index from nothing. Exit
code 1 if they differ.
"""

import argparse
import datetime
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from git import Git, Repo

from codemem.config import Settings
from codemem.engine_interface import MemoryEngine
from codemem.find import find
from codemem.index import IndexOptions, index
from codemem.manifest import Manifest
from codemem.memory import layout_of
from codemem.model.store import LoadedEntries, Store
from codemem.results import FoundPlace
from codemem.search import Target, open_session
from codemem.workspace import open_workspace
from soak.engines import NAMES, make_engine

_ENGINES = {
    "fake": "the tests' stand-in for a model (hashed words)",
    "tiny": "a tiny random model with the default's mechanism",
}
QUERIES = ("parse the configuration file", "raise an error when a file is missing", "run the tests of a class")


@dataclass
class Replay:
    """What was seen."""

    commits: int = 0
    documents: int = 0
    encoded: list[int] = field(default_factory=list)
    """Documents encoded at each commit."""
    milliseconds: list[float] = field(default_factory=list)
    """Of each sync, checkout aside."""
    compared: int = 0


@dataclass(frozen=True)
class State:
    """Everything that a memory answers from."""

    manifest: Manifest
    entries: LoadedEntries
    found: list[list[FoundPlace]]

    def differences(self, other: "State") -> list[str]:
        """What differs, in words."""
        found = []
        if list(self.manifest.files()) != list(other.manifest.files()):
            found.append("files, documents or symbols")
        if self.manifest.all_skipped != other.manifest.all_skipped:
            found.append("what was left out")
        if self.entries.keys != other.entries.keys or self.entries.missing or other.entries.missing:
            found.append("keys, or entries that are missing")
        elif any(not np.array_equal(self.entries.tensors[n], other.entries.tensors[n]) for n in other.entries.tensors):
            found.append("entries")
        if self.found != other.found:
            found.append("results")
        return found


def commits_of(repository: Repo, days: int) -> list[str]:
    """The commits of the last days before HEAD, parents before children."""
    since = repository.head.commit.committed_date - days * 86_400
    listed = repository.iter_commits("HEAD", since=since, topo_order=True)
    return [commit.hexsha for commit in reversed(list(listed))]


def sync(root: Path, settings: Settings, engine: MemoryEngine) -> tuple[int, int]:
    """Documents in all, and those encoded now."""
    with open_workspace(root, settings, whole=False) as workspace:
        result = index(workspace, settings, lambda _: engine, IndexOptions())
    return result.documents, result.encoded


def state_of(root: Path, settings: Settings, engine: MemoryEngine) -> State:
    with open_workspace(root, settings, whole=False) as workspace:
        manifest = workspace.load()
    assert manifest is not None
    layout = layout_of(manifest)
    assert layout is not None
    with Store.open(settings.places.store, layout) as store:
        entries = store.load(manifest.keys_for(layout.fingerprint).key_list())
    with open_session(Target([root]), settings, lambda _: engine) as session:
        found = [list(find(session, query, k=10).results) for query in QUERIES]
    return State(manifest, entries, found)


def built_anew(root: Path, home: Path, engine: MemoryEngine) -> State:
    """Of a user who has nothing, in the same working tree: manifests of both would lie in one place."""
    settings = Settings.load({"CODEMEM_HOME": str(home)})
    own, aside = root / ".git" / "codemem", root / ".git" / "codemem-aside"
    own.rename(aside)
    try:
        sync(root, settings, engine)
        return state_of(root, settings, engine)
    finally:
        if own.exists():
            subprocess.run(["rm", "-rf", str(own)], check=True)
        aside.rename(own)


def replay(repository: Path, folder: Path, engine: MemoryEngine, *, days: int, every: int) -> tuple[Replay, list[str]]:
    """What was seen, and the differences at the end."""
    seen, root = Replay(), folder / "tree"
    clone = Repo(repository).clone(str(root), shared=True, no_checkout=True)
    settings = Settings.load({"CODEMEM_HOME": str(folder / "home")})
    commits, differences = commits_of(Repo(repository), days), list[str]()
    for number, commit in enumerate(commits):
        clone.git.checkout("--force", "--detach", commit)
        started = time.perf_counter()
        seen.documents, encoded = sync(root, settings, engine)
        seen.milliseconds.append(1000 * (time.perf_counter() - started))
        seen.encoded.append(encoded)
        seen.commits += 1
        if number == len(commits) - 1 or (every and number % every == every - 1):
            fresh = built_anew(root, folder / f"fresh-{number}", engine)
            found = state_of(root, settings, engine).differences(fresh)
            differences += [f"{commit[:10]}: {what}" for what in found]
            seen.compared += 1
    return seen, differences


def report(name: str, head: str, seen: Replay, differences: list[str], *, days: int, engine: str) -> str:
    later = seen.encoded[1:] or [0]
    times = seen.milliseconds[1:] or [0.0]
    lines = [
        f"# {days} days of {name}, replayed commit by commit",
        "",
        f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}, {platform.machine()}, Python {platform.python_version()}, "
        f"git {'.'.join(map(str, Git().version_info))}, {_ENGINES[engine]}.",
        f"Command: `PYTHONPATH=tests python -m soak.replay REPOSITORY --days {days} --engine {engine}`.",
        f"HEAD {head[:10]}.",
        "",
        f"- {seen.commits} commits, {seen.documents:,} documents at the end.",
        f"- Documents encoded: {seen.encoded[0]:,} at the first commit, then {sum(later):,} over {len(later)} commits "
        f"(median {statistics.median(later):g}, at most {max(later):,}).",
        f"- A sync took {statistics.median(times):.0f} ms (median), at most {max(times):,.0f} ms, encoding included; "
        "the machine was shared.",
        f"- Compared with an index from nothing at {seen.compared} commit(s), the last one included: documents, "
        f"symbols, what is left out, keys, entries bit by bit, and the results of {len(QUERIES)} queries: "
        + ("**no difference**." if not differences else f"**differences**: {'; '.join(differences)}."),
        "",
    ]
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="replay", description=__doc__)
    parser.add_argument("repository", type=Path)
    parser.add_argument("--name", help="what the report calls it")
    parser.add_argument("--days", type=int, default=14)
    parser.add_argument("--engine", choices=NAMES, default="tiny")
    parser.add_argument("--every", type=int, default=0)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="replay-") as name:
        engine = make_engine(chosen.engine, Path(name) / "model")
        seen, differences = replay(chosen.repository, Path(name), engine, days=chosen.days, every=chosen.every)
    head = Repo(chosen.repository).head.commit.hexsha
    text = report(
        chosen.name or chosen.repository.name, head, seen, differences, days=chosen.days, engine=chosen.engine
    )
    print(text)
    if chosen.out:
        chosen.out.write_text(text, encoding="utf-8")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
