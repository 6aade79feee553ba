"""Everything that is to be measured on a GPU machine, in one command, with torch and triton and no network:

    OUT=results python3 -m codemem.benchmarks.gpu_session [--only kernels,golden] [--seconds 570]

`cli` runs the commands themselves, which need packages that the machine lacks: `codemem.benchmarks.wheels` says how to
carry them. Without them that stage alone fails.

Each stage is a process of its own with a time limit; what it printed and how it ended is in OUT/gpu_session.json after
every stage, so a session that is cut off keeps what was done, and the end of every log in OUT/gpu_session.log. Stages
that need several GPUs are left out where there is one.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOG_CHARACTERS = 6000
"""Kept of what a stage wrote to standard error."""
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Stage:
    name: str
    command: tuple[str, ...]
    """Behind `python3`."""
    seconds: float
    processes: int = 1
    """GPUs, a process each."""


def stages(work: Path, gpus: int, *, device: str, quick: bool) -> list[Stage]:
    """All stages in the order of their worth. `quick`: the same at tiny size, to see that everything runs."""
    shape = "tiny" if quick else "4b"
    size = 50_000 if quick else 100_000_000
    base: dict[str, Any] = {"device": device, "shape": shape}
    sources = sysconfig.get_paths()["purelib"]
    route = base | {"tokens": [size], "formats": ["fp8", "int8", "bf16"], "seconds": 100}
    find = base | {"tokens": [size // 100, size]}
    whole = base | {"tokens": [size], "tier": "host", "rows": "whole"}
    gather: dict[str, Any] = dict(base)
    load: dict[str, Any] = base | {"folder": str(work)}
    first: dict[str, Any] = dict(base)
    encode: dict[str, Any] = base | {"seconds": 50}
    decode: dict[str, Any] = dict(base)
    if quick:
        route |= {"query_tokens": [4], "batches": [1, 2]}
        encode |= {"document_tokens": [64], "pack_tokens": [128]}
        decode |= {"text_tokens": [32], "memory_rows": 16, "steps": 2}
        first |= {"tokens": size, "prompts": [9, 20], "appended": [5], "repeats": 1}
        load |= {"tokens": size}
        gather |= {"chunks": 2048, "trials": 3, "repeats": 3}
    bench = ("-m", "codemem.benchmarks.stage")
    tokens, fewer, megabytes = ("3000", "3000", "0.02") if quick else ("1000000", "400000", "1.2")

    def of_checkpoint(name: str, *options: str) -> tuple[str, ...]:
        """A program over the random checkpoint, which whoever comes first writes, and over real code."""
        places = (str(work / "checkpoint"), f"{sources}/torch/nn")
        return ("-m", f"codemem.benchmarks.{name}", *places, *options, "--shape", shape, "--device", device)

    listed = [
        Stage("golden", ("-m", "codemem.benchmarks.golden_gpu", str(ROOT / "tests/golden"), "--device", device), 60),
        Stage("decode", (*bench, "decode", json.dumps(decode)), 60),
        Stage("encode", (*bench, "encode", json.dumps(encode)), 80),
        Stage("first token", (*bench, "first_token", json.dumps(first)), 110),
        Stage("find", (*bench, "find", json.dumps(find)), 80),
        Stage("gather", (*bench, "gather", json.dumps(gather)), 60),
        Stage("rows in host memory", (*bench, "find", json.dumps(whole)), 240),
        Stage("msa", of_checkpoint("msa_session", "--tokens", tokens), 180),
        Stage("narrow", of_checkpoint("narrow", "--tokens", fewer), 150),
        Stage("cli", of_checkpoint("cli_session", "--megabytes", megabytes), 240),
        Stage("narrow in 8 GB", of_checkpoint("narrow", "--tokens", fewer, "--within", "8"), 120),
        Stage("kernels", ("-m", "codemem.benchmarks.kernels_gpu", "--sweep"), 120),
        Stage("route", (*bench, "route", json.dumps(route)), 180),
        # Fills the disk, in the session's folder: where it is killed, nothing behind it needs the room.
        Stage("load", (*bench, "load", json.dumps(load)), 400),
    ]
    if device == "cpu":
        listed = [stage for stage in listed if stage.name != "kernels"]
    for count in [n for n in (2, 4, 8) if n <= gpus]:
        launch = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count), *bench)
        many = route | {"formats": ["int8"], "query_tokens": [64] if not quick else [4], "engine": False}
        listed.append(Stage(f"route on {count}", (*launch, "route", json.dumps(many)), 90, count))
        listed.append(Stage(f"encode on {count}", (*launch, "encode", json.dumps(encode)), 80, count))
        listed.append(Stage(f"find on {count}", (*launch, "find", json.dumps(find)), 120, count))
        dead = ("-m", "codemem.benchmarks.dead_rank", "--processes", str(count), "--victim", str(count // 2))
        listed.append(Stage(f"dead rank of {count}", (*dead, "--device", device), 150, count))
    return listed


def run_stage(stage: Stage, seconds: float, out: Path) -> dict[str, Any]:
    """Runs a stage in a session of its own, so that a limit ends its children too."""
    started = time.monotonic()
    environment = os.environ | {"PYTHONUNBUFFERED": "1", "OUT": str(out)}
    with tempfile.TemporaryFile("w+") as told, tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            [sys.executable, *stage.command],
            stdout=said,
            stderr=told,
            cwd=ROOT,
            env=environment,
            start_new_session=True,
        )
        try:
            code: int | None = process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            code = None
        outputs = []
        for file in (said, told):
            file.seek(0)
            outputs.append(file.read())
    return {
        "command": " ".join(["python3", *stage.command]),
        "exit_code": code,
        "timed_out": code is None,
        "seconds": round(time.monotonic() - started, 1),
        "limit_seconds": round(seconds, 1),
        "result": _last_json(outputs[0]),
        "text": None if _last_json(outputs[0]) else outputs[0][-LOG_CHARACTERS:],
        "log": outputs[1][-LOG_CHARACTERS:],
    }


def _last_json(text: str) -> Any:
    for line in reversed(text.strip().splitlines()):
        if line.startswith("{"):
            try:
                return json.loads(line)
            except ValueError:
                return None
    return None


def run(chosen: Sequence[Stage], out: Path, seconds: float) -> dict[str, Any]:
    """Stages in order, each within its limit and within what is left of `seconds`."""
    out.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + seconds
    report: dict[str, Any] = {"stages": {}, "left_out": []}
    for stage in chosen:
        left = deadline - time.monotonic()
        if left < min(20.0, stage.seconds):
            report["left_out"].append(stage.name)
            continue
        done = run_stage(stage, min(stage.seconds, left), out)
        report["stages"][stage.name] = done
        _save(report, out)
        state = "timed out" if done["timed_out"] else f"exit code {done['exit_code']}"
        print(f"{stage.name}: {state} after {done['seconds']} s", flush=True)
    _save(report, out)
    return report


def _save(report: dict[str, Any], out: Path) -> None:
    (out / "gpu_session.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    logs = [f"=== {name}\n{stage['log']}" for name, stage in report["stages"].items()]
    (out / "gpu_session.log").write_text("\n".join(logs), encoding="utf-8")


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="stages by name, with commas between")
    parser.add_argument("--seconds", type=float, default=570)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does everything run?")
    parser.add_argument("--gpus", type=int, help="processes of the stages on several GPUs; default: all there are")
    options = parser.parse_args(arguments)
    out = Path(os.environ.get("OUT", "gpu_session"))
    with tempfile.TemporaryDirectory() as work:
        gpus = _gpus() if options.gpus is None else options.gpus
        every = stages(Path(work), gpus, device=options.device, quick=options.quick)
        wanted = options.only.split(",") if options.only else [stage.name for stage in every]
        if unknown := set(wanted) - {stage.name for stage in every}:
            parser.error(f"no stage {', '.join(sorted(unknown))}: there are {', '.join(s.name for s in every)}")
        report = run([stage for stage in every if stage.name in wanted], out, options.seconds)
    failed = [name for name, stage in report["stages"].items() if stage["exit_code"] != 0]
    print(f"{len(report['stages'])} stages, failed: {failed}, left out: {report['left_out']}; {out}/gpu_session.json")
    return 1 if failed else 0


def _gpus() -> int:
    import torch

    return torch.cuda.device_count()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
