"""Figures from what a lent machine scored and answered, in the evaluations' own measures.

    python -m codemem.training.carried.judge --sets EVALS --worlds OUT --results FOLDER [--ways all]

Reads `scores-*.npz` and `answers-*.jsonl` of FOLDER and `carry/` and `here/` of OUT (codemem.training.carried.worlds).
Ways to rank: each layer alone, 'find' (the lowest three, summed), 'all' (summed), and with `--ways all` every depth and
maxima over layers; each of them alone, documents weighed by their files as the product's are (`weigh_documents`), and,
where the outline's ranks are here, mixed with it as `codemem find` does.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from codemem.evals import metrics
from codemem.evals.answers.judge import Span, covered
from codemem.evals.answers.questions import Question, SetName, read_questions, set_path
from codemem.evals.answers.reading import Given, Piece, lines_of_bytes
from codemem.evals.answers.scoring import MEASURES, Record, invented_share, mean, score
from codemem.evals.cases import Case, read_all
from codemem.indexer import detect_language
from codemem.indexer.document import FILE_KINDS
from codemem.indexer.kinds import file_kind
from codemem.outline.alike import space_out
from codemem.outline.mix import best_of_files, mix_files, outline_weight, weigh_documents, words_weight
from codemem.outline.query import asked_kinds
from codemem.training.carried.worlds import World, WorldDocument, read_documents, read_worlds

Scores = npt.NDArray[np.float32]
"""[documents, layers]"""
FIRST = 8
"""Documents within which the lines of facts and hops are looked for."""


def ways(layers: Sequence[int], *, find_layers: int = 3, every: bool = False) -> dict[str, Callable[[Scores], Scores]]:
    """How a question's scores by layer become one score a document."""

    def summed(first: int) -> Callable[[Scores], Scores]:
        return lambda s: s[:, :first].sum(1)

    def alone(index: int) -> Callable[[Scores], Scores]:
        return lambda s: s[:, index]

    found = {"find": summed(find_layers), "all": summed(len(layers))}
    found |= {f"layer {layer}": alone(index) for index, layer in enumerate(layers)}
    if every:
        found |= {f"to layer {layer}": summed(index + 1) for index, layer in enumerate(layers)}
        found["largest of find"] = lambda s: s[:, :find_layers].max(1)
        found["largest of all"] = lambda s: s.max(1)
    return found


def read_scores(folder: Path) -> tuple[list[int], dict[str, npt.NDArray[np.float32]]]:
    """Routed layers, and [questions, documents, layers] by '<kind> <world>'. Raises `ValueError` if there are none."""
    found: dict[str, npt.NDArray[np.float32]] = {}
    layers: list[int] = []
    for path in sorted(folder.glob("scores-*.npz")):
        with np.load(path, allow_pickle=False) as arrays:
            layers = arrays["layers"].tolist()
            found |= {name: arrays[name].astype(np.float32) for name in arrays.files if name != "layers"}
    if not found:
        raise ValueError(f"no scores-*.npz in {folder}")
    return layers, found


def judge_files(
    world: World, documents: Sequence[WorldDocument], scores: npt.NDArray[np.float32], cases: Mapping[str, Case], *,
    outline: Mapping[str, Sequence[Any]] | None, chosen: Mapping[str, Callable[[Scores], Scores]],
) -> Iterator[tuple[str, Case, dict[str, float]]]:  # fmt: skip
    """(way, case, its measures by file) for the questions of a retrieval set."""
    paths = [document.path for document in documents]
    number = {path: at for at, path in enumerate(dict.fromkeys(paths))}
    owners = np.array([number[path] for path in paths])
    kinds = np.array([FILE_KINDS.index(file_kind(path, detect_language(path))) for path in paths])
    for row, (identifier, _) in enumerate(world.questions):
        case = cases[identifier]
        asked = asked_kinds(case.query)
        for name, way in chosen.items():
            weighed = weigh_documents(way(scores[row]), kinds, owners, asked)
            memory = best_of_files(zip(paths, weighed.tolist(), strict=True))
            rankings = {name: sorted(memory, key=lambda path: (-memory[path], path))}
            if outline is not None:
                named, words, told = outline[identifier]
                rule = {"weight": outline_weight(case.query, told), "by_words": words_weight(case.query)}
                rankings[f"{name}, mixed"] = list(space_out(mix_files(memory, named, words, **rule)))
            for ranking, files in rankings.items():
                measured = {"NDCG@10": metrics.ndcg(files, case.files), "R@5": metrics.recall(files, case.files, 5)}
                yield ranking, case, {**measured, "R@10": metrics.recall(files, case.files, 10)}


def judge_lines(
    world: World, documents: Sequence[WorldDocument], scores: npt.NDArray[np.float32],
    questions: Mapping[str, Question], chosen: Mapping[str, Callable[[Scores], Scores]],
) -> Iterator[tuple[str, float]]:  # fmt: skip
    """(way, share of the steps whose line stands in the first documents) for the questions that have an answer."""
    for row, (identifier, _) in enumerate(world.questions):
        question = questions[identifier]
        if not question.evidence:
            continue
        for name, way in chosen.items():
            best = np.argsort(-way(scores[row]), kind="stable")[:FIRST]
            held = covered([_span(documents[i]) for i in best], question)
            yield name, sum(held) / len(held)


def judge_answer(row: Mapping[str, Any], documents: Sequence[WorldDocument], question: Question) -> Record:
    """The evaluation's record of an answer."""

    def piece(index: int) -> Piece:
        return Piece(_span(documents[index]), documents[index].text)

    given = Given(
        answer=row["answer"],
        found=row["found"],
        citations=[lines_of_bytes(piece(index), start, end) for index, start, end in row["cited"]],
        read=[piece(index) for index in row["read"]],
        ranked=[piece(index) for index in row["read"]],
        rounds=len(row["rounds"]),
        seconds=row["seconds"],
        tokens=row["tokens"],
    )
    return score(question, question.text(), given, lambda text: len(text) // 4)


def _span(document: WorldDocument) -> Span:
    return Span(document.path, document.start_line, document.end_line)


def _questions(kind: str) -> dict[str, Question]:
    name: SetName = "facts" if kind == "facts" else "hops"
    return {question.identifier: question for question in read_questions(set_path(name, "dev"))}


def retrieval_tables(sets: Path, worlds: Path, results: Path, *, every: bool) -> dict[str, dict[str, dict[str, float]]]:
    """Set -> way -> mean of each measure, with those of a set's categories beside."""
    layers, scored = read_scores(results)
    chosen = ways(layers, every=every)
    sums: dict[str, dict[str, dict[str, list[float]]]] = {}
    for world in read_worlds(worlds / "carry"):
        scores = scored.get(f"{world.kind} {world.name}")
        if scores is None:
            continue
        documents = read_documents(worlds / "carry", world)
        if world.kind in ("facts", "hops"):
            for name, share in judge_lines(world, documents, scores, _questions(world.kind), chosen):
                sums.setdefault(world.kind, {}).setdefault(name, {}).setdefault(f"lines@{FIRST}", []).append(share)
            continue
        cases = {case.identifier: case for case in read_all(sets)[world.kind]().cases}
        path = worlds / "here" / f"{world.kind}-{world.name}.json"
        outline = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
        for name, case, measured in judge_files(world, documents, scores, cases, outline=outline, chosen=chosen):
            into = sums.setdefault(world.kind, {}).setdefault(name, {})
            for measure, value in measured.items():
                into.setdefault(measure, []).append(value)
            if world.kind == "semble":
                into.setdefault(f"NDCG@10 {case.category}", []).append(measured["NDCG@10"])
    return {
        kind: {name: {m: round(float(np.mean(v)), 4) for m, v in measured.items()} for name, measured in by_way.items()}
        for kind, by_way in sums.items()
    }


def answer_tables(worlds: Path, results: Path) -> dict[str, dict[str, str]]:
    """Set -> measure -> mean with its interval, of the answers that are there."""
    listed = {(world.kind, world.name): world for world in read_worlds(worlds / "carry")}
    documents: dict[str, list[WorldDocument]] = {}
    records: dict[str, list[Record]] = {}
    for path in sorted(results.glob("answers-*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            world = listed[row["kind"], row["world"]]
            if world.documents not in documents:
                documents[world.documents] = read_documents(worlds / "carry", world)
            question = _questions(world.kind)[row["id"]]
            records.setdefault(world.kind, []).append(judge_answer(row, documents[world.documents], question))
    tables = {}
    for kind, found in records.items():
        table = {measure: str(mean(found, measure)) for measure in MEASURES if mean(found, measure) is not None}
        invented = invented_share(found)
        tables[kind] = {**table, "invented identifiers": "" if invented is None else f"{invented:.3f}"}
    return tables


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the tables as Markdown."""
    parser = argparse.ArgumentParser(
        prog="python -m codemem.training.carried.judge",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for name in ("--sets", "--worlds", "--results"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--ways", choices=("usual", "all"), default="usual")
    options = parser.parse_args(arguments)
    tables = retrieval_tables(options.sets, options.worlds, options.results, every=options.ways == "all")
    for kind, by_way in tables.items():
        columns = list(next(iter(by_way.values())))
        print(f"\n| {kind} | {' | '.join(columns)} |\n|{' --- |' * (len(columns) + 1)}")
        for name, measured in by_way.items():
            print(f"| {name} | {' | '.join(f'{measured[c]:.3f}' for c in columns)} |")
    for kind, table in answer_tables(options.worlds, options.results).items():
        print(f"\n| {kind}: answers | |\n| --- | --- |")
        for measure, value in table.items():
            print(f"| {measure} | {value} |")


if __name__ == "__main__":
    main()
