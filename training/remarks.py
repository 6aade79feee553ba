"""What a project's own people say of a line, as answers: `python -m codemem.training.remarks --data FOLDER`.

Many comments give a condition and what follows, or a thing and its reason: one half becomes a question and the other
its answer, with the line below that it speaks of as what it rests on. So questions of what happens when, and why, are
learnt from what people wrote, where a larger model's explanations (training/explain.py, training/dialogues.py) mostly
say in words what the code says. Writes `explained-remark-0.jsonl.zst`, which a run reads as further answers of the kind
`remark`.
"""

import random
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Any, NamedTuple

from codemem.model.evidence import words
from codemem.model.quotes import can_be_quoted
from codemem.training.data.definition import split_name
from codemem.training.definition_names import definition_name
from codemem.training.explained_part import among_others, by_language, write_part
from codemem.training.remark_questions import asked, said

KIND = "remark"
MOST, MOST_OF_A_PACKAGE = 12_000, 60
NAMED = 0.75
"""Share of questions that name the definition; the others say only what the comment says."""

_MARKERS = {
    **dict.fromkeys(("python", "ruby", "r"), ("#",)),
    **dict.fromkeys(("lua", "haskell"), ("--",)),
    "php": ("//", "#"),
}
_OTHERS = ("//",)
_DECORATION = re.compile(r"^[-=*#/!~ \t]+|[-=*#/~ \t]+$")
_PREFIX = re.compile(r"^(?:note|nb|n\.b\.|important|warning|caution)(?: that)?\s*[:,-]?\s+", re.IGNORECASE)
_UNFIT = re.compile(
    r"\b(?:todo|fixme|xxx|hack|copyright|licen[sc]e|noqa|pragma|eslint|nolint|https?:|www\.|type:|pylint|mypy"
    r"|istanbul|c8 ignore)"
    r"|[;{}<>|\\]|==|=>|->|::|\w\(\w",
    re.IGNORECASE,
)
_BELOW = 4
"""Lines behind a comment among which it speaks of one."""
_WRAPPED = 45
"""Characters from which on a comment's line goes on in the next."""
_SENTENCE_WORDS = range(6, 46)
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z`])")


class Remark(NamedTuple):
    """What a comment says, and the line of code below it that it speaks of."""

    sentence: str
    line: str


def remarks(text: str, language: str) -> Iterator[Remark]:
    """The sentences of a text's comments, each with that of the next lines of code that shares most words with it;
    without those of which no line does: a comment stands above imports and brackets as well."""
    lines = [line.strip() for line in text.split("\n")]
    for comment, below in _comments(lines, _MARKERS.get(language, _OTHERS)):
        near = [line for line in below if lines.count(line) == 1 and can_be_quoted(line)]
        for sentence in filter(_can_be_asked, _SENTENCE.split(comment)):
            shared = {line: len(words(line) & words(sentence)) for line in near}
            if any(shared.values()):
                yield Remark(_PREFIX.sub("", sentence.strip()), max(near, key=shared.__getitem__))


def _comments(lines: Sequence[str], markers: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Comments in one line each, and the lines of code behind them, as far as no other comment comes first."""
    block: list[str] = []
    for at, line in enumerate(lines):
        if (said_here := _commented(line, markers)) is not None:
            # A short line before a capital letter is a sentence without its full stop.
            if block and said_here[:1].isupper() and len(block[-1]) < _WRAPPED and not block[-1].endswith((".", ",")):
                block[-1] += "."
            block.append(said_here)
        elif block and line:
            code = takewhile(lambda other: _commented(other, markers) is None, lines[at : at + _BELOW])
            yield " ".join(filter(None, block)), list(filter(None, code))
            block = []


def _commented(line: str, markers: Sequence[str]) -> str | None:
    """What a line of comment says; None for a line of code."""
    marker = next((marker for marker in markers if line.startswith(marker)), None)
    return None if marker is None else _DECORATION.sub("", line[len(marker) :])


def _can_be_asked(sentence: str) -> bool:
    return (
        sentence.isascii()
        and not sentence.endswith("?")
        and len(sentence.split()) in _SENTENCE_WORDS
        and not _UNFIT.search(sentence)
    )


def records(documents: Sequence[dict[str, Any]], *, most: int = MOST, seed: int = 9) -> list[dict[str, Any]]:
    """Answer records of some `most` remarks, one of a document, languages by the square root of their number."""
    draw = random.Random(seed)  # noqa: S311
    by_package: dict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(documents):
        if row["language"] != "markdown":
            by_package[row["package"]].append(index)
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for members in by_package.values():
        kept = [record for index in members if (record := _record(index, documents[index], draw))]
        draw.shuffle(kept)
        for record in kept[:MOST_OF_A_PACKAGE]:
            found[record["language"]].append(among_others(record, members, draw))
    return by_language(found, most, draw)


def _record(index: int, row: dict[str, Any], draw: random.Random) -> dict[str, Any] | None:
    name = definition_name(row["header"], row["text"])
    if not name:
        return None
    last = name.rpartition(".")[2] or name
    spelled = draw.choice((name, name, last, " ".join(split_name(last))))
    every = list(remarks(row["text"], row["language"]))
    draw.shuffle(every)
    for remark in every:
        question = asked(remark.sentence, spelled if draw.random() < NAMED else "", draw)
        if question:
            answer = said(remark.sentence, last)
            record = {"question": question, "gold": [index], "kind": KIND, "language": row["language"]}
            return {**record, "answer": answer, "evidence": remark.line}
    return None


def main(arguments: list[str] | None = None) -> None:
    """Writes the records; how many of each language as a JSON object to stdout."""
    write_part("remarks", __doc__, KIND, records, arguments, most=MOST)


if __name__ == "__main__":
    main()
