"""Plain prose questions asked of the product with one adapter, beside what a right answer would hold.

    python3 -m codemem.training.lease.plain_questions --model GGUF --adapter FILE --device cuda --repositories DIR \\
        --part K --parts N --work DIR --out FILE.jsonl
    python3 -m codemem.training.lease.plain_questions --report NAME=GLOB NAME=GLOB      # adapters side by side

`--own` is codemem's own tree, which part of the questions is about; by default the folder that this is run in. `--work`
(one an adapter, outside of any git repository) holds copies of the trees and the memories; processes of one adapter
share it. Questions (plain_questions.toml) are of three kinds: `test` (what tests/weights/test_real_engine.py asks;
`engine` exactly as it does, in part 0), `own` (codemem's tree), `pkg` (dev packages of `--repositories`).
"""

import argparse
import json
import os
import re
import shutil
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from codemem.evals.answers.engines import open_engine
from codemem.evals.answers.questions import Question
from codemem.evals.answers.reading import Limits
from codemem.evals.answers.systems import ProductSystem
from codemem.model.engine import Engine
from codemem.model.events import Answer, Source
from codemem.model.store import Store
from codemem.training.lease.work import Row, add_options, log, model_name, read_runs, settings_of

DATA = Path(__file__).with_suffix(".toml")
KINDS = ("test", "own", "pkg", "key")
FOLDERS = (
    "codemem",
    "indexer",
    "kernels",
    "model",
    "lsp",
    "docs",
    "evals",
    "training",
    "benchmarks",
    "editors",
    "tests",
)
LEFT_OUT = {"results", "sets", "__pycache__", "adapters", "node_modules", "golden"}
SUFFIXES = {".py", ".md", ".toml", ".ts", ".js", ".lua", ".scm", ".yml", ".yaml", ".txt", ".css", ".html", ".cu", ".sh"}
MOST_BYTES = 400_000
"""Of a file of the own tree."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, and what would answer it."""

    identifier: str
    tree: str
    """A package's name, `codemem` or `test`."""
    text: str
    files: tuple[str, ...]
    """Any of these answers it."""
    wanted: tuple[str, ...]
    """A right answer holds at least one of these (letters' case aside)."""

    @property
    def kind(self) -> str:
        return self.identifier.partition("-")[0]


def read_data(path: Path = DATA) -> tuple[list[tuple[str, str]], list[Asked]]:
    """The documents (header, text) of the tree `test`, and all questions."""
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    documents = [(f"{row['path']}\n", row["text"]) for row in data["documents"]]
    asked = [Asked(r["id"], r["tree"], r["text"], tuple(r["files"]), tuple(r["wanted"])) for r in data["questions"]]
    return documents, asked


def make_tree(name: str, place: Path, *, repositories: Path, own: Path) -> Path:
    """The tree of a name below `place`, made once whichever process comes first."""
    root = place / name
    place.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{root}.made.lock"):
        if root.is_dir():
            return root
        part = place / f"{name}.part"
        shutil.rmtree(part, ignore_errors=True)
        if name == "test":
            for header, text in read_data()[0]:
                file = part / header.strip()
                file.parent.mkdir(parents=True)
                file.write_text(text, encoding="utf-8")
        elif name == "codemem":
            _copy_own(own, part)
        else:
            shutil.copytree(repositories / name, part, ignore=shutil.ignore_patterns(".codemem"))
        part.rename(root)
    return root


def _copy_own(own: Path, part: Path) -> None:
    """Sources and documentation, without what holds the answers to questions."""
    files = [path for path in own.iterdir() if path.is_file()]
    for folder in FOLDERS:
        for where, names, found in os.walk(own / folder):
            names[:] = [name for name in names if name not in LEFT_OUT and not (Path(where) / name).is_symlink()]
            files += [Path(where) / name for name in found]
    for path in files:
        wanted = path.suffix in SUFFIXES and path.name != DATA.name and not path.is_symlink()
        if wanted and path.stat().st_size < MOST_BYTES:
            target = part / path.relative_to(own)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def as_in_the_test(engine: Engine, work: Path) -> Row:
    """What tests/weights/test_real_engine.py does: one question answered, four ranked."""
    documents, asked = read_data()
    retry, *ranked = (question.text for question in asked if question.kind == "test")
    entries = list(engine.encode(engine.tokenise(documents), engine.layout))
    with tempfile.TemporaryDirectory(dir=work) as place, Store.open(Path(place) / "store", engine.layout) as store:
        store.append(entries)
        bank = engine.bank(store.load([entry.key for entry in entries]), engine.layout)
        best = [int(engine.rank(question, bank).scores.argmax()) for question in ranked]
        last = list(engine.answer(retry, bank, lambda i: Source(i, *documents[i]), max_tokens=40))[-1]
    assert isinstance(last, Answer), "an engine ends with an answer"
    cited = [documents[c.document][0].strip() for c in last.cited]
    right, cited_right = "7" in last.text, cited[:1] == ["net/retry.py"]
    ranked_first = sum(found == wanted for wanted, found in enumerate(best))
    return {
        "id": "engine-0",
        "tree": "engine",
        "question": retry,
        "files": ["net/retry.py"],
        "wanted": ["7"],
        "answer": last.text,
        "citations": cited,
        "found": last.found,
        "right": right,
        "cited_right": cited_right,
        "ranked_first": ranked_first,
        "test_passes": ranked_first >= 3 and right and cited_right,
        "seconds": 0.0,
    }


def holds(answer: str, wanted: Sequence[str]) -> bool:
    """Whether an answer has any of the texts, beginning as a word and not going on with a digit."""
    text = answer.lower()
    return any(re.search(rf"(?<!\w){re.escape(each.lower())}(?!\d)", text) for each in wanted)


def ask_all(engine: Engine, asked: Sequence[Asked], options: argparse.Namespace, work: Path) -> Iterator[Row]:
    """The product's answer to each question, one tree after the other."""
    limits = Limits(answer_tokens=options.tokens)
    system = ProductSystem("memory", engine, settings_of(work, options.threads), limits)
    at = None
    for question in asked:
        if question.tree != at:
            system.prepare(make_tree(question.tree, work / "trees", repositories=options.repositories, own=options.own))
            at = question.tree
            log(f"{at} ready")
        yield _answered(system, question)
    system.close()


def _answered(system: ProductSystem, asked: Asked) -> Row:
    given = system.answer(Question(asked.identifier, asked.tree, "", "open", {"en": [asked.text]}), asked.text)
    return {
        "id": asked.identifier,
        "tree": asked.tree,
        "question": asked.text,
        "files": list(asked.files),
        "wanted": list(asked.wanted),
        "answer": given.answer,
        "citations": [f"{c.path}:{c.start_line}-{c.end_line}" for c in given.citations],
        "found": given.found,
        "right": holds(given.answer, asked.wanted),
        "cited_right": any(c.path.endswith(asked.files) for c in given.citations[:3]),
        "read_right": any(piece.span.path.endswith(asked.files) for piece in given.read),
        "rounds": given.rounds,
        "tokens": given.tokens,
        "seconds": round(given.seconds, 2),
    }


def run(options: argparse.Namespace) -> None:
    """Asks this process's questions; each row is written and shown as it comes."""
    _, asked = read_data()
    asked = [question for question in asked if not options.only or question.identifier in options.only]
    asked = asked[options.part :: options.parts]
    asked.sort(key=lambda q: (q.tree == "codemem", q.tree))  # the largest last: another process may be encoding it
    work = options.work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    settings = settings_of(work, options.threads)
    engine = open_engine(settings, model=model_name(options.model), adapter=options.adapter, device=options.device)
    log("engine is open")
    out = options.out or work / f"plain-{options.part}.jsonl"
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("w", encoding="utf-8") as file:

        def say(row: Row) -> None:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            file.flush()
            _show(row)

        if options.part == 0:
            say(as_in_the_test(engine, work))
        for row in ask_all(engine, asked, options, work):
            say(row)


def _marks(row: Row) -> str:
    return "".join(c if row.get(key) else "-" for c, key in (("F", "found"), ("R", "right"), ("C", "cited_right")))


def _show(row: Row) -> None:
    print(f"{row['id']} {_marks(row)} {row['question']}\n    {' '.join(row['answer'].split())[:600]}")
    print(f"    [{', '.join(row['citations'][:3])}] wanted: {' | '.join(row['wanted'])}", flush=True)


def report(names: Sequence[str]) -> None:
    """Counts of each adapter, and their answers one below the other."""
    runs = {name: {row["id"]: row for row in rows} for name, rows in read_runs(names).items()}
    for kind in ("engine", *KINDS, ""):
        for name, by_id in runs.items():
            of = [row for identifier, row in by_id.items() if identifier.startswith(kind)]
            counts = {key: sum(bool(r.get(key)) for r in of) for key in ("found", "right", "read_right", "cited_right")}
            passes = f"test passes: {of[0].get('test_passes')}" if kind == "engine" and of else ""
            print(f"{kind or 'all':7} {name:20} {len(of)} asked", counts, passes)
    for identifier in sorted({identifier for by_id in runs.values() for identifier in by_id}):
        rows = [(name, by_id[identifier]) for name, by_id in runs.items() if identifier in by_id]
        print(f"\n{identifier} {rows[0][1]['question']}   wanted: {' | '.join(rows[0][1]['wanted'])}")
        for name, row in rows:
            cited = ", ".join(row["citations"][:2])
            print(f"  {name} {_marks(row)} {' '.join(row['answer'].split())[:500]} [{cited}]")


def main(arguments: Sequence[str] | None = None) -> None:
    """Asks or reports."""
    parser = argparse.ArgumentParser(
        prog="python -m codemem.training.lease.plain_questions",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add_options(parser, threads=4)
    add("--repositories", type=Path, default=Path(".work/repositories"))
    add("--own", type=Path, default=Path(), help="codemem's tree")
    add("--work", type=Path, default=Path(tempfile.gettempdir()) / "plain")
    add("--only", nargs="*", default=[], help="identifiers")
    options = parser.parse_args(arguments)
    if options.report:
        report(options.report)
        return
    if options.gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = options.gpu
    run(options)


if __name__ == "__main__":
    main()
