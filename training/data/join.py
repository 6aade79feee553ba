"""Courses made from several corpora as one: `python -m codemem.training.data.join COURSE COURSE ... --out FOLDER`.

Documents stand one course behind the other, and whatever names them by their place is moved with them. Corpora are to
be of different packages (`python -m codemem.training.data --corpus further`, say): no question is looked up in another
course.
"""

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .read import DOCUMENTS, Writer, rows

PLACES = ("pos", "neg", "same", "gold", "distractors")
"""Fields of a row that hold places of documents."""


def join(courses: Sequence[Path], out: Path) -> dict[str, int]:
    """Writes every file that any of the courses has; rows of each. Raises ValueError where `out` is one of them or a
    package stands in two."""
    if out.resolve() in {course.resolve() for course in courses}:
        raise ValueError(f"{out} is one of the courses that are to be joined: name another folder")
    out.mkdir(parents=True, exist_ok=True)
    counts: Counter[str] = Counter()
    firsts, packages = [], set[str]()
    with Writer(out / DOCUMENTS, to_carry=True) as writer:
        for course in courses:
            firsts.append(counts[DOCUMENTS])
            own = set[str]()
            for row in rows(course / DOCUMENTS):
                own.add(row["package"])
                writer.write(row)
                counts[DOCUMENTS] += 1
            if both := own & packages:
                raise ValueError(f"{course} has packages that another course has: {', '.join(sorted(both)[:3])}")
            packages |= own
    others = sorted({path.name for course in courses for path in course.glob("*.jsonl.zst")} - {DOCUMENTS})
    for name in others:
        with Writer(out / name, to_carry=True) as writer:
            for course, first in zip(courses, firsts, strict=True):
                for row in rows(course / name) if (course / name).exists() else ():
                    writer.write(_moved(row, first))
                    counts[name] += 1
    return dict(counts)


def _moved(row: dict[str, Any], first: int) -> dict[str, Any]:
    return {key: [place + first for place in value] if key in PLACES else value for key, value in row.items()}


def main(arguments: list[str] | None = None) -> None:
    """Joins courses; counts as a JSON object to stdout."""
    parser = argparse.ArgumentParser(prog="python -m codemem.training.data.join", description=__doc__)
    parser.add_argument("course", type=Path, nargs="+", help="what `python -m codemem.training.data.courses` wrote")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    print(json.dumps(join(options.course, options.out)))


if __name__ == "__main__":
    main()
