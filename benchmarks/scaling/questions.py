"""The questions of the scale run and the documents that answer them, in worlds that fit the smallest memory.

A question's documents must be in every memory, and the smallest one has room for those of few questions. So questions
are dealt into worlds of at most `WORLD_TOKENS`: a memory that cannot hold the documents of all worlds is made once a
world, and is then a part of every larger one.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codemem.benchmarks.scaling.corpus import Text, digest
from codemem.benchmarks.scaling.needles import needles
from codemem.evals.answers.packages import Package, Split, read_pins, source_files, unpacked
from codemem.evals.answers.phrasing import order
from codemem.evals.answers.questions import Question, SetName, read_questions, set_path
from codemem.evals.functions import read_pool

if TYPE_CHECKING:
    from codemem.indexer import Document

WORLD_TOKENS = 12_500
WORLDS = 8
"""At most, for what is asked about packages: their documents must fit the second size together."""
_SAME_LINES = 0.3
"""A document that shares this part of its telling lines with one that answers counts as its copy."""
_TELLING = 20
"""Characters of a line that tells something."""
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DEFINES = (
    r"(?:\b(?:def|class|fn|func|function|struct|enum|trait|interface|module|type|const|let|var|val|macro|defun|sub|object|"
    r"record|union|impl)\s+(?:\([^)]*\)\s*)?NAME\b|^\s*(?:static\s+|export\s+|public\s+|private\s+)*NAME\s*(?:=|:|\()|"
    r"#define\s+NAME\b)"
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question by number of the documents that answer it."""

    identifier: str
    kind: str
    """'facts', 'hops', 'single', 'keys', 'values' or 'functions'."""
    text: str
    gold: tuple[tuple[int, ...], ...]
    """For each step, the documents any of which states it."""
    world: int
    names: tuple[str, ...] = ()
    """What a document that could answer in place of the right ones would have to name."""
    values: tuple[str, ...] = ()
    """Of a needle."""
    judged: Question | None = None
    """Of facts and hops: what judges an answer."""


@dataclass(slots=True)
class Questions:
    """Documents that answer, the world of each, and what is asked of them."""

    documents: list[Text] = field(default_factory=list)
    worlds: list[int] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)

    def to_json(self) -> str:
        rows = [asdict(q) | {"judged": None if q.judged is None else q.judged.to_json()} for q in self.asked]
        return json.dumps({"documents": self.documents, "worlds": self.worlds, "asked": rows})

    @classmethod
    def from_json(cls, text: str) -> "Questions":
        raw = json.loads(text)
        return cls([(h, t) for h, t in raw["documents"]], raw["worlds"], [_asked(row) for row in raw["asked"]])


def _asked(row: dict[str, Any]) -> Asked:
    judged = None if row["judged"] is None else Question.from_json(row["judged"])
    gold = tuple(tuple(step) for step in row["gold"])
    return Asked(
        **{**row, "gold": gold, "names": tuple(row["names"]), "values": tuple(row["values"]), "judged": judged}
    )


class _Deal:
    """Deals questions into worlds, the documents of each once."""

    def __init__(self, count_tokens: Callable[[str], int]) -> None:
        self.made = Questions()
        self._count = count_tokens
        self._number: dict[Text, int] = {}
        self._left: list[int] = []

    def open(self) -> int:
        self._left.append(WORLD_TOKENS)
        return len(self._left) - 1

    def add(self, steps: Sequence[Sequence[Text]], worlds: Iterable[int], **about: Any) -> bool:
        """Into the first of these worlds that has room for its documents."""
        flat = list(dict.fromkeys(text for step in steps for text in step))
        for world in worlds:
            new = [text for text in flat if text not in self._number]
            if any(self.made.worlds[self._number[t]] != world for t in flat if t in self._number):
                continue
            cost = sum(self._count(header + text) for header, text in new)
            if cost > self._left[world]:
                continue
            self._left[world] -= cost
            for text in new:
                self._number[text] = len(self.made.documents)
                self.made.documents.append(text)
                self.made.worlds.append(world)
            gold = tuple(tuple(self._number[text] for text in step) for step in steps)
            self.made.asked.append(Asked(gold=gold, world=world, **about))
            return True
        return False


def make_questions(
    repositories: Path,
    pool: Path | None,
    count_tokens: Callable[[str], int],
    *,
    splits: Sequence[Split] = ("dev", "held-out"),
    worlds: int = WORLDS,
) -> Questions:
    """Needles in one world, functions of the pool in another, facts and hops in `worlds` more."""
    deal = _Deal(count_tokens)
    first = deal.open()
    for i, needle in enumerate(needles()):
        steps = [[document] for document in needle.documents]
        about = {"identifier": f"{needle.kind}-{i:03}", "kind": needle.kind, "text": needle.question}
        assert deal.add(steps, [first], **about, values=needle.values), "needles fit one world"
    if pool is not None:
        _add_functions(deal, pool)
    _add_packages(deal, repositories, splits, worlds)
    return deal.made


def _add_functions(deal: _Deal, folder: Path) -> None:
    pool, world = read_pool(folder), deal.open()
    for i, (query, gold) in enumerate(zip(pool.queries, pool.gold, strict=True)):
        header, newline, text = pool.documents[gold].partition("\n")
        if not deal.add(
            [[(header + newline, text)]], [world], identifier=f"functions-{i:04}", kind="functions", text=query
        ):
            break


def _add_packages(deal: _Deal, repositories: Path, splits: Sequence[Split], worlds: int) -> None:
    from codemem.evals.answers.growth import asked_names

    names: tuple[SetName, ...] = ("hops", "facts")
    questions = [(name, q) for split in splits for name in names for q in read_questions(set_path(name, split))]
    # A path in a question would stand for several files, and what is absent here may be present there.
    able = [(n, q) for n, q in questions if q.answerable and not q.kind.startswith("reexports")]
    able.sort(key=lambda pair: (pair[0] != "hops", order("scale", pair[1].identifier)))
    documents = {p: documents_by_path(read_pins()[p], repositories) for p in dict.fromkeys(q.package for _, q in able)}
    opened = [deal.open() for _ in range(worlds)]
    for number, (name, question) in enumerate(able):
        steps = [_covering(documents[question.package], step) for step in question.evidence]
        if all(steps):
            turn = opened[number % worlds :] + opened[: number % worlds]
            deal.add(
                steps,
                turn,
                identifier=question.identifier,
                kind=name,
                text=question.text(),
                names=tuple(sorted(name for name in asked_names(question) if _WORD.fullmatch(name))),
                judged=question,
            )


def documents_by_path(package: Package, repositories: Path) -> "dict[str, list[Document]]":
    """The documents of a package's files as an index of all packages in one folder would cut them."""
    from codemem.indexer import SourceFile, read_file

    found = {}
    for path, text in source_files(unpacked(package, repositories), package.language):
        file = read_file(f"{package.folder}/{path}", text.encode("utf-8", "replace"))
        if isinstance(file, SourceFile):
            found[path] = list(file.documents)
    return found


def _covering(documents: "dict[str, list[Document]]", step: Sequence[Any]) -> list[Text]:
    """The documents that hold any of a step's lines."""
    return list(
        dict.fromkeys(
            (document.header, document.text)
            for line in step
            for document in documents.get(line.path, ())
            if document.start_line <= line.line <= document.end_line
        )
    )


def near_documents(repositories: Path, splits: Sequence[Split]) -> Iterator[Text]:
    """The other documents of the packages that are asked about."""
    for package in read_pins().values():
        if package.split in splits:
            for documents in documents_by_path(package, repositories).values():
                yield from ((document.header, document.text) for document in documents)


class Rivals:
    """Tells which documents could answer in place of the right ones."""

    def __init__(self, questions: Questions) -> None:
        self._digests = {digest(text) for _, text in questions.documents}
        self._lines = {line for _, text in questions.documents for line in _telling_lines(text)}
        self._wanted = [frozenset(q.names) for q in questions.asked if q.names]
        self._names = frozenset().union(*self._wanted)
        self._definitions = {
            name: re.compile(_DEFINES.replace("NAME", re.escape(name)), re.MULTILINE) for name in self._names
        }

    def could_answer(self, document: Text) -> bool:
        """A copy; a document that shares many lines; one that holds all names asked for and defines one of them."""
        text = document[1]
        if digest(text) in self._digests:
            return True
        lines = _telling_lines(text)
        if lines and sum(line in self._lines for line in lines) > _SAME_LINES * len(lines):
            return True
        held = self._names & set(_WORD.findall(text))
        return bool(held) and any(
            wanted <= held and any(self._definitions[name].search(text) for name in wanted) for wanted in self._wanted
        )


def _telling_lines(text: str) -> list[str]:
    return [line.strip() for line in text.split("\n") if len(line.strip()) >= _TELLING]
