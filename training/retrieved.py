"""What BM25 over chunks ranks first for each question that is to be answered: what a reader of retrieved text is shown.

    python -m codemem.training.retrieved --data FOLDER [--processes N]

Ranks the chunks of a question's whole package as `codemem eval facts --system bm25-chunks` does (evals/baselines.py),
once and before training, and writes `retrieved.jsonl.zst` beside the data. Questions that cannot be answered are left
out: a reader learns to refuse from those whose answer it is not shown (training/readings.py).
"""

import argparse
import json
import multiprocessing
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from codemem.evals.bm25 import BM25, ranking
from codemem.model.answer import CANDIDATES
from codemem.training.corpus import Documents, read_answers
from codemem.training.data.read import Writer, rows
from codemem.training.files import Files

RETRIEVED = "retrieved.jsonl.zst"

Chunk = tuple[int, int]
"""A document of the file, and the number of a piece of that file."""
Ranked = dict[int, list[Chunk]]
"""Index of an answer record -> the pieces that rank first, best first."""


def read_retrieved(folder: Path, answers: Sequence[dict[str, Any]]) -> Ranked:
    """What `main` wrote beside these records. Raises `ValueError` where there is nothing, or it is of others."""
    path = folder / RETRIEVED
    if not path.exists():
        raise ValueError(f"no {path}: a reader needs `python -m codemem.training.retrieved --data {folder}` first")
    found: Ranked = {}
    for row in rows(path):
        index = row["record"]
        if index >= len(answers) or _check(answers[index]["question"]) != row["check"]:
            raise ValueError(f"{path} is of other answer records: make it again")
        found[index] = [(document, number) for document, number in row["chunks"]]
    return found


def rank_package(files: Files, paths: Sequence[tuple[str, int]], records: Mapping[int, dict[str, Any]]) -> Ranked:
    """The pieces of a package that rank first for each of its records by BM25, whether or not they hold the answer.

    `paths`: the package's files with a document of each. Records whose evidence was cut in two are left out.
    """
    pieces = [(document, number) for _, document in paths for number in range(files.of(document).chunks)]
    index = BM25(f"{files.of(d).path}\n{files.of(d).chunk(n)}" for d, n in pieces)
    found: Ranked = {}
    for number, record in records.items():
        last = record["gold"][-1]
        if files.of(last).holding(last, record.get("evidence", "")):
            order = ranking(index.scores(record["question"]), floor=0.0)[:CANDIDATES]
            found[number] = [pieces[i] for i in order]
    return found


Job = tuple[list[tuple[str, int]], dict[int, dict[str, Any]]]
_shared: Files | None = None
"""What forked processes find without a copy."""


def rank_all(documents: Documents, answers: Sequence[dict[str, Any]], processes: int) -> Iterator[Ranked]:
    """Package by package, in the order of their numbers."""
    global _shared  # noqa: PLW0603 (see there)
    by_package: dict[int, dict[int, dict[str, Any]]] = defaultdict(dict)
    for index, record in enumerate(answers):
        if record["gold"]:
            by_package[int(documents.packages[record["gold"][-1]])][index] = record
    _shared = Files(documents)
    names = _shared.names()
    jobs: list[Job] = [(names[package], records) for package, records in sorted(by_package.items())]
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        yield from pool.imap(_rank_job, jobs)


def _rank_job(job: Job) -> Ranked:
    assert _shared is not None
    return rank_package(_shared, *job)


def _check(question: str) -> int:
    return zlib.crc32(question.encode("utf-8", "replace"))


def main(arguments: list[str] | None = None) -> None:
    """Ranks for every answerable record; counts as a JSON object to stdout."""
    parser = argparse.ArgumentParser(
        prog="python -m codemem.training.retrieved",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args(arguments)
    documents, answers = Documents.load(options.data), read_answers(options.data)
    written = 0
    with Writer(options.data / RETRIEVED) as writer:
        for found in rank_all(documents, answers, options.processes):
            for record, chunks in sorted(found.items()):
                writer.write({"record": record, "check": _check(answers[record]["question"]), "chunks": chunks})
                written += 1
    answerable = sum(bool(record["gold"]) for record in answers)
    print(json.dumps({"answerable": answerable, "ranked": written}))


if __name__ == "__main__":
    main()
