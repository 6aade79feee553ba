"""Plain questions that one statement of a pinned package answers, written by a base model once and for all.

    python -m codemem.training.statement_questions --base FOLDER --repositories DIR --out DIR [--split SPLIT ...]

The sets of facts and hops ask for values by name. People ask in plain words what is done, when and why, and what
decides that is one statement, which an explanation has to find among two hundred (decision 0036). Here the statement
is drawn from a package, and the model writes the question that it answers (training/pointed.py), half of the time with
the function's name. An answer is right that quotes the statement, letter by letter: no model judges. Another statement
may answer as well, so what is right is a lower bound; systems are told apart by it all the same. Writes
`statements-SPLIT.json` (codemem.evals.answers).
"""

import argparse
import json
import random
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from codemem.evals.answers.facts import Function
from codemem.evals.answers.packages import SPLITS, Package, Split, read_pins, source_files, unpacked
from codemem.evals.answers.phrasing import order
from codemem.evals.answers.questions import Line, Question, set_path, write_questions
from codemem.evals.answers.syntax import read_facts
from codemem.model.statements import statements
from codemem.training.dialogues import TOGETHER
from codemem.training.explain import Generating
from codemem.training.pointed import WRITTEN_TOKENS, asked_of, fault, prompt, question_and_answer, telling

OF_A_PACKAGE: dict[Split, int] = {"dev": 14, "practice": 16, "held-out": 8, "recent": 10}
DRAWN = 2
"""Statements that the model is asked about, for each that is wanted: a third of what it writes is left out."""
PLACES = 2
"""In which a statement begins at most, in one package: what stands everywhere answers nothing."""
_LINES, _CHARACTERS = range(5, 61), 2400
_CODE = re.compile(r"[=({\[<>!|&@]|\w\.\w")
"""A sign of code, not of what a comment says."""


class Drawn(NamedTuple):
    """A statement of a package that a question may be written about."""

    package: Package
    document: dict[str, Any]
    statement: str
    places: tuple[Line, ...]
    """Wherever it begins in the package."""


def drawn(package: Package, files: Mapping[str, str], most: int) -> list[Drawn]:
    """Statements of a package, one of a function, by hash; the same on every machine."""
    places: dict[str, list[Line]] = defaultdict(list)
    for path, text in files.items():
        for number, statement in enumerate(statements(text), start=1):
            if statement:
                places[statement].append(Line(path, number))
    functions = read_facts(files.items(), package.language).functions
    functions.sort(key=lambda found: order(package.name, f"{found.path} {found.qualified} {found.start_line}"))
    return list(_of_functions(package, functions, files, places))[:most]


def _of_functions(
    package: Package, functions: Sequence[Function], files: Mapping[str, str], places: Mapping[str, list[Line]]
) -> Iterator[Drawn]:
    for function in functions:
        text = "\n".join(files[function.path].split("\n")[function.start_line - 1 : function.end_line])
        if text.count("\n") + 1 not in _LINES or len(text) > _CHARACTERS:
            continue
        begun = statements(text)
        every = telling(text).items()
        if weights := {at: n for at, n in every if _CODE.search(begun[at]) and len(places[begun[at]]) <= PLACES}:
            draw = random.Random(f"{package.name} {function.path} {function.start_line}")  # noqa: S311
            (at,) = draw.choices(list(weights), list(weights.values()))
            statement = begun[at]
            header = f"{function.path} {function.owner}".rstrip() + "\n"
            document = {"header": header, "text": text, "language": package.language}
            yield Drawn(package, document, statement, tuple(places[statement]))


def written(model: Generating, given: Sequence[Drawn], faults: Counter[str]) -> Iterator[Question]:
    """Questions without an identifier; what is of no use is counted by its fault."""
    draw = random.Random(7)  # noqa: S311
    for start in range(0, len(given), model.together):
        batch = given[start : start + model.together]
        texts = model.write([prompt(each.document, each.statement) for each in batch], most=WRITTEN_TOKENS)
        for each, (text, _) in zip(batch, texts, strict=True):
            question, answer = question_and_answer(text)
            wrong = fault(question, answer, each.statement, each.document)
            faults[wrong or "kept"] += 1
            if not wrong:
                asked = {"en": [asked_of(question, each.document, draw)]}
                package = each.package
                yield Question(
                    "", package.name, package.language, "statement", asked, (each.statement,), (), (each.places,)
                )


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes the sets; how many of each split, and what was of no use, as a JSON object to stdout."""
    parser = argparse.ArgumentParser(
        prog="python -m codemem.training.statement_questions",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--base", type=Path, required=True, help="a checkpoint folder in Hugging Face's layout")
    parser.add_argument("--repositories", type=Path, required=True, help="where packages are, or are unpacked to")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--split", nargs="+", choices=SPLITS, default=SPLITS)
    options = parser.parse_args(arguments)
    packages = [package for package in read_pins().values() if package.split in options.split]
    given = []
    for package in packages:
        files = dict(source_files(unpacked(package, options.repositories), package.language))
        given += drawn(package, files, DRAWN * OF_A_PACKAGE[package.split])
    print(f"{len(given)} statements are drawn", file=sys.stderr)
    faults: Counter[str] = Counter()
    model = Generating(options.base, prompt_tokens=1536, together=TOGETHER)
    kept: dict[str, list[Question]] = defaultdict(list)
    for question in written(model, given, faults):
        kept[question.package].append(question)
    counts: dict[str, int] = {}
    for split in options.split:
        chosen = [q for p in packages if p.split == split for q in _named(kept[p.name][: OF_A_PACKAGE[split]])]
        write_questions(chosen, set_path("statements", split, options.out))
        counts[split] = len(chosen)
    print(json.dumps({**counts, **faults}))


def _named(questions: Sequence[Question]) -> Iterator[Question]:
    for number, question in enumerate(questions, start=1):
        row = question.to_json()
        yield Question.from_json({**row, "identifier": f"statements-{question.package}-{number:03d}"})


if __name__ == "__main__":
    main()
