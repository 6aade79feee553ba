"""From the first `codemem index` of a large repository to the first answer of `codemem find`, and what comes after.

    python -m codemem.benchmarks.outline REPOSITORY [--query Q]

Clones REPOSITORY, so that nothing is known of it, starts `codemem index --for outline`, and asks at once and again
until `find` answers; then once more when everything is read. Each command is a process, as users run it.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

NOT_INDEXED = 3


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "codemem", *arguments]


def children_seconds() -> float:
    """Processor time of all processes that were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def ask(tree: Path, query: str, environment: dict[str, str]) -> tuple[dict[str, Any] | None, float, float]:
    """What `find` prints as JSON, None before there is anything; seconds on the clock and of the processor."""
    began, given = time.perf_counter(), children_seconds()
    find = command("find", query, "-C", str(tree), "--router", "outline", "--json")
    done = subprocess.run(find, capture_output=True, text=True, check=False, env=environment)
    if done.returncode not in (0, NOT_INDEXED):
        raise SystemExit(done.stderr)
    found = json.loads(done.stdout) if done.returncode == 0 else None
    return found, time.perf_counter() - began, children_seconds() - given


def measure(tree: Path, query: str, environment: dict[str, str]) -> dict[str, Any]:
    given = children_seconds()
    began = time.perf_counter()
    indexing = subprocess.Popen(
        command("index", str(tree), "--for", "outline", "--json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    found, tries, asking = None, 0, 0.0
    while found is None:
        found, _, asking = ask(tree, query, environment)
        tries += 1
    first = time.perf_counter() - began
    output, _ = indexing.communicate()
    whole = time.perf_counter() - began
    made = json.loads(output)
    processor = children_seconds() - given
    last, cold, cold_processor = ask(tree, query, environment)
    assert last is not None, "an indexed tree answers"
    early, late = ([place["path"] for place in found_["results"]] for found_ in (found, last))
    return {
        "documents": made["documents"],
        "first answer after, s": round(first, 2),
        "tries": tries,
        "the answering find, s of processor": round(asking, 2),
        "files not read by then": found["behind"]["added"],
        "index, s": round(whole, 1),
        "index and finds, s of processor": round(processor, 1),
        "find afterwards, s": round(cold, 2),
        "find afterwards, s of processor": round(cold_processor, 2),
        "find afterwards, ranking alone, ms": last["took_ms"],
        "of its ten files, in the first answer": len(set(early) & set(late)),
    }


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="outline")
    parser.add_argument("repository", type=Path)
    parser.add_argument("--query", default="where does a consumer group rebalance")
    arguments = parser.parse_args(argv)
    figures: dict[str, Any] = {"machine": f"{platform.machine()}, {os.cpu_count()} cores"}
    with tempfile.TemporaryDirectory(prefix="codemem-bench-") as folder:
        tree = Path(folder) / "clone"
        subprocess.run(
            ["git", "clone", "-q", "--depth", "1", arguments.repository.absolute().as_uri(), tree], check=True
        )
        listed = subprocess.run(["git", "-C", tree, "ls-files", "-z"], check=True, capture_output=True).stdout
        figures["files"] = listed.count(b"\0")
        environment = os.environ | {"CODEMEM_HOME": str(Path(folder) / "home"), "CODEMEM_DAEMON": "off"}
        figures |= measure(tree, arguments.query, environment)
    for label, value in figures.items():
        print(f"{label:40} {value}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1:])
