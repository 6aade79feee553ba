"""The commands themselves on a real repository: index, status, find, ask and a second round, with the weights chosen.

    python -m codemem.benchmarks.cli_session CHECKPOINT SOURCES --megabytes 5 [--device cuda]

Python files under SOURCES, so many bytes of them, become a repository of their own (git's, where there is git); then
every command runs as a user's, a process each, in a home of its own. `int8` and `int4` run with the GPU's memory
limited (8 GB by default), as on a smaller card, on a smaller part of the repository. Prints one JSON object; the exit
code is 1 if a command failed, which does not stop those that do not need it.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from codemem.benchmarks import measure
from codemem.benchmarks.random_checkpoint import checkpoint_at
from codemem.benchmarks.shapes import SHAPES, place

QUESTION = "How does a causal bias mask attention?"
SMALLER = 8
"""The part of the repository that narrow weights read is so many times smaller."""
KEPT = ("model", "documents", "tokens", "encoded", "reused", "seconds", "tokens_per_second", "bytes", "fresh", "stats")
_PEAK = "peak_device_bytes="
_COMMAND = f"""
import sys
import torch
gpu = torch.cuda.is_available() and sys.argv[1] != "cpu"
if gpu and float(sys.argv[2]):
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, float(sys.argv[2]) * 1e9 / total))
del sys.argv[1:3]
from codemem.cli.app import run
code = run(sys.argv[1:])
if gpu:
    print("{_PEAK}" + str(torch.cuda.max_memory_allocated()), file=sys.stderr)
sys.exit(code)
"""


def repository(target: Path, sources: Path, size: int) -> dict[str, Any]:
    """Copies Python files of `size` bytes in all, and commits them where there is git."""
    copied = files = 0
    for path in sorted(sources.rglob("*.py")):
        if copied >= size:
            break
        place_ = target / path.relative_to(sources)
        place_.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place_)
        copied, files = copied + path.stat().st_size, files + 1
    git = shutil.which("git")
    if git is not None:
        as_nobody = ("-c", "user.name=bench", "-c", "user.email=bench@localhost", "-c", "commit.gpgsign=false")
        for command in (("init", "-q"), ("add", "-A"), (*as_nobody, "commit", "-q", "-m", "Begin")):
            subprocess.run([git, *command], cwd=target, check=True, capture_output=True)
    return {"files": files, "bytes": copied, "git": git is not None}


class Commands:
    """Runs `codemem` in a repository, with a home of its own."""

    def __init__(self, root: Path, home: Path, device: str, within: float) -> None:
        self.root, self.device, self.within = root, device, within
        code = Path(__file__).resolve().parent.parent
        self._environment = os.environ | {
            "CODEMEM_HOME": str(home),
            "CODEMEM_DAEMON": "off",
            "CODEMEM_DEVICE": device,
            "PYTHONPATH": os.pathsep.join(filter(None, (str(code), os.environ.get("PYTHONPATH")))),
        }

    def __call__(self, *arguments: str) -> dict[str, Any]:
        """What a command printed, in short; what it said, where it failed."""
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", _COMMAND, self.device, str(self.within), *arguments, "--json"],
            check=False,
            cwd=self.root,
            env=self._environment,
            capture_output=True,
            text=True,
        )
        row: dict[str, Any] = {"command": " ".join(arguments), "exit_code": done.returncode}
        row["wall_seconds"] = round(time.monotonic() - started, 2)
        peaks = [line for line in done.stderr.splitlines() if line.startswith(_PEAK)]
        if peaks:
            row["peak_device_bytes"] = int(peaks[-1].removeprefix(_PEAK))
        try:
            row |= _short(json.loads(done.stdout))
        except ValueError:
            row["said"] = done.stderr[-1500:]
        print(row, file=sys.stderr, flush=True)
        return row


def _short(result: dict[str, Any]) -> dict[str, Any]:
    found = {name: result[name] for name in KEPT if name in result}
    if "rounds" in result:
        found["rounds"] = [len(r["named"]) for r in result["rounds"]]
        found["layers"] = sorted({len(r["layers"]) for r in result["rounds"]})
        found["answer_characters"], found["citations"] = len(result["answer"]), len(result["citations"])
    if "results" in result:
        found["results"] = len(result["results"])
        found |= {name: result[name] for name in ("took_ms", "route_ms")}
    return found


def run(folder: Path, sources: Path, *, megabytes: float, device: str, shape: str, within: float) -> dict[str, Any]:
    on, _ = place(device)
    checkpoint_at(folder, SHAPES[shape], device=on)
    report: dict[str, Any] = {"bench": "cli", "machine": measure.machine(on), "within_gb": within}
    with tempfile.TemporaryDirectory() as work:
        whole, part = Path(work) / "whole", Path(work) / "part"
        report["repository"] = repository(whole, sources, int(megabytes * 1e6))
        repository(part, sources, int(megabytes * 1e6 / SMALLER))
        model = str(folder.resolve())
        commands = Commands(whole, Path(work) / "home", on.type, 0.0)
        rows = [
            commands("index", "--model", model),
            commands("index", "--model", model),
            commands("status", "--verify"),
            commands("find", QUESTION, "--router", "memory"),
            *(commands("ask", QUESTION, "--ranking", rule) for rule in ("scaled", "cosine")),
        ]
        for weights in ("int8", "int4"):
            small = Commands(part, Path(work) / f"home-{weights}", on.type, within)
            rows += [small("index", "--model", model, "--weights", weights), small("ask", QUESTION)]
        report["commands"] = rows
    report["ok"] = all(row["exit_code"] == 0 for row in rows)
    return report


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("sources", type=Path)
    parser.add_argument("--megabytes", type=float, default=1.2, help="with a byte a token, so many million tokens")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--shape", default="4b", choices=SHAPES)
    parser.add_argument("--within", type=float, default=8.0, help="GB of GPU memory for 8 and 4 bits")
    o = parser.parse_args(arguments)
    options = {"megabytes": o.megabytes, "device": o.device, "shape": o.shape, "within": o.within}
    report = run(o.folder, o.sources, **options)
    print(json.dumps(report))
    return 0 if report["ok"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
