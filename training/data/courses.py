"""Parts of the whole data that one run reads, small enough to carry: `python -m codemem.training.data.courses`.

`first` takes all kinds of questions, Python less often than other languages. `second` keeps packages whole and takes
questions in prose, so that a batch's negatives come from the same package, and adds questions of how things are done
(`how.jsonl.zst`), which `codemem.training.explain` has the base model answer from the source. `third` takes whole
packages too, with questions about files, names as they are and the questions of the answer records, which lead to all
documents that an answer needs; and it keeps what its questions compete with, so that `codemem.training.mine` finds it.
`fourth` is larger, for recipes that say themselves which kinds of questions they draw. `fifth` has answers about other
languages as often as about Python. `seventh` has answers alone, twice as many, over the fifth's documents and theirs.
`eighteenth` is the fourth with all of a corpus's packages, `nineteenth` with a third as many questions of each.
"""

import argparse
import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .read import DOCUMENTS, PAIRS, QA, Writer, rows

HOW = "how.jsonl.zst"
_WHERE = re.compile(r"(?:where(?: in the code| in this project)? do we|find the code that lets us) (.+?)\??")
_DEFINED = re.compile(r"(?:def|func|function|fn)\s+(?:\([^)]*\)\s*)?([A-Za-z_]\w+)")
_DOING = ("How do we {}?", "How does the code {}?", "how does it {}", "What happens when we {}?", "Explain how we {}.")
_NAMED = (
    "How does `{}` work?",
    "What does {} do, step by step?",
    "When does {} return early?",
    "What is the role of `{}`?",
)

Row = dict[str, Any]


@dataclass(slots=True)
class Course:
    """Rows of the whole data; indices are lines of its documents."""

    pairs: list[Row]
    answers: list[Row]
    how: list[Row]
    positives: int
    """Documents kept of a question's own."""
    negatives: int = 0
    """Documents kept of those that a question is told apart from by rule."""
    packages: frozenset[str] = frozenset()
    """Whose sections of prose are kept."""
    read_besides: frozenset[int] = frozenset()
    """Documents kept although nothing here asks for them: what is read beside what answers."""


def first_course(folder: Path, *, pairs: int = 700_000, python: float = 0.45) -> Course:
    """About `pairs` questions of every kind, the share `python` of them about Python, and at most 12,000 answers of a
    kind."""
    draw = random.Random(0)  # noqa: S311
    every = list(rows(folder / PAIRS))
    about_python = sum(pair["language"] == "python" for pair in every)
    rate = min(1.0, python * pairs / max(1, about_python))
    others = min(1.0, (1 - python) * pairs / max(1, len(every) - about_python))
    kept = [pair for pair in every if draw.random() < (rate if pair["language"] == "python" else others)]
    limits = {"where": 6000, "does": 8000, "caller": 8000, "unanswerable": 12000}
    answers = _capped(folder, draw, lambda row: (row["kind"], limits.get(row["kind"], 10**9)))
    return Course(kept, answers, [], positives=4)


def second_course(folder: Path, *, python: int = 95_000, others: int = 75_000, how: int = 2400) -> Course:
    """Documentation and prose of whole packages with a few names, up to so many questions, and `how` to be answered."""
    draw = random.Random(7)  # noqa: S311
    every, documents = list(rows(folder / PAIRS)), list(rows(folder / DOCUMENTS))
    named = ("name", "split name", "partial name", "scoped name", "usage", "where")
    wanted = (
        pair
        for pair in every
        if pair["kind"] in ("documentation", "prose") or (pair["kind"] in named and draw.random() < 0.12)
    )
    kept, _ = _whole_packages(wanted, documents, {True: python, False: others}, draw, most=960)
    answers = _capped(folder, draw, lambda row: (row["kind"], 1500 if row["kind"] == "unanswerable" else 700))
    return Course(kept, answers, how_questions(kept, documents, how), positives=2)


SHARES = {
    "name": 0.6, "scoped name": 0.5, "where": 0.4, "split name": 0.4, "partial name": 0.4, "test": 0.5, "usage": 0.15,
    "file and name": 0.25, "signature": 0.1,
}  # fmt: skip
"""Of each kind of question that needs little understanding, what a third course keeps; of the others all."""


def third_course(
    folder: Path,
    *,
    python: int = 190_000,
    others: int = 250_000,
    answers: int = 60_000,
    how: int = 2400,
    most: int = 1536,
    negatives: int = 2,
    records: Callable[[Row], tuple[str, int]] = lambda row: (row["kind"], _records_of_a_kind(row)),
) -> Course:
    """Whole packages with every kind of question, up to so many and `most` of each, and `answers` questions of answer
    records. `records`: of which group an answer record is, and how many of it are kept."""
    draw = random.Random(11)  # noqa: S311
    documents = list(rows(folder / DOCUMENTS))
    every = (pair for pair in rows(folder / PAIRS) if draw.random() < SHARES.get(pair["kind"], 1.0))
    kept, packages = _whole_packages(every, documents, {True: python, False: others}, draw, most=most)
    kept_records = _capped(folder, draw, records)
    asked = [row for row in rows(folder / QA) if row["gold"] and documents[row["gold"][0]]["package"] in packages]
    draw.shuffle(asked)
    known = {pair["q"] for pair in kept}
    for row in asked[:answers]:
        if row["question"] not in known:
            known.add(row["question"])
            pair = {"q": row["question"], "pos": row["gold"], "neg": row["distractors"], "kind": "asked"}
            kept.append({**pair, "language": row["language"]})
    return Course(kept, kept_records, how_questions(kept, documents, how), 4, negatives, frozenset(packages))


def _records_of_a_kind(row: Row) -> int:
    return 6000 if row["kind"] == "unanswerable" else 2500


def fourth_course(folder: Path) -> Course:
    """The third with more packages and more of each, without what mining needs: `Recipe.asked` says what is drawn."""
    return third_course(folder, python=340_000, others=300_000, most=2400, negatives=0)


def eighteenth_course(folder: Path) -> Course:
    """The fourth without an end to its packages: what finds gains by those that it has not seen."""
    return third_course(folder, python=1_000_000, others=1_000_000, most=2400, negatives=0)


def nineteenth_course(folder: Path) -> Course:
    """The eighteenth with fewer questions of a package: of more packages than a run has time for, some of each."""
    return third_course(folder, python=1_000_000, others=1_000_000, most=800, negatives=0)


def fifth_course(folder: Path) -> Course:
    """The fourth with answers that are as often about other languages as about Python, and more chains of documents."""

    return _balanced(folder, fact=1500, chain=2000, unanswerable=3000)


def seventh_course(folder: Path) -> Course:
    """What a course reads that learns from answers alone: as many more of them as there are, and no questions."""
    course = _balanced(folder, fact=4000, chain=6000, unanswerable=8000)
    besides = {document for pair in course.pairs for document in pair["pos"][: course.positives]}
    return replace(course, pairs=[], read_besides=frozenset(besides))


def _balanced(folder: Path, *, fact: int, chain: int, unanswerable: int) -> Course:
    """A large third course with at most so many answers of a kind about Python, and as many about other languages."""

    def group(row: Row) -> tuple[str, int]:
        most = unanswerable if row["kind"] == "unanswerable" else chain if len(row["gold"]) > 1 else fact
        return f"{row['kind']} {row['language'] == 'python'}", most

    return third_course(folder, python=340_000, others=300_000, answers=90_000, most=2400, negatives=0, records=group)


def _whole_packages(
    pairs: Iterable[Row], documents: list[Row], room: dict[bool, int], draw: random.Random, *, most: int
) -> tuple[list[Row], set[str]]:
    """Questions of packages drawn until there is no room (mostly Python: True), at most `most` of each, and which."""
    packages: dict[str, list[Row]] = defaultdict(list)
    for pair in pairs:
        packages[documents[pair["pos"][0]]["package"]].append(pair)
    order = sorted(packages)
    draw.shuffle(order)
    kept: list[Row] = []
    taken: set[str] = set()
    for package in order:
        members = packages[package]
        draw.shuffle(members)
        members = members[:most]
        if len(members) < 96:
            continue
        mostly = Counter(pair["language"] for pair in members).most_common(1)[0][0] == "python"
        if room[mostly] > 0:
            room[mostly] -= len(members)
            kept += members
            taken.add(package)
    return kept, taken


def _capped(folder: Path, draw: random.Random, group: Callable[[Row], tuple[str, int]]) -> list[Row]:
    """Answer records, of each group (its name, how many) no more than so many."""
    answers = list(rows(folder / QA))
    draw.shuffle(answers)
    seen: Counter[str] = Counter()
    kept = []
    for answer in answers:
        name, most = group(answer)
        seen[name] += 1
        if seen[name] <= most:
            kept.append(answer)
    return kept


def how_questions(pairs: Iterable[Row], documents: list[Row], count: int) -> list[Row]:
    """Questions of how something is done, each about one definition: asked in prose, or by its name."""
    draw = random.Random(3)  # noqa: S311
    packages: dict[str, list[int]] = defaultdict(list)
    pairs = list(pairs)
    for index in sorted({pair["pos"][0] for pair in pairs}):
        packages[documents[index]["package"]].append(index)
    draw.shuffle(pairs)
    asked: dict[int, Row] = {}
    for pair in pairs:
        gold = pair["pos"][0]
        text = documents[gold]["text"]
        if len(asked) == count or gold in asked or len(pair["pos"]) > 1 or not 250 < len(text) < 1500:
            continue
        if pair["language"] != "python" and draw.random() < 0.35:
            continue
        question = _how(pair, text, draw)
        if question:
            near = [index for index in packages[documents[gold]["package"]] if index != gold]
            distractors = draw.sample(near, min(4, len(near)))
            asked[gold] = {"question": question, "gold": [gold], "distractors": distractors, "kind": "explain"}
    return list(asked.values())


def _how(pair: Row, text: str, draw: random.Random) -> str | None:
    if pair["kind"] == "prose":
        doing = _WHERE.fullmatch(pair["q"])
        return draw.choice(_DOING).format(doing[1]) if doing else None
    defined = _DEFINED.search(text) if pair["kind"] == "documentation" and draw.random() < 0.03 else None
    return draw.choice(_NAMED).format(defined[1]) if defined else None


def write_course(folder: Path, course: Course, out: Path) -> dict[str, int]:
    """Writes the course with the documents that it needs, those of a package and a file side by side; counts."""
    needed = {d for pair in course.pairs for d in pair["pos"][: course.positives]}
    needed |= {d for pair in course.pairs for d in pair["neg"][: course.negatives]}
    needed |= {d for row in (*course.answers, *course.how) for d in (*row["gold"], *row["distractors"])}
    documents = {
        i: row
        for i, row in enumerate(rows(folder / DOCUMENTS))
        if i in needed
        or i in course.read_besides
        or (row["language"] == "markdown" and row["package"] in course.packages)
    }
    order = sorted(documents, key=lambda i: (documents[i]["package"], documents[i]["header"]))
    place = {old: new for new, old in enumerate(order)}
    out.mkdir(parents=True, exist_ok=True)
    with Writer(out / DOCUMENTS, to_carry=True) as writer:
        for index in order:
            writer.write(documents[index])
    with Writer(out / PAIRS) as writer:
        for pair in course.pairs:
            # All answers that are here for some reason, so that none becomes a negative.
            lists = {"pos": pair["pos"], "neg": pair["neg"][: course.negatives]}
            if pair.get("same"):
                lists["same"] = pair["same"]
            writer.write({**pair, **{name: [place[d] for d in found if d in place] for name, found in lists.items()}})
    for name, answers in ((QA, course.answers), (HOW, course.how)):
        with Writer(out / name) as writer:
            for row in answers:
                moved = {key: [place[d] for d in row[key]] for key in ("gold", "distractors")}
                writer.write({**row, **moved})
    counts = {"pairs": len(course.pairs), "answers": len(course.answers), "how": len(course.how)}
    return {**counts, "documents": len(order)}


COURSES: dict[str, Callable[[Path], Course]] = {
    "first": first_course, "second": second_course, "third": third_course, "fourth": fourth_course,
    "fifth": fifth_course, "seventh": seventh_course, "eighteenth": eighteenth_course, "nineteenth": nineteenth_course,
}  # fmt: skip


def _without(course: Course, languages: Sequence[str]) -> Course:
    """The course without questions and answers about some languages; `how` are about any."""

    def kept(found: Iterable[Row]) -> list[Row]:
        return [row for row in found if row["language"] not in languages]

    return replace(course, pairs=kept(course.pairs), answers=kept(course.answers)) if languages else course


def main(arguments: list[str] | None = None) -> None:
    """Writes one course; counts as a JSON object to stdout."""
    parser = argparse.ArgumentParser(prog="python -m codemem.training.data.courses", description=__doc__)
    parser.add_argument("course", choices=sorted(COURSES))
    parser.add_argument("--data", type=Path, required=True, help="what `python -m codemem.training.data` wrote")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--without", nargs="*", default=(), metavar="LANGUAGE", help="whose questions are left out")
    options = parser.parse_args(arguments)
    course = _without(COURSES[options.course](options.data), options.without)
    print(json.dumps(write_course(options.data, course, options.out)))


if __name__ == "__main__":
    main()
