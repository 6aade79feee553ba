"""Make training data from packages: `python -m codemem.training.data --out DIR --never-train-on FILE`.

Downloads, reads, questions and answers are kept below DIR package by package, so that a run that was cut off goes on
where it stopped. The result are the files named in `codemem.training.data.read`.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from .answer_shards import ANSWERS_FORMAT, answer_shard
from .build import Corpus, gather, keep_share, write
from .download import ECOSYSTEMS, PackageName, download, listed, pinned
from .exclusion import is_excluded, listed_projects
from .extract import ShardHead, extract, read_head
from .never import gather_never


def main(arguments: list[str] | None = None) -> None:
    """Run every stage; progress goes to stderr, counts as one JSON object to stdout."""
    options = _options(arguments)
    out: Path = options.out
    projects = listed_projects(options.never_train_on)
    packages = {ecosystem: _wanted(ecosystem, projects, options.limit) for ecosystem in ECOSYSTEMS}
    pins = {} if options.newest else pinned()
    never_names = (
        [name for ecosystem in ECOSYSTEMS for name in listed(ecosystem, never=True)] if not options.limit else []
    )
    if not options.offline:
        for failure in download(never_names, out / "never" / "raw", pins={}):
            _say(f"not recognisable: {failure}")
        for names in packages.values():
            for failure in download(names, out / "raw", pins=pins):
                _say(f"left out: {failure}")
    never = gather_never(
        out / "never" / "raw", never_names, options.never_documents, out / "never" / "fingerprints.npz"
    )
    heads = _extract(out, [name for names in packages.values() for name in names])
    corpus = gather([_shard(out, PackageName(*head.id.split(":", 1))) for head in heads], never)
    by_hash = sorted(packages["pypi"], key=lambda name: hashlib.sha256(name.id.encode()).digest())
    _answers(out, corpus, by_hash[: options.answer_packages])
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
    add("--answer-packages", type=int, default=120, help="Python packages that answer records are made from")
    add("--pairs", type=int, help="keep about this many training pairs and the documents they need")
    add("--seed", type=int, default=0, help="seed of the order in the result")
    add("--newest", action="store_true", help="ignore the manifest's versions")
    add("--offline", action="store_true", help="use only what was downloaded before")
    return parser.parse_args(arguments)


def _wanted(ecosystem: str, projects: frozenset[str], limit: int | None) -> list[PackageName]:
    return [name for name in listed(ecosystem) if not is_excluded(name.name, projects)][:limit]


def _shard(out: Path, name: PackageName) -> Path:
    return out / "shards" / name.ecosystem / (name.name.replace("/", "__") + ".jsonl.zst")


def _extract(out: Path, names: list[PackageName]) -> list[ShardHead]:
    heads: list[ShardHead] = []

    def one(name: PackageName) -> None:
        shard = _shard(out, name)
        if shard.exists():
            heads.append(read_head(shard))
        elif (name.folder(out / "raw") / ".complete").exists():
            heads.append(extract(name, out / "raw", shard))

    _each("read", names, one)
    return heads


def _answers(out: Path, corpus: Corpus, names: list[PackageName]) -> None:
    def one(name: PackageName) -> None:
        if (name.folder(out / "raw") / ".complete").exists():
            shard = out / "answers" / f"{name.name}.{ANSWERS_FORMAT}.json.zst"
            corpus.add_answers(name.id, answer_shard(name, out / "raw", shard), "python")

    _each("answered", names, one)


def _each(what: str, names: list[PackageName], action: Callable[[PackageName], None]) -> None:
    for number, name in enumerate(names, start=1):
        action(name)
        if number % 25 == 0 or number == len(names):
            _say(f"{what} {number} of {len(names)} packages")


def _manifest(heads: list[ShardHead]) -> str:
    kept = (asdict(head) for head in sorted(heads, key=lambda head: head.id) if head.kept)
    rows = (json.dumps({name: row[name] for name in row if name != "kept"}, separators=(",", ":")) for row in kept)
    return "[\n" + ",\n".join(rows) + "\n]\n"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
