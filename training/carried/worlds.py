"""Repositories as documents and the questions about them, small enough to carry.

    python -m codemem.training.carried.worlds --sets EVALS --checkouts DIR [--clones DIR] --repositories DIR --out OUT

Sets: semble and SWE-QA of the evaluations' folder, facts and hops (dev) of the answers' evaluation. `OUT/carry` goes to
the machine that scores; `OUT/here` is what only judging needs: how the outline ranks the same files.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from codemem.training.data.read import Writer, rows

WORLDS = "worlds.json"


@dataclass(frozen=True, slots=True)
class WorldDocument:
    """A document as the product reads it, and where it stands."""

    header: str
    text: str
    path: str
    start_line: int
    end_line: int


@dataclass(frozen=True, slots=True)
class World:
    """One repository and what is asked about it."""

    name: str
    kind: str
    """'semble', 'swe-qa', 'facts' or 'hops'."""
    questions: tuple[tuple[str, str], ...]
    """(identifier, text)."""
    documents: str
    """Name of the file of its documents: sets may share one."""


def write_world(folder: Path, world: World, documents: Sequence[WorldDocument] | None) -> None:
    """Adds a world; its documents unless another world's file is shared (None)."""
    folder.mkdir(parents=True, exist_ok=True)
    if documents is not None:
        with Writer(folder / world.documents, to_carry=True) as writer:
            for document in documents:
                writer.write(asdict(document))
    listed = json.loads((folder / WORLDS).read_text(encoding="utf-8")) if (folder / WORLDS).exists() else []
    listed = [row for row in listed if (row["name"], row["kind"]) != (world.name, world.kind)] + [asdict(world)]
    (folder / WORLDS).write_text(json.dumps(listed, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")


def read_worlds(folder: Path) -> list[World]:
    """The worlds of a folder, in the order in which they were added."""
    listed: list[dict[str, Any]] = json.loads((folder / WORLDS).read_text(encoding="utf-8"))
    return [World(**{**row, "questions": tuple((i, text) for i, text in row["questions"])}) for row in listed]


def read_documents(folder: Path, world: World) -> list[WorldDocument]:
    """The documents of a world."""
    return [WorldDocument(**row) for row in rows(folder / world.documents)]


def part_of(worlds: Sequence[World], folder: Path, part: int, parts: int) -> list[World]:
    """A share of the worlds: by the size of their documents, largest first, each to the share that has least."""
    shares: list[list[World]] = [[] for _ in range(parts)]
    weights = [0] * parts
    for world in sorted(worlds, key=lambda w: (-(folder / w.documents).stat().st_size, w.kind, w.name)):
        least = weights.index(min(weights))
        shares[least].append(world)
        weights[least] += (folder / world.documents).stat().st_size
    return shares[part]


def documents_of(root: Path, prefix: str = "", most_bytes: int | None = None) -> list[WorldDocument]:
    """A folder's files as documents, paths below `prefix` of the repository; `most_bytes` a document instead of the
    product's. Raises the indexer's errors."""
    from codemem.indexer import DEFAULT_SELECTION, SourceFile, index_tree, open_tree

    selection = replace(DEFAULT_SELECTION, max_document_bytes=most_bytes or DEFAULT_SELECTION.max_document_bytes)
    with open_tree(root) as tree:
        files = [file for file in index_tree(tree, selection=selection) if isinstance(file, SourceFile)]
    found = [document for file in files for document in file.documents]
    if prefix:
        found = [replace(document, path=f"{prefix}/{document.path}") for document in found]
    return [WorldDocument(d.header, d.text, d.path, d.start_line, d.end_line) for d in found]


def _retrieval(options: argparse.Namespace, say: Callable[[str], None]) -> Iterator[tuple[World, list[WorldDocument]]]:
    from codemem.evals.cases import read_all
    from codemem.evals.checkouts import Checkouts
    from codemem.evals.systems import OutlineRetriever

    checkouts = Checkouts(options.checkouts, options.clones)
    outline = OutlineRetriever()
    for kind, read in read_all(options.sets).items():
        if kind not in ("semble", "swe-qa"):
            continue
        cases = read()
        for repository in cases.repositories:
            checkout = checkouts.find(repository)
            name = repository.name.replace("/", "+")
            asked = [case for case in cases.cases if case.repository == repository]
            outline.prepare(checkout)
            ranked = {c.identifier: _sides(outline, c.query) for c in asked}
            (options.out / "here").mkdir(parents=True, exist_ok=True)
            (options.out / "here" / f"{kind}-{name}.json").write_text(json.dumps(ranked), encoding="utf-8")
            questions = tuple((case.identifier, case.query) for case in asked)
            say(f"{kind} {name}: {len(questions)} questions")
            yield (
                World(name, kind, questions, f"{kind}-{name}.jsonl.zst"),
                documents_of(checkout.searched, repository.folder, options.document_bytes),
            )


def _sides(outline: Any, query: str) -> list[Any]:
    """What definitions and what words say of files, as `mix_files` takes them, and how much of the question is told."""
    named, words = outline.sides(query)
    best = {path: hit.score for path, hit in named.items()}
    sides = [{path: round(float(score), 5) for path, score in side.items()} for side in (best, words)]
    return [*sides, round(outline.told(query), 5)]


def _answers(options: argparse.Namespace, say: Callable[[str], None]) -> Iterator[tuple[World, list[WorldDocument]]]:
    from codemem.evals.answers.packages import read_pins, unpacked
    from codemem.evals.answers.questions import SetName, read_questions, set_path

    pins = read_pins()
    kinds: tuple[SetName, ...] = ("facts", "hops")
    for kind in kinds:
        questions = read_questions(set_path(kind, "dev"))
        for package in dict.fromkeys(question.package for question in questions):
            asked = tuple((q.identifier, q.text()) for q in questions if q.package == package)
            name = pins[package].folder
            say(f"{kind} {name}: {len(asked)} questions")
            root = unpacked(pins[package], options.repositories)
            yield (
                World(name, kind, asked, f"package-{name}.jsonl.zst"),
                documents_of(root, most_bytes=options.document_bytes),
            )


def main(arguments: Sequence[str] | None = None) -> None:
    """Prepares every world; what is done goes to stderr."""
    parser = argparse.ArgumentParser(
        prog="python -m codemem.training.carried.worlds",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for name in ("--sets", "--checkouts", "--clones", "--repositories", "--out"):
        parser.add_argument(name, type=Path, required=name != "--clones")
    parser.add_argument("--document-bytes", type=int, help="largest document, instead of the product's")
    options = parser.parse_args(arguments)

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    for make in (_retrieval, _answers):
        for world, documents in make(options, say):
            write_world(options.out / "carry", world, documents)


if __name__ == "__main__":
    main()
