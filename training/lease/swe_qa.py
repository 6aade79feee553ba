"""SWE-QA's dev questions answered with one adapter, by several processes; what comes out are OpenRecords by line.

    python3 -m codemem.training.lease.swe_qa --prepare --prose DIR --work W1 W2 ...   # processors alone
    python3 -m codemem.training.lease.swe_qa --prose DIR --work W1 --model GGUF --adapter FILE --device cuda --gpu G \\
        --part K --parts N --out DIR
    python3 -m codemem.training.lease.swe_qa --report NAME=GLOB NAME=GLOB           # the first beside the others

DIR holds cited_files.jsonl, references/ and checkouts/. W (one an adapter, new, outside of any git repository) holds
the trees, their outlines and the memory; its processes share it. Each encodes a share of both repositories, then
questions are taken one by one: those of `bm25-chunks` until the memory is whole, then those of `memory`.
"""

import argparse
import json
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from codemem.config import Settings
from codemem.evals.answers.engines import Models, open_engine
from codemem.evals.answers.evaluate import Options, make_system
from codemem.evals.answers.questions import Question
from codemem.evals.answers.reading import Limits
from codemem.evals.answers.swe_qa import read_references, score_open
from codemem.evals.answers.systems import System, checkout_of
from codemem.evals.cases import Case, read_swe_qa
from codemem.evals.metrics import bootstrap, paired_difference
from codemem.index import IndexOptions, index
from codemem.model.engine import Engine
from codemem.training.lease.work import (
    Row,
    add_options,
    claim,
    encode_share,
    log,
    model_name,
    read_runs,
    settings_of,
    settle_memory,
    wait_for,
)
from codemem.workspace import open_workspace

TREES = ("psf+requests@46e939b", "sqlfluff+sqlfluff@db9801b")
_WORD = re.compile(r"[A-Za-z_$][\w$]*")


def prepare(prose: Path, works: Sequence[Path], trees: Sequence[str]) -> None:
    """Copies of the trees, their outlines, and all words of each."""
    for work in works:
        work.mkdir(parents=True)
        settings = settings_of(work)
        for name in trees:
            root = work / "trees" / name
            shutil.copytree(prose / "checkouts" / name, root)
            words = sorted({word for _, text in checkout_of(root).texts() for word in _WORD.findall(text)})
            (work / f"{name}.words.json").write_text(json.dumps(words), encoding="utf-8")
            with open_workspace(root, settings, whole=True) as workspace:
                done = index(workspace, settings, _no_engine, IndexOptions("outline"))
            log(f"{root}: {done.documents} documents")


def _no_engine(name: str) -> Engine:
    raise AssertionError(f"an outline needs no model, not {name}")


def answer(options: argparse.Namespace) -> None:
    """What process `part` of `parts` does: its share of the memory, then one question after the other."""
    work = options.work[0].absolute()
    settings = settings_of(work, options.threads)
    model = model_name(options.model)
    engine = open_engine(settings, model=model, adapter=options.adapter, device=options.device)
    log("engine is open")
    trees = [name for name in TREES if (work / "trees" / name).is_dir()]
    references = read_references(options.prose / "references")
    cases = [c for c in read_swe_qa(options.prose / "cited_files.jsonl").cases if c.query.strip() in references]
    if "memory" in options.system:
        _remember(engine, settings, work, trees, part=options.part, parts=options.parts)
    made = Options(
        "facts",
        work / "trees",
        work / "bm25",
        systems=tuple(options.system),
        limits=Limits(None, 3000, options.tokens),
        models=Models(model, options.adapter, device=options.device),
    )
    asking = _Asking(work, references, options.out or work / "out", options.part)
    for system_name in sorted(options.system, key=lambda name: name == "memory"):
        system = make_system(system_name, engine, settings, made)
        for name in trees if options.part % 2 else trees[::-1]:
            of_tree = [c for c in cases if name.startswith(c.repository.name.replace("/", "+"))]
            asking.ask(system_name, system, name, of_tree[: options.most])
        system.close()
    log("done")


def _remember(engine: Engine, settings: Settings, work: Path, trees: Sequence[str], *, part: int, parts: int) -> None:
    """Encodes this process's share of every tree; of some trees it notes that all have encoded theirs."""
    place = work / "notes"
    place.mkdir(exist_ok=True)
    for name in trees:
        encode_share(engine, settings, work / "trees" / name, part=part, parts=parts, note=place / f"{name}.{part}.npz")
    log("share encoded")
    for name in [tree for i, tree in enumerate(trees) if (len(trees) - 1 - i) % parts == part]:
        notes = [place / f"{name}.{p}.npz" for p in range(parts)]
        log(f"{name}: all encoded: {wait_for(notes)}")
        settle_memory(engine, settings, work / "trees" / name, notes)
        (place / f"{name}.settled").touch()


class _Asking:
    """Asks what no other process has claimed, and writes each record as it comes."""

    def __init__(self, work: Path, references: dict[str, str], out: Path, part: int) -> None:
        self._work, self._references = work, references
        out.mkdir(parents=True, exist_ok=True)
        self._path = out / f"swe-{part}.jsonl"
        self._path.write_text("", encoding="utf-8")

    def ask(self, system_name: str, system: System, tree: str, cases: Sequence[Case]) -> None:
        """The questions about one tree; it is made ready with the first that is this process's."""
        words: set[str] | None = None
        for case in cases:
            if not claim(self._work, f"{system_name}-{case.identifier}"):
                continue
            if words is None:
                if system_name == "memory":
                    wait_for([self._work / "notes" / f"{tree}.settled"])
                system.prepare(self._work / "trees" / tree)
                words = set(json.loads((self._work / f"{tree}.words.json").read_text(encoding="utf-8")))
                log(f"{system_name} {tree}: ready")
            row = {"system": system_name, **self._record(system, case, words)}
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")

    def _record(self, system: System, case: Case, words: set[str]) -> Row:
        question = Question(case.identifier, case.repository.name, "", "open", {"en": [case.query]})
        given = system.answer(question, case.query)
        record = score_open(case, self._references[case.query.strip()], words, given)
        return {
            **asdict(record),
            "question": case.query,
            "citations": [f"{c.path}:{c.start_line}-{c.end_line}" for c in given.citations],
            "tokens": given.tokens,
            "rounds": given.rounds,
        }


def report(names: Sequence[str]) -> None:
    """Means of each adapter and system, and paired differences of the first."""
    runs: dict[tuple[str, str], dict[str, Row]] = {}
    for name, rows in read_runs(names).items():
        for row in rows:
            runs.setdefault((name, row["system"]), {})[row["case"]] = row
    for (name, system), by_case in sorted(runs.items()):
        print(f"{name:16} {system:12} {_means(list(by_case.values()))}")
    first = names[0].partition("=")[0]
    for (name, system), theirs in sorted(runs.items()):
        for mine in ("memory", "bm25-chunks"):
            ours = runs.get((first, mine))
            if ours and (name, system) != (first, mine) and mine in ("memory", system):
                both = sorted(set(ours) & set(theirs))
                gaps = [
                    f"{key} {paired_difference([ours[c][key] for c in both], [theirs[c][key] for c in both])}"
                    for key in ("named", "cited")
                ]
                print(f"{first} {mine} minus {name} {system}, {len(both)}: {', '.join(gaps)}")


def _means(rows: Sequence[Row]) -> str:
    told = sum(row["identifiers"] for row in rows)
    made_up = sum(len(row["invented"]) for row in rows)
    count = len(rows)
    return (
        f"{count} named {bootstrap([row['named'] for row in rows])} cited {bootstrap([row['cited'] for row in rows])} "
        f"invented {made_up / max(told, 1):.3f} of {told}, {told / count:.1f} an answer, "
        f"refused {sum(not row['found'] for row in rows)}, {sum(row['tokens'] for row in rows) / count:.0f} tokens, "
        f"{sum(row['seconds'] for row in rows) / count:.2f} s"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Prepares, answers or reports."""
    parser = argparse.ArgumentParser(
        prog="python -m codemem.training.lease.swe_qa",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--prepare", action="store_true")
    add("--prose", type=Path, default=Path(".work/prose"))
    add("--work", type=Path, nargs="+", help="folders, one an adapter")
    add_options(parser, threads=2)
    add("--system", nargs="+", default=["bm25-chunks", "memory"])
    add("--tree", nargs="+", default=list(TREES), help="with --prepare")
    add("--most", type=int, help="questions of each repository")
    options = parser.parse_args(arguments)
    if options.report:
        report(options.report)
        return
    if not options.work:
        parser.error("--work is needed")
    if options.prepare:
        prepare(options.prose, [work.absolute() for work in options.work], options.tree)
        return
    if options.gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = options.gpu
    answer(options)


if __name__ == "__main__":
    main()
