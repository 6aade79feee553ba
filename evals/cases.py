"""Retrieval cases: a query about a repository at a revision, and the files (or lines) that answer it.

Readers for the development sets: semble's annotations, SWE-QA's cited files, SWE-bench Lite's fixes.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from codemem.evals.errors import BadCasesError


@dataclass(frozen=True, slots=True)
class Span:
    """Lines of a file, 1-based and inclusive."""

    path: str
    start_line: int
    end_line: int

    def overlaps(self, other: "Span") -> bool:
        return self.path == other.path and self.start_line <= other.end_line and other.start_line <= self.end_line


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository at a pinned revision, and the part of it that is searched."""

    name: str
    """As GitHub spells it, `owner/name`."""
    revision: str
    """Commit id, possibly abbreviated."""
    folder: str = ""
    """Sub-folder to index, '' for all of it; paths stay relative to the repository's root."""

    @property
    def short_name(self) -> str:
        return self.name.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Case:
    """One query with everything that counts as an answer."""

    identifier: str
    repository: Repository
    query: str
    category: str
    files: tuple[str, ...]
    """Gold files: a result counts if its path ends with one of them."""
    spans: tuple[Span, ...] = ()
    """Gold lines, where the set has them."""


@dataclass(frozen=True, slots=True)
class CaseSet:
    """The cases of one data set, in the order of its files."""

    name: str
    cases: tuple[Case, ...]

    @property
    def repositories(self) -> tuple[Repository, ...]:
        return tuple(dict.fromkeys(case.repository for case in self.cases))


def read_semble(folder: Path) -> CaseSet:
    """semble's annotations: `repos.json` and one file of queries a repository."""
    cases = []
    for entry in _json(folder / "repos.json"):
        owner_and_name = entry["url"].removesuffix(".git").split("github.com/")[-1]
        repository = Repository(owner_and_name, entry["revision"], entry.get("benchmark_root", ""))
        for number, row in enumerate(_json(folder / f"{entry['name']}.json")):
            gold = [_target(target) for target in [*row["relevant"], *row.get("secondary", [])]]
            identifier = f"{entry['name']}-{number:02d}"
            files = tuple(dict.fromkeys(gold))
            cases.append(Case(identifier, repository, row["query"], row["category"], files))
    return CaseSet("semble", tuple(cases))


def read_swe_qa(path: Path, owners: dict[str, str] | None = None) -> CaseSet:
    """SWE-QA questions with the files that the reference answer cites; rows name repositories without their owner."""
    owners = owners or {"requests": "psf/requests", "sqlfluff": "sqlfluff/sqlfluff"}
    cases = []
    for row in _lines(path):
        repository = Repository(owners.get(row["repo"], row["repo"]), row["commit"])
        identifier = f"{row['repo']}-{row['idx']:02d}"
        cases.append(Case(identifier, repository, row["question"], row["repo"], tuple(row["gold_files"])))
    return CaseSet("swe-qa", tuple(cases))


def read_swe_bench(path: Path) -> CaseSet:
    """SWE-bench Lite issues with the files and hunks that the fix changed."""
    cases = []
    for row in _lines(path):
        repository = Repository(row["repo"], row["base_commit"])
        spans = tuple(Span(hunk["path"], hunk["start_line"], hunk["end_line"]) for hunk in row["gold_hunks"])
        gold = tuple(row["gold_files"])
        cases.append(Case(row["instance_id"], repository, row["problem_statement"], row["repo"], gold, spans))
    return CaseSet("swe-bench-lite", tuple(cases))


def read_all(folder: Path) -> dict[str, Callable[[], CaseSet]]:
    """Readers of the sets found under `folder`, by name, each read only when called."""
    found: dict[str, Callable[[], CaseSet]] = {}
    for part in sorted(folder.iterdir()) if folder.is_dir() else []:
        if (part / "repos.json").is_file():
            found["semble"] = partial(read_semble, part)
        if (part / "cited_files.jsonl").is_file():
            found["swe-qa"] = partial(read_swe_qa, part / "cited_files.jsonl")
        if (part / "localization.jsonl").is_file():
            found["swe-bench-lite"] = partial(read_swe_bench, part / "localization.jsonl")
    if not found:
        raise BadCasesError(f"no evaluation sets under {folder}: expected folders such as semble-dev")
    return found


def _target(entry: Any) -> str:
    return entry if isinstance(entry, str) else str(entry["path"])


def _json(path: Path) -> list[Any]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise BadCasesError(f"{path}: {error}") from error
    if not isinstance(rows, list):
        raise BadCasesError(f"{path}: expected a list")
    return rows


def _lines(path: Path) -> list[Any]:
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
    except (OSError, json.JSONDecodeError) as error:
        raise BadCasesError(f"{path}: {error}") from error
