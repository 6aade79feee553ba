"""Turn one Python package's facts into records for answer training: gold documents, distractors, unanswerable ones."""

import hashlib
import json
import random
import re
import tarfile
import zipfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

from . import python_definitions
from .answer_forms import Answered
from .answers import NOT_FOUND, TWO_HOP, answered
from .archive import has_restricted_notice, is_permissive, licence_of, members
from .definition import split_name
from .download import PackageName, archives
from .extract import LEFT_OUT, TEST, repository_path
from .python_fact_reader import add_file
from .python_facts import PackageFacts, Passage

ANSWERS_FORMAT = 10
UNANSWERABLE_SHARE = 0.2
MAX_FILES = 800  # a few packages hold thousands; the limits of each kind are reached long before
_DISTRACTORS = (3, 4, 5, 6)


@dataclass(frozen=True, slots=True)
class AnswerShard:
    """Records of one package; gold and distractors are indices into `passages`."""

    passages: list[Passage]
    records: list[dict[str, Any]]


def answer_shard(package: PackageName, raw: Path, shard: Path) -> AnswerShard:
    """Return the records of a package, from `shard` if it exists, else by reading the archives."""
    if shard.exists():
        return read_kept(shard)["python"]
    paths = list(archives(package, raw))
    facts = _facts(package, paths) if is_permissive(licence_of(package.ecosystem, paths)) else PackageFacts()
    result = records_of_package(package.id, facts)
    write_kept(shard, {"python": result})
    return read_kept(shard)["python"]


def read_kept(path: Path) -> dict[str, AnswerShard]:
    """What `write_kept` wrote."""
    content = json.loads(zstandard.ZstdDecompressor().decompress(path.read_bytes()))
    return {
        language: AnswerShard([Passage(*pair) for pair in part["passages"]], part["records"])
        for language, part in content.items()
    }


def write_kept(path: Path, found: dict[str, AnswerShard]) -> None:
    """Keeps records by language, of their passages those that a record refers to."""
    content = {}
    for language, shard in found.items():
        used = sorted({n for record in shard.records for n in (*record["gold"], *record["distractors"])})
        place = {old: new for new, old in enumerate(used)}
        moved = [
            {**record, **{name: [place[n] for n in record[name]] for name in ("gold", "distractors")}}
            for record in shard.records
        ]
        passages = [[shard.passages[n].header, shard.passages[n].text] for n in used]
        content[language] = {"passages": passages, "records": moved}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(zstandard.ZstdCompressor(3).compress(json.dumps(content).encode()))
    temporary.rename(path)


def _facts(package: PackageName, paths: list[Path]) -> PackageFacts:
    facts, files = PackageFacts(), 0
    for archive in paths:
        try:
            for member in members(archive, re.compile(r"\.py$")):
                path = repository_path(package, member.path)
                text = member.data.decode("utf-8", "replace").replace("\r\n", "\n")
                if LEFT_OUT.search("/" + path) or TEST.search(path) or has_restricted_notice(text):
                    continue
                files += 1
                if files > MAX_FILES:
                    return facts
                if tree := python_definitions.parse(text):
                    add_file(facts, path, text, tree)
        except (tarfile.TarError, zipfile.BadZipFile, EOFError):
            continue
    return facts


class Pool:
    """Passages of a package by file and by the words of their headers and first lines."""

    def __init__(self, passages: list[Passage], records: list[Answered]) -> None:
        of_records = (passage for record in records for passage in (*record.gold, *record.beside))
        self.passages = list(dict.fromkeys([*passages, *of_records]))
        self.index = {passage: number for number, passage in enumerate(self.passages)}
        self._words: dict[str, list[int]] = defaultdict(list)
        self._files: dict[str, list[int]] = defaultdict(list)
        for number, passage in enumerate(self.passages):
            self._files[passage.header.split(" ")[0].strip()].append(number)
            for word in set(split_name(passage.header + passage.text.split("\n", 1)[0][:200])):
                self._words[word].append(number)

    def distractors(self, record: Answered, count: int, chance: random.Random) -> list[int]:
        """Choose documents that look relevant and do not hold the evidence, those beside the answer first."""
        first = record.gold[-1]
        words = sorted(
            (len(self._words[word]), word) for word in set(split_name(record.question)) if word in self._words
        )
        candidates: list[int] = []
        for _, word in words[:4]:
            candidates += chance.sample(self._words[word], min(2, len(self._words[word])))
        same_file = self._files[first.header.split(" ")[0].strip()]
        candidates += chance.sample(same_file, min(3, len(same_file)))
        chance.shuffle(candidates)
        candidates += chance.sample(range(len(self.passages)), min(4, len(self.passages)))
        candidates = [*(self.index[passage] for passage in record.beside), *candidates]
        gold = {self.index[passage] for passage in record.gold}
        kept: list[int] = []
        for number in candidates:
            text = self.passages[number].text
            overlaps = any(passage.text[:200] in text or text[:200] in passage.text for passage in record.gold)
            if number not in gold and number not in kept and record.evidence not in text and not overlaps:
                kept.append(number)
        return kept[:count]


def records_of_package(package: str, facts: PackageFacts) -> AnswerShard:
    """Records about the facts of a Python package."""
    found = answered(package, facts)
    passages = (
        [f.passage for f in facts.functions] + [c.passage for c in facts.classes] + [c.passage for c in facts.constants]
    )
    parameters = sorted({parameter for function in facts.functions for parameter, _, _ in function.defaults})
    return records_of(package, found, Pool(passages, found), parameters)


def records_of(package: str, found: list[Answered], pool: Pool, parameters: list[str]) -> AnswerShard:
    """Give every answered question its distractors, and some a twin that cannot be answered."""
    chance = random.Random(hashlib.sha256(package.encode()).hexdigest())  # noqa: S311 (a choice, not a secret)
    rows: list[dict[str, Any]] = []
    for record in found:
        distractors = pool.distractors(record, chance.choice(_DISTRACTORS), chance)
        if len(distractors) < 2:
            continue
        gold = [pool.index[passage] for passage in record.gold]
        row = {"question": record.question, "gold": gold, "distractors": distractors, "answer": record.answer}
        rows.append({**row, "evidence": record.evidence, "kind": record.kind})
        if chance.random() < UNANSWERABLE_SHARE:
            rows.append(_without_gold(record, row, parameters, pool, chance))
    return AnswerShard(pool.passages, rows)


def _without_gold(
    record: Answered, row: dict[str, Any], parameters: list[str], pool: Pool, chance: random.Random
) -> dict[str, Any]:
    """Take the decisive document away, or ask about a parameter that the function does not have."""
    question, left = record.question, list(row["distractors"])
    text = record.gold[-1].text
    absent = [name for name in parameters if name not in text]
    parameter = record.answer.split("`")[1] if record.kind == "default" else ""
    if parameter and absent and parameter in question and chance.random() < 0.4:
        other = chance.choice(absent)
        # The name is replaced where it stands alone, not inside the function's own name.
        question = re.sub(rf"(?<![\w.]){re.escape(parameter)}(?![\w.(])", other, question, count=1)
        left = [pool.index[record.gold[-1]], *left] if other in question else left
    elif record.kind in TWO_HOP and chance.random() < 0.5 and record.evidence not in record.gold[0].text:
        left = [pool.index[record.gold[0]], *left]
    chance.shuffle(left)
    answer = chance.choice(NOT_FOUND)
    return {
        "question": question,
        "gold": [],
        "distractors": left,
        "answer": answer,
        "evidence": "",
        "kind": "unanswerable",
    }
