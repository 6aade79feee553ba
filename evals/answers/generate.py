"""Makes the sets: facts, hops and premises of every split, from the pinned packages alone, the same on every machine.
Statements a model wrote, once (codemem.training.statement_questions).

python -m codemem.evals.answers.generate --repositories DIR [--out DIR]
"""

import argparse
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from codemem.evals.answers.fact_questions import facts_of
from codemem.evals.answers.facts import Facts
from codemem.evals.answers.hop_questions import hops_of
from codemem.evals.answers.judge import first_place, normal
from codemem.evals.answers.packages import SPLITS, Package, Split, read_pins, source_files, unpacked
from codemem.evals.answers.phrasing import order
from codemem.evals.answers.premise_questions import chosen_premises, premises_of
from codemem.evals.answers.questions import SETS, Code, Question, SetName, set_path, write_questions
from codemem.evals.answers.syntax import read_facts

BY_RULE: tuple[SetName, ...] = ("facts", "hops", "premises")
OF_A_KIND: dict[str, dict[Split, int]] = {
    "facts": {"dev": 6, "practice": 4, "held-out": 5, "recent": 6},
    "hops": {"dev": 6, "practice": 8, "held-out": 5, "recent": 6},
}
"""Questions of a kind from one package, so that neither large packages nor common kinds decide the mixture."""
ABSENT_SHARE = 0.2
"""Questions that cannot be answered, for every one that can."""
PLAIN_SHARE = 0.34
"""Questions of a kind and package whose answer is one that everybody would guess."""
MOST_RIVALS = 30
_PLAIN = frozenset(
    ("none", "true", "false", "0", "1", "-1", "2", "ValueError", "TypeError", "Error", "NotImplementedError")
)
_LONGEST = 40


@dataclass(frozen=True, slots=True)
class Source:
    """A package, read."""

    package: Package
    facts: Facts
    files: Mapping[str, str]
    """Path -> text of its source files."""
    text: str
    """All of its files."""


def read_source(package: Package, repositories: Path) -> Source:
    root = unpacked(package, repositories)
    files = dict(source_files(root, package.language))
    rest = (path for path in sorted(root.rglob("*")) if path.is_file() and ".codemem" not in path.parts)
    text = "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in rest)
    return Source(package, read_facts(files.items(), package.language), files, text)


def make_set(name: SetName, split: Split, sources: Sequence[Source]) -> list[Question]:
    """The questions of one set, package by package. What is practised on came later, and changes no other set."""
    sources = [source for source in sources if (source.package.split == "practice") == (split == "practice")]
    found: list[Question] = []
    for source in sources:
        package = source.package
        if package.split != split:
            continue
        code = Code(package.name, package.language)
        if name == "premises":
            found += chosen_premises(premises_of(code, source.facts, source.files))
            continue
        make = facts_of if name == "facts" else hops_of
        every = list(make(code, source.facts))
        answered = _chosen(every, OF_A_KIND[name][split])
        found += [_with_rivals(question, every) for question in answered]
        others = [s for s in sources if s.package.language == package.language and s.package.name != package.name]
        absent = _absent(name, source, others or [s for s in sources if s is not source], len(answered))
        found += absent
    counts: Counter[str] = Counter()
    named = []
    for question in found:
        counts[question.package] += 1
        identifier = f"{name}-{question.package}-{counts[question.package]:03d}"
        named.append(replace(question, identifier=identifier))
    return named


def usable(question: Question) -> bool:
    """Whether the values are ones that exact match can judge, and the question does not give them away."""
    asked = " ".join(phrase for phrases in question.asked.values() for phrase in phrases)
    for value in question.expected:
        plain = normal(value)
        quoted = value.strip()[-1:] in "'\"`"
        told = not quoted or re.fullmatch(r"[\w .:/@+-]{2,}", plain)
        if not told or len(plain) > _LONGEST or not re.search(r"\w", plain):
            return False
        if first_place(value, asked) is not None or first_place(value, f"`{value}`") is None:
            return False
    return bool(question.expected)


def _chosen(questions: Iterable[Question], most: int) -> list[Question]:
    """At most `most` of a kind, by hash; few whose answer anybody would guess, and no question twice."""
    kinds: dict[str, list[Question]] = defaultdict(list)
    seen: set[str] = set()
    for question in questions:
        if usable(question) and question.text() not in seen:
            seen.add(question.text())
            kinds[question.kind].append(question)
    chosen = []
    for kind in sorted(kinds):
        ordered = sorted(kinds[kind], key=lambda question: order(question.package, question.text()))
        plain = [q for q in ordered if all(normal(v) in _PLAIN for v in q.expected)]
        telling = [q for q in ordered if q not in plain]
        # Values that repeat in a package are as good as guessed: each is asked for twice at most.
        counts: Counter[tuple[str, ...]] = Counter()
        varied = []
        for question in telling:
            counts[question.expected] += 1
            if counts[question.expected] <= 2:
                varied.append(question)
        kept = varied[:most]
        chosen += [*kept, *plain[: min(most - len(kept), max(1, round(most * PLAIN_SHARE)))]]
    return chosen


def _with_rivals(question: Question, every: Sequence[Question]) -> Question:
    """Other values of the same kind of end in the package."""
    end = question.kind.rpartition("+")[2]
    values = {v for other in every if other.kind.rpartition("+")[2] == end for v in other.expected}
    own = {normal(value) for value in question.expected}
    rivals = sorted((v for v in values if normal(v) not in own and len(v) <= _LONGEST), key=lambda v: order(v, end))
    return replace(question, rivals=tuple(rivals[:MOST_RIVALS]))


def _absent(name: SetName, source: Source, others: Sequence[Source], answered: int) -> list[Question]:
    """Questions about another package of the same language, none of whose names stands anywhere in this one."""
    make = facts_of if name == "facts" else hops_of
    wanted = max(2, round(answered * ABSENT_SHARE))
    words = set(re.findall(r"[A-Za-z_$][\w$]*", source.text))
    candidates = [
        question
        for other in others
        for question in make(Code(other.package.name, other.package.language), other.facts)
        if usable(question) and not _names(question) & words
    ]
    candidates.sort(key=lambda question: order(source.package.name, question.text()))
    kinds: Counter[str] = Counter()
    chosen: list[Question] = []
    for question in candidates:
        if len(chosen) == wanted:
            break
        kinds[question.kind] += 1
        if kinds[question.kind] <= 2:
            chosen.append(replace(question, package=source.package.name, kind="absent", expected=(), evidence=()))
    return chosen


def _names(question: Question) -> set[str]:
    """The names in code spans of a question, parameters included; a path counts by its last part."""
    spans = re.findall(r"`([^`]+)`", question.text())
    return {part for span in spans for part in re.findall(r"[A-Za-z_$][\w$]*", span.rpartition("/")[2])}


def main(arguments: Sequence[str] | None = None) -> int:
    """Generate the sets anew; they are committed, so this changes nothing unless packages or rules changed."""
    parser = argparse.ArgumentParser(prog="python -m codemem.evals.answers.generate", description=main.__doc__)
    parser.add_argument("--repositories", type=Path, required=True, help="where packages are, or are unpacked to")
    parser.add_argument("--out", type=Path, default=SETS)
    options = parser.parse_args(arguments)
    sources = [read_source(package, options.repositories) for package in read_pins().values()]
    for split in SPLITS:
        for name in BY_RULE:
            questions = make_set(name, split, sources)
            write_questions(questions, set_path(name, split, options.out))
            kinds = Counter(question.kind for question in questions)
            print(f"{name}-{split}: {len(questions)} {dict(sorted(kinds.items()))}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
