"""One evaluation in many processes, each with its own share of the questions, over the GPUs of a machine or its cores.

    python -m codemem.evals.answers.spread facts hops --split held-out --processes 12 --gpus 0 1 2 --out FOLDER [...]

A job is one system and one package; where the repository grows (`--tokens`), one world of it with all sets and sizes,
because what is encoded once serves them all. Long ones first. What each process recorded is put together in
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
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess
from multiprocessing.queues import Queue
from pathlib import Path
from queue import Empty

from codemem.config import Settings
from codemem.evals.answers.engines import Engines, Models, refuse_lacking
from codemem.evals.answers.evaluate import Options, collect, kept_in
from codemem.evals.answers.growth import Growth, grown_questions, read_growth
from codemem.evals.answers.names import SYSTEMS, offered, reader_of, refuse_unknown
from codemem.evals.answers.packages import SPLITS
from codemem.evals.answers.questions import SET_NAMES, TONGUES, Question, read_questions, set_path
from codemem.evals.answers.run import Asking
from codemem.evals.errors import EvaluationError

PRODUCT_COST, LARGER_COST = 2, 3
"""How many questions of a reader one of the product takes, with its rounds, and one of a larger model: for the order of
jobs alone."""


@dataclass(frozen=True, slots=True)
class Job:
    """What one process asks at a stretch: a system's questions about a package, or a grown world's of every set."""

    evaluations: tuple[Options, ...]
    cost: int


def jobs_of(evaluations: Sequence[Options]) -> list[Job]:
    """The jobs of some evaluations, the longest first, so that the last to end are short."""
    for options in evaluations:
        refuse_unknown(options.systems)
        refuse_lacking(options.systems, options.models)
    jobs = _worlds(evaluations) if evaluations[0].sizes else [job for one in evaluations for job in _packages(one)]
    return sorted(jobs, key=lambda job: -job.cost)


def _worlds(evaluations: Sequence[Options]) -> list[Job]:
    jobs = []
    for number, world in enumerate(read_growth(evaluations[0].split)):
        count = {options: len(_wanted(options, world)) for options in evaluations}
        asking = tuple(replace(options, worlds=(number,)) for options in evaluations if count[options])
        if asking:  # an evaluation refuses a world that it asks nothing of
            jobs.append(Job(asking, sum(count.values())))
    return jobs


def _wanted(options: Options, world: Growth) -> list[Question]:
    asked = grown_questions(options.name, options.split, world)
    return [question for question in asked if not options.packages or question.package in options.packages]


def _packages(options: Options) -> list[Job]:
    asked = read_questions(set_path(options.name, options.split))
    count = Counter(q.package for q in asked if not options.packages or q.package in options.packages)
    return [
        Job((replace(options, packages=(package,), systems=(system,)),), n * _cost(system))
        for package, n in count.items()
        for system in options.systems
    ]


def _cost(system: str) -> int:
    reader = reader_of(system)
    return PRODUCT_COST if reader is None else LARGER_COST if reader.larger else 1


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


EMPTY_SECONDS = 1.0
"""A queue that was filled before the process began may still be on its way."""
FAILED = "failed: "


@dataclass(frozen=True, slots=True)
class _Work:
    """What all processes are told."""

    evaluations: tuple[Options, ...]
    settings: Settings
    processes: int
    gpus: tuple[str, ...]


def _answer(own: int, work: "_Work", jobs: "Queue[tuple[Options, ...]]", said: "Queue[str]") -> None:
    """What process `own` does: one job after the other, until none is left."""
    first = work.evaluations[0]
    place = first.work / "parts" / str(own)
    try:
        if work.gpus:
            os.environ["CUDA_VISIBLE_DEVICES"] = work.gpus[own % len(work.gpus)]
        if hasattr(os, "sched_setaffinity"):  # or every process would parse and multiply with all cores
            cores = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(0, cores[own :: work.processes] or cores[own % len(cores) :][:1])
        settings = kept_in(replace(first, out=place), work.settings)
        engines = Engines(settings, first.models)
        parent = multiprocessing.parent_process()
        while parent is None or parent.is_alive():  # who was killed can no longer stop what was started
            for options in (replace(one, out=place) for one in jobs.get(timeout=EMPTY_SECONDS)):
                began = time.perf_counter()
                runs, _ = collect(options, engines, settings)
                took = time.perf_counter() - began
                answered = f"{sum(map(len, runs.values()))} questions, {took:.0f} s"
                about = f"world {options.worlds[0]}" if options.worlds else options.packages[0]
                said.put(f"{options.name} {options.systems[0]} {about}: {answered}")
    except Empty:
        pass
    except Exception as error:  # said by the process that waits, which has no other way to know
        said.put(f"{FAILED}process {own}: {type(error).__name__}: {error}")
        raise


def spread(
    evaluations: Sequence[Options], settings: Settings, *, processes: int, gpus: Sequence[str], seconds: float
) -> int:
    """Answers in `processes` processes until all is done or `seconds` have passed; how many records there are more.

    `evaluations` share their model and folder. `gpus`: devices by number, dealt to the processes in turn; none leaves
    the choice to the options. Raises EvaluationError of the first process that failed, with what was answered kept.
    """
    work = _Work(tuple(evaluations), settings, processes, tuple(gpus))
    context = multiprocessing.get_context("spawn")
    jobs: Queue[tuple[Options, ...]] = context.Queue()
    said: Queue[str] = context.Queue()
    for job in jobs_of(evaluations):
        jobs.put(job.evaluations)
    workers = [context.Process(target=_answer, args=(n, work, jobs, said), daemon=False) for n in range(processes)]
    for worker in workers:
        worker.start()
    failed = _listen(workers, said, time.monotonic() + seconds)
    for worker in workers:
        worker.kill()  # records are kept line by line
        worker.join()
    jobs.cancel_join_thread()  # nobody takes what is left
    added = merge(sorted((work.evaluations[0].work / "parts").glob("*/work/records")), work.evaluations[0].records)
    if failed:
        raise EvaluationError(failed)
    return added


def _listen(workers: Sequence["BaseProcess"], said: "Queue[str]", until: float) -> str | None:
    """Prints what processes say until all have ended or it is late; the first failure, the others having gone on."""
    failed = None
    while time.monotonic() < until:
        alive = any(worker.is_alive() for worker in workers)
        with suppress(Empty):
            while True:
                line = said.get(timeout=0.2)
                failed = failed or (line if line.startswith(FAILED) else None)
                print(line, flush=True)
        if not alive:
            break
    return failed


def main(arguments: Sequence[str] | None = None) -> None:
    """Spreads one or both sets; the number of new records as a JSON object to stdout."""
    parser = argparse.ArgumentParser(
        prog="python -m codemem.evals.answers.spread",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("sets", nargs="+", choices=SET_NAMES)
    add("--split", choices=SPLITS, default="dev")
    add("--system", action="append", choices=SYSTEMS)
    add("--package", action="append", default=[])
    add("--tokens", type=int, action="append", default=[], help="grow the repository to so many; repeat for a curve")
    add("--tongue", choices=TONGUES, default="en", help="language of the questions")
    add("--repositories", type=Path, default=Path(".work/repositories"))
    add("--out", type=Path, default=Path("reports"))
    add("--model")
    add("--adapter", type=Path)
    add("--reader", type=Path, help="an adapter that was trained to read retrieved text: the systems -tuned")
    add("--rival-model", help="a larger model for the rivals: the systems -larger")
    add("--rival-reader", type=Path, help="an adapter of that one, trained to read likewise: -larger-tuned")
    add("--device")
    add("--processes", type=int, default=2)
    add("--gpus", nargs="*", default=[], help="their numbers")
    add("--seconds", type=float, default=3600.0, help="stop after so long, and keep what was answered")
    options = parser.parse_args(arguments)
    models = Models(
        options.model,
        options.adapter,
        reader=options.reader,
        rival_model=options.rival_model,
        rival_reader=options.rival_reader,
        device=options.device,
    )
    given = offered(reader=bool(models.reader), rival=bool(models.rival_model), rival_reader=bool(models.rival_reader))
    evaluations = [
        Options(
            name,
            options.repositories,
            options.out,
            split=options.split,
            systems=tuple(options.system or given),
            packages=tuple(options.package),
            sizes=tuple(options.tokens),
            asking=Asking(options.tongue),
            models=models,
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
