"""Nested growth: the same questions while the repository grows by what does not concern them.

    python -m codemem.evals.answers.growth --repositories DIR --tokenizer DIR

fixes, for a split, a few worlds: questions, and the order in which files join. First come those that hold the answers,
then files of all packages by hash. A repository of n tokens is a prefix of that order, so every smaller one is a part
of every larger one. Left out are files that could answer in place of the right one: copies, and files that define a
name which is asked for.
"""

import argparse
import json
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from codemem.evals.answers.facts import Facts
from codemem.evals.answers.generate import Source, read_source
from codemem.evals.answers.packages import Split, read_pins, source_files
from codemem.evals.answers.phrasing import order
from codemem.evals.answers.questions import SETS, Line, Question, SetName, read_questions, set_path
from codemem.evals.errors import BadCasesError, EvaluationError
from codemem.model.tokenizer import Tokenizer

WORLDS = 5
"""Of a split: the files that hold the answers to many questions do not fit the smallest size together."""
SIZES = (16_000, 64_000, 250_000, 1_000_000)
_GOLD_TOKENS = 14_000
"""Of the files that hold the answers: they fit the smallest size."""
_SAME_LINES = 0.3
"""A file that shares this part of its lines with one that holds an answer counts as a copy."""
_TELLING = 20
"""Characters of a line that is counted for that."""


@dataclass(frozen=True, slots=True)
class GrowthFile:
    package: str
    path: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Growth:
    """Which questions, and which files in which order."""

    questions: tuple[str, ...]
    files: tuple[GrowthFile, ...]

    def prefix(self, tokens: int) -> list[GrowthFile]:
        """The files of the repository of at most `tokens` tokens. Raises EvaluationError if there are too few."""
        total = 0
        chosen: list[GrowthFile] = []
        for file in self.files:
            if total + file.tokens > tokens:
                return chosen
            total += file.tokens
            chosen.append(file)
        if total < 0.95 * tokens:
            raise EvaluationError(f"there are distractors for {total:,} tokens, not for {tokens:,}")
        return chosen


def growth_path(split: Split, folder: Path = SETS) -> Path:
    return folder / f"growth-{split}.json"


def read_growth(split: Split, folder: Path = SETS) -> list[Growth]:
    """The worlds of a split. Raises BadCasesError."""
    path = growth_path(split, folder)
    try:
        worlds = json.loads(path.read_text(encoding="utf-8"))
        return [Growth(tuple(w["questions"]), tuple(GrowthFile(*row) for row in w["files"])) for w in worlds]
    except (OSError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise BadCasesError(f"{path}: {error}") from error


def grown(growth: Growth, tokens: int, repositories: Path, folder: Path) -> Path:
    """A repository of that many tokens below `folder`, made of unpacked packages; each keeps a folder of its own."""
    pins = read_pins()
    root = folder / f"grown-{tokens}"
    wanted = {Path(pins[file.package].folder) / file.path: file for file in growth.prefix(tokens)}
    for path, file in wanted.items():
        target = root / path
        if not target.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(repositories / pins[file.package].folder / file.path, target)
    return root


def replaced(question: Question) -> Question:
    """The question as asked of a grown repository: its lines lie in the package's folder there."""
    folder = read_pins()[question.package].folder
    evidence = tuple(tuple(Line(f"{folder}/{place.path}", place.line) for place in step) for step in question.evidence)
    return replace(question, evidence=evidence)


def grown_questions(name: SetName, split: Split, growth: Growth) -> list[Question]:
    """Those questions of a set that growth is measured on."""
    return [replaced(q) for q in read_questions(set_path(name, split)) if q.identifier in growth.questions]


def make_growth(
    questions: Sequence[Question],
    sources: Sequence[Source],
    files: dict[str, list[tuple[str, str]]],
    count_tokens: Callable[[str], int],
    *,
    most: int = SIZES[-1],
) -> Growth:
    """Questions whose files fit the smallest size, and all files in order. `files`: package -> (path, text)."""
    texts = {(package, path): text for package, found in files.items() for path, text in found}
    chosen, gold = _questions_that_fit(questions, texts, count_tokens)
    lines = {line for key in gold for line in _telling_lines(texts[key])}
    names = {name for question in chosen for name in asked_names(question)}
    defined = {source.package.name: _defined(source.facts) for source in sources}
    rest = sorted((key for key in texts if key not in gold), key=lambda key: order("growth", *key))
    ordered = [GrowthFile(*key, count_tokens(texts[key])) for key in gold]
    total = sum(file.tokens for file in ordered)
    for key in rest:
        own = _telling_lines(texts[key])
        copied = own and sum(line in lines for line in own) > _SAME_LINES * len(own)
        if copied or defined[key[0]].get(key[1], set()) & names:
            continue
        ordered.append(GrowthFile(*key, count_tokens(texts[key])))
        total += ordered[-1].tokens
        if total > most:
            break
    return Growth(tuple(question.identifier for question in chosen), tuple(ordered))


def make_worlds(
    questions: Sequence[Question],
    sources: Sequence[Source],
    files: dict[str, list[tuple[str, str]]],
    count_tokens: Callable[[str], int],
) -> list[Growth]:
    """WORLDS of them, each with the questions that those before could not take."""
    worlds: list[Growth] = []
    left = list(questions)
    while left and len(worlds) < WORLDS:
        worlds.append(make_growth(left, sources, files, count_tokens))
        taken = set(worlds[-1].questions)
        left = [question for question in left if question.identifier not in taken] if taken else []
    return [world for world in worlds if world.questions]


def _questions_that_fit(
    questions: Sequence[Question], texts: dict[tuple[str, str], str], count_tokens: Callable[[str], int]
) -> tuple[list[Question], list[tuple[str, str]]]:
    """Questions, small files first, until the files with the answers are large enough; then all others on these."""
    # A path in a question would stand for several files, and what is absent here may be present there.
    able = [q for q in questions if q.answerable and not q.kind.startswith("reexports")]
    needs = {q.identifier: {(q.package, line.path) for step in q.evidence for line in step} for q in able}
    gold: dict[tuple[str, str], int] = {}
    # Hops first: they need several files at once.
    for question in sorted(able, key=lambda q: ("+" not in q.kind, order("growth", q.identifier))):
        new = {key: count_tokens(texts[key]) for key in needs[question.identifier] - gold.keys()}
        share = _GOLD_TOKENS / 3 if new else 0
        if sum(gold.values()) + sum(new.values()) <= _GOLD_TOKENS and sum(new.values()) <= share:
            gold.update(dict(sorted(new.items())))
    return [q for q in able if needs[q.identifier] <= gold.keys()], list(gold)


def asked_names(question: Question) -> set[str]:
    """The names in the code spans of a question; of a dotted one the last part."""
    spans = re.findall(r"`([^`]+)`", question.text())
    return {span.rpartition(".")[2] for span in spans} | {part for span in spans for part in span.split(".")[:1]}


def _telling_lines(text: str) -> list[str]:
    return [line.strip() for line in text.split("\n") if len(line.strip()) >= _TELLING]


def _defined(facts: Facts) -> dict[str, set[str]]:
    """Path -> names of functions, classes and constants that the file defines."""
    named = [(f.path, f.name) for f in facts.functions]
    named += [(c.path, c.name) for c in facts.classes] + [(c.path, c.name) for c in facts.constants]
    found: dict[str, set[str]] = {}
    for path, name in named:
        found.setdefault(path, set()).add(name)
    return found


def _written(worlds: Sequence[Growth]) -> str:
    """JSON with one file a line."""
    parts = []
    for world in worlds:
        rows = ",\n".join(json.dumps([f.package, f.path, f.tokens]) for f in world.files)
        parts.append(f'{{"questions": {json.dumps(world.questions)},\n"files": [\n{rows}\n]}}')
    return "[\n" + ",\n".join(parts) + "\n]\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Fix questions and files of both splits."""
    parser = argparse.ArgumentParser(prog="python -m codemem.evals.answers.growth", description=main.__doc__)
    parser.add_argument("--repositories", type=Path, required=True, help="where packages are, or are unpacked to")
    parser.add_argument("--tokenizer", type=Path, required=True, help="folder with the default model's tokenizer.json")
    parser.add_argument("--out", type=Path, default=SETS)
    options = parser.parse_args(arguments)
    tokenizer = Tokenizer.from_folder(options.tokenizer)
    pins = read_pins()
    sources = [read_source(package, options.repositories) for package in pins.values()]
    files = {p.name: source_files(options.repositories / p.folder, p.language) for p in pins.values()}
    splits: tuple[Split, ...] = ("dev", "held-out")
    for split in splits:
        names: tuple[SetName, ...] = ("facts", "hops")
        questions = [q for name in names for q in read_questions(set_path(name, split, options.out))]
        count_tokens = cache(lambda text: len(tokenizer.encode_text(text)))
        worlds = make_worlds(questions, sources, files, count_tokens)
        growth_path(split, options.out).write_text(_written(worlds), encoding="utf-8")
        for world in worlds:
            hops = sum(name.startswith("hops") for name in world.questions)
            total = sum(file.tokens for file in world.files)
            asked = f"{len(world.questions)} questions ({hops} hops)"
            print(f"{split}: {asked}, {len(world.files)} files, {total:,} tokens", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
