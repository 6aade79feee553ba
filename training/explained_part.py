"""A part of a course's further answers that rules make of its documents: what `remarks` and `described` share.

Of many documents few records are wanted, no language forgotten, each among documents of its own package.
"""

import argparse
import json
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from codemem.training.data.read import DOCUMENTS, Writer, rows

Row = dict[str, Any]
DISTRACTORS = 4


def among_others(record: Row, members: Sequence[int], draw: random.Random) -> Row:
    """The record with distractors from the documents of its package."""
    near = [other for other in members if other != record["gold"][0]]
    return {**record, "distractors": draw.sample(near, min(DISTRACTORS, len(near)))}


def by_language(found: Mapping[str, list[Row]], most: int, draw: random.Random) -> list[Row]:
    """Some `most` of the records, languages by the square root of their number."""
    whole = sum(len(of_language) ** 0.5 for of_language in found.values())
    chosen = []
    for of_language in found.values():
        draw.shuffle(of_language)
        chosen += of_language[: round(most * len(of_language) ** 0.5 / whole)]
    draw.shuffle(chosen)
    return chosen


def write_part(
    module: str,
    about: str | None,
    kind: str,
    records: Callable[..., list[Row]],
    arguments: list[str] | None,
    *,
    most: int,
) -> None:
    """Reads the command line, writes `explained-KIND-0.jsonl.zst`; how many of each language as JSON to stdout."""
    parser = argparse.ArgumentParser(
        prog=f"python -m codemem.training.{module}",
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help="a course's folder (codemem.training.data.courses)")
    parser.add_argument("--most", type=int, default=most, help="records of all languages together, about")
    options = parser.parse_args(arguments)
    found = records(list(rows(options.data / DOCUMENTS)), most=options.most)
    with Writer(options.data / f"explained-{kind}-0.jsonl.zst") as writer:
        for record in found:
            writer.write(record)
    print(json.dumps(Counter(record["language"] for record in found)))
