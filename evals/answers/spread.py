"""One evaluation in many processes, each with its own share of the questions, over the GPUs of a machine or its cores.

    python -m codemem.evals.answers.spread facts hops --split held-out --processes 12 --gpus 0 1 2 --out FOLDER [...]

A job is one system and one package; long ones first. What each process recorded is put together in
`FOLDER/work/records`, where `codemem eval facts|hops --out FOLDER` with the same options finds it: it asks what is
missing and writes the report.
"""

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from multiprocessing.queues import Queue
from pathlib import Path

from codemem.config import Settings
from codemem.evals.answers.engines import open_engine
from codemem.evals.answers.evaluate import PRODUCT, SYSTEMS, Options, collect, kept_in, refuse_unknown
from codemem.evals.answers.questions import read_questions, set_path
from codemem.evals.errors import EvaluationError
from codemem.model.engine import Engine

PRODUCT_COST = 2
"""How many questions of a reader one of the product takes, with its rounds: for the order of jobs alone."""


@dataclass(frozen=True, slots=True)
class Job:
    """One system's questions about one package."""

    options: Options
    cost: int


def jobs_of(options: Options) -> list[Job]:
    """The jobs of an evaluation, the longest first, so that the last to end are short."""
    refuse_unknown(options.systems)
    asked = read_questions(set_path(options.name, options.split))
    count = Counter(q.package for q in asked if not options.packages or q.package in options.packages)
    jobs = [
        Job(replace(options, packages=(package,), systems=(system,)), n * (PRODUCT_COST if system in PRODUCT else 1))
        for package, n in count.items()
        for system in options.systems
    ]
    return sorted(jobs, key=lambda job: -job.cost)


def merge(parts: Iterable[Path], into: Path) -> int:
    """Adds the records in folders `parts` to those in `into`, one of each question; how many were added."""
    added = 0
    into.mkdir(parents=True, exist_ok=True)
    for file in sorted(file for part in parts for file in part.glob("*.jsonl")):
        target = into / file.name
        lines = target.read_text(encoding="utf-8").split("\n") if target.is_file() else []
        kept = {json.loads(line)["question"]: line for line in lines if line.endswith("}")}
        before = len(kept)
        for line in file.read_text(encoding="utf-8").split("\n"):
            if line.endswith("}"):  # a process that was stopped may have cut its last line short
                kept.setdefault(json.loads(line)["question"], line)
        added += len(kept) - before
        target.write_text("".join(f"{line}\n" for line in kept.values()), encoding="utf-8")
    return added


class _Worker:
    """What a process keeps between jobs."""

    engine: Engine
    settings: Settings
    place: Path


def _start(gpus: Sequence[str], options: Options, settings: Settings, numbers: "Queue[int]") -> None:
    own = numbers.get()
    if gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus[own % len(gpus)]
    _Worker.place = options.work / "parts" / str(own)
    _Worker.settings = kept_in(replace(options, out=_Worker.place), settings)
    _Worker.engine = open_engine(settings, model=options.model, adapter=options.adapter, device=options.device)


def _do(options: Options) -> str:
    own = replace(options, out=_Worker.place)
    began = time.perf_counter()
    runs, _ = collect(own, _Worker.engine, _Worker.settings)
    answered = sum(map(len, runs.values()))
    took = time.perf_counter() - began
    return f"{options.name} {options.systems[0]} {options.packages[0]}: {answered} questions, {took:.0f} s"


def _say(done: "Future[str]") -> None:
    if not done.cancelled() and done.exception() is None:
        print(done.result(), flush=True)


def spread(
    evaluations: Sequence[Options], settings: Settings, *, processes: int, gpus: Sequence[str], seconds: float
) -> int:
    """Answers in `processes` processes until all is done or `seconds` have passed; how many records there are more.

    `evaluations` share their model and folder. `gpus`: devices by number, dealt to the processes in turn; none leaves
    the choice to the options. Raises EvaluationError of the first job that has one.
    """
    jobs = sorted((job for options in evaluations for job in jobs_of(options)), key=lambda job: -job.cost)
    first = evaluations[0]
    context = multiprocessing.get_context("spawn")
    numbers = context.Queue()
    for number in range(processes):
        numbers.put(number)
    with ProcessPoolExecutor(processes, context, initializer=_start, initargs=(gpus, first, settings, numbers)) as pool:
        futures = [pool.submit(_do, job.options) for job in jobs]
        for future in futures:
            future.add_done_callback(_say)
        done, left = wait(futures, timeout=seconds, return_when=FIRST_EXCEPTION)
        failed = next((future.exception() for future in done if future.exception()), None)
        if left:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list((pool._processes or {}).values()):  # records are kept line by line
                process.kill()
    added = merge(sorted((first.work / "parts").glob("*/work/records")), first.records)
    if failed is not None:
        raise EvaluationError(f"a process failed: {failed}") from failed
    return added


def main(arguments: Sequence[str] | None = None) -> None:
    """Spreads one or both sets; the number of new records as a JSON object to stdout."""
    parser = argparse.ArgumentParser(
        prog="python -m codemem.evals.answers.spread",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("sets", nargs="+", choices=("facts", "hops"))
    add("--split", choices=("dev", "held-out", "recent"), default="dev")
    add("--system", action="append", choices=SYSTEMS)
    add("--package", action="append", default=[])
    add("--repositories", type=Path, default=Path(".work/repositories"))
    add("--out", type=Path, default=Path("reports"))
    add("--model")
    add("--adapter", type=Path)
    add("--device")
    add("--processes", type=int, default=2)
    add("--gpus", nargs="*", default=[], help="their numbers")
    add("--seconds", type=float, default=3600.0, help="stop after so long, and keep what was answered")
    options = parser.parse_args(arguments)
    evaluations = [
        Options(
            name,
            options.repositories,
            options.out,
            split=options.split,
            systems=tuple(options.system or SYSTEMS),
            packages=tuple(options.package),
            model=options.model,
            adapter=options.adapter,
            device=options.device,
        )
        for name in options.sets
    ]
    try:
        added = spread(
            evaluations, Settings.load(), processes=options.processes, gpus=options.gpus, seconds=options.seconds
        )
    except EvaluationError as error:
        sys.exit(str(error))
    print(json.dumps({"records": added}))


if __name__ == "__main__":
    main()
