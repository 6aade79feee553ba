"""Make training data from packages: `python -m codemem.training.data --out DIR --never-train-on FILE`.

Downloads, reads, questions and answers are kept below DIR package by package, so that a run that was cut off goes on
where it stopped. The result are the files named in `codemem.training.data.read`.
"""

import argparse
import hashlib
import json
import os
import sys
import time
from concurrent.futures import Future
from dataclasses import asdict
from pathlib import Path

from .answer_shards import answer_shard
from .build import gather, keep_share, write
from .choosing import chosen
from .download import CORPORA, ECOSYSTEMS, PackageName, Pin, download, fetch, listed, manifest_of, pinned
from .exclusion import is_excluded, listed_projects
from .extract import ShardHead
from .never import gather_never
from .stages import Workers, answers_path, read_package, results, shard_path


def main(arguments: list[str] | None = None) -> None:
    """Run every stage; progress goes to stderr, counts as one JSON object to stdout."""
    options = _options(arguments)
    out: Path = options.out
    projects = listed_projects(options.never_train_on)
    manifest = manifest_of(options.corpus)
    packages = {ecosystem: _wanted(ecosystem, projects, options) for ecosystem in ECOSYSTEMS}
    if options.packages:
        some = set(chosen([name for names in packages.values() for name in names], options.packages, manifest))
        packages = {ecosystem: [name for name in names if name in some] for ecosystem, names in packages.items()}
    pins = {} if options.newest else pinned(manifest)
    never_names = [name for ecosystem in ECOSYSTEMS for name in listed(ecosystem, "never")] if not options.limit else []
    by_hash = sorted(packages["pypi"], key=lambda name: hashlib.sha256(name.id.encode()).digest())
    answering = by_hash[: options.answer_packages]
    with Workers(options.processes) as workers:
        every = [name for names in packages.values() for name in names]
        heads = _read(out, every, answering, pins=pins, offline=options.offline, workers=workers)
        if not options.offline:
            for failure in download(never_names, out / "never" / "raw", pins={}):
                _say(f"not recognisable: {failure}")
        kept = out / "never" / "fingerprints.npz"
        never = gather_never(out / "never" / "raw", never_names, options.never_documents, kept, workers=workers)
    _say(f"{len(never.exact):,} definitions of evaluations are recognised")
    corpus = gather([shard_path(out, PackageName(*head.id.split(":", 1))) for head in heads], never, out / "raw")
    for name in answering:
        if answers_path(out, name).exists():
            corpus.add_answers(name.id, answer_shard(name, out / "raw", answers_path(out, name)), "python")
    _say(f"{len(corpus.pairs):,} questions and {len(corpus.answers):,} answers are gathered")
    if options.pairs is not None:
        keep_share(corpus, options.pairs)
    counts = write(corpus, out, options.seed)
    (out / "manifest.json").write_text(_manifest(heads), encoding="utf-8")
    print(json.dumps({"documents": len(corpus.documents), "dropped": corpus.dropped, "counts": counts}))


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m codemem.training.data", description="Make training data from packages."
    )
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder for downloads, intermediate shards and the result")
    add("--never-train-on", type=Path, required=True, help="file of `owner/name` and `package:name` lines to leave out")
    add(
        "--never-documents",
        type=Path,
        action="append",
        default=[],
        help="JSON lines whose `text` must not be resembled",
    )
    add("--limit", type=int, help="at most this many packages of each ecosystem")
    add("--packages", type=int, help="about this many packages of all languages, for less time")
    add("--corpus", choices=CORPORA, default="first", help="whose lists and manifest; no package is in two of them")
    add("--answer-packages", type=int, default=120, help="Python packages that answer records are made from")
    add("--pairs", type=int, help="keep about this many training pairs and the documents they need")
    add("--seed", type=int, default=0, help="seed of the order in the result")
    add("--newest", action="store_true", help="ignore the manifest's versions")
    add("--processes", type=int, default=os.cpu_count() or 1, help="that read packages")
    add("--offline", action="store_true", help="use only what was downloaded before")
    return parser.parse_args(arguments)


def _wanted(ecosystem: str, projects: frozenset[str], options: argparse.Namespace) -> list[PackageName]:
    names = listed(ecosystem, options.corpus)
    return [name for name in names if not is_excluded(name.name, projects)][: options.limit]


def _read(
    out: Path,
    names: list[PackageName],
    answering: list[PackageName],
    *,
    pins: dict[str, Pin],
    offline: bool,
    workers: Workers,
) -> list[ShardHead]:
    """Fetches packages and reads each as soon as it is there; heads in the order of the names."""
    chosen = set(answering)
    futures: dict[PackageName, Future[ShardHead | None]] = {}
    fetched = ((name, None) for name in names) if offline else fetch(names, out / "raw", pins=pins)
    for name, failure in fetched:
        if failure:
            _say(f"left out: {failure}")
        futures[name] = workers.submit(read_package, out, name, answers=name in chosen)
    _say(f"fetched what could be had of {len(names)} packages")
    return results((futures[name] for name in names), _say, "read")


def _manifest(heads: list[ShardHead]) -> str:
    kept = (asdict(head) for head in sorted(heads, key=lambda head: head.id) if head.kept)
    rows = (json.dumps({name: row[name] for name in row if name != "kept"}, separators=(",", ":")) for row in kept)
    return "[\n" + ",\n".join(rows) + "\n]\n"


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
