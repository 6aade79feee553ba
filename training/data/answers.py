"""Questions with short answers and the lines that decide them, from a package's facts.

Every answer is a statement of the syntax tree put into a sentence, never a guess. The templates vary how a person asks
and how much of a name is given; the answer's form varies little, since the model is to learn to be brief. None of them
is a sentence of the evaluation (evals/answers/phrasings.toml), which a test holds them to.
"""

import hashlib
from collections import Counter, defaultdict
from dataclasses import replace

from .answer_forms import Answered
from .answer_hops import HOPS
from .call_answers import callees, callers
from .fact_answers import of_classes, of_constants, of_functions
from .python_facts import PackageFacts, Passage

NOT_FOUND = (
    "The sources do not say.",
    "This is not in the sources.",
    "I did not find this in the repository.",
    "Nothing in the sources answers this.",
)
# At most this many of a kind from one package, so that large packages do not decide the mixture. What is read and
# misread (raises, decorators, derives, callers) may come oftener.
LIMITS = {
    "default": 50,
    "raises": 70,
    "returns": 40,
    "bases": 40,
    "implements": 25,
    "decorators": 50,
    "derives": 40,
    "caller": 50,
    "callers": 25,
    "callee": 50,
    "does": 50,
    "constant": 30,
    "overrides": 30,
    "inherits+default": 40,
    "inherits+raises": 40,
    "inherits+returns": 25,
    "calls+default": 30,
    "calls+raises": 50,
    "calls+returns": 20,
    "creates+default": 40,
    "reexport+bases": 30,
    "reexport+default": 20,
    "uses+constant": 30,
}
MOST_OF_A_VALUE = 12
"""Records of a kind and package whose answer ends in the same value."""
TWO_HOP = frozenset(kind for kind in LIMITS if "+" in kind)
_COMPARED = frozenset(("default", "raises", "returns", "bases", "decorators", "derives", "caller", "callers", "callee"))
"""Kinds that are read beside others of the kind: next to the decorator of one function stands that of another."""


def answered(package: str, facts: PackageFacts) -> list[Answered]:
    """Return the questions of a package, at most LIMITS of each kind, chosen by hash."""
    facts.settle()
    groups: dict[str, list[Answered]] = defaultdict(list)
    for source in (of_functions, of_classes, callers, callees, of_constants, *HOPS):
        for record in source(facts):
            groups[record.kind].append(record)
    chosen: list[Answered] = []
    for kind, records in sorted(groups.items()):
        beside = _Beside(records) if kind.rpartition("+")[2] in _COMPARED else None
        records.sort(key=lambda record: hashlib.blake2b(f"{package}{record.question}".encode(), digest_size=8).digest())
        kept = _varied(records)[: LIMITS[kind]]
        chosen.extend(map(beside.told_apart, kept) if beside else kept)
    return chosen


def _varied(records: list[Answered]) -> list[Answered]:
    """The records, without those whose value came often before: what always is `Error` need not be read."""
    seen: Counter[str] = Counter()
    kept = []
    for record in records:
        value = _value(record)
        seen[value] += 1
        if not value or seen[value] <= MOST_OF_A_VALUE:
            kept.append(record)
    return kept


def _value(record: Answered) -> str:
    """What the answer names last in a code span, besides the files in which it stands."""
    paths = {_path(passage) for passage in record.gold}
    return next((name for name in reversed(record.answer.split("`")[1::2]) if name not in paths), "")


class _Beside:
    """Finds, for a record, what answers the same question about something else: of the same name, of the same file."""

    def __init__(self, records: list[Answered]) -> None:
        self._files: dict[str, list[Answered]] = defaultdict(list)
        self._names: dict[str, list[Answered]] = defaultdict(list)
        for record in records:
            self._files[_path(record.gold[-1])].append(record)
            if record.subject:
                self._names[record.subject].append(record)

    def told_apart(self, record: Answered) -> Answered:
        """The record with up to two such passages beside it."""
        found: list[Passage] = []
        for others in (self._names[record.subject], self._files[_path(record.gold[-1])]):
            near = [other for other in others if other.evidence != record.evidence]
            near = [other for other in near if _value(other) != _value(record)] or near
            known = (*record.gold, *record.beside, *found)
            fitting = [other.gold[-1] for other in near if other.gold[-1] not in known]
            if fitting:
                number = int.from_bytes(hashlib.blake2b(record.question.encode(), digest_size=4).digest(), "big")
                found.append(fitting[number % len(fitting)])
        return replace(record, beside=(*record.beside, *found)) if found else record


def _path(passage: Passage) -> str:
    return passage.header.split(" ")[0].strip()
