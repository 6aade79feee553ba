"""Trains adapters and routers on a folder that `python -m codemem.training.data` wrote.

    python -m codemem.training --base WEIGHTS --data FOLDER --out FOLDER [--recipe JSON] [--seconds S] [--resume]
    torchrun --nproc-per-node N -m codemem.training ...

Writes codemem-adapter.safetensors (what ships), checkpoint.pt (what `--resume` goes on from), recipe.json, log.jsonl (a
line a step) and losses.svg. `codemem train` is the same for a model of the registry.
"""

import argparse
import json
import sys
from pathlib import Path

import torch

from codemem.training.curves import draw
from codemem.training.run import RunOptions, read_log, train
from codemem.training.trainer import StepReport


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m codemem.training", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--base", type=Path, required=True, help="a .gguf file or a checkpoint folder")
    add("--base-sha256", default="0" * 64, help="of the base weights; goes into every entry's key")
    add("--data", type=Path, required=True)
    add("--out", type=Path, required=True)
    add("--layers", default="5,8,11,14,17,20,23", help="routed layers")
    add("--find-layers", type=int, default=3, help="how many of them, from the lowest, `find` ranks by")
    add("--memory", type=json.loads, default={}, help="further settings of the memory (MemoryConfig), as JSON")
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    add("--seconds", type=float, help="stop this call after so long; --resume goes on")
    add("--limit", type=int, help="take the first so many pairs only")
    add("--recipe", type=json.loads, default={}, help="settings of training/recipe.py, as JSON")
    add("--resume", action="store_true")
    add(
        "--hold-to",
        type=Path,
        help="the adapter whose lower half the run's is held to; by default what it begins with, the base at last",
    )
    add("--from-adapter", type=Path, dest="start", help="an adapter whose parameters the run begins with")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Trains; a line every 20 steps goes to stderr."""
    given = vars(arguments().parse_args(argv))
    layers = tuple(int(layer) for layer in given.pop("layers").split(","))
    options = RunOptions(**given, layers=layers)
    train(options, say)
    draw(read_log(options.out), options.out / "losses.svg")


def say(report: StepReport) -> None:
    if report.step % 20 == 0 or report.step <= 3:
        losses = " ".join(f"{name} {value:.3f}" for name, value in report.losses.items())
        print(f"step {report.step} · {report.seconds:.0f} s · phase {report.phase} · {losses}", file=sys.stderr)


if __name__ == "__main__":
    main()
