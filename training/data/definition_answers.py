"""Answers that need no syntax of a particular language: where something is defined, what it does, who calls it."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator

from .answer_forms import Answered, pick
from .answer_shards import AnswerShard, Pool, records_of
from .definition import Definition, question_of
from .python_facts import Passage

MOST_OF_A_KIND = 30

_WHERE = ("Where is `{n}` defined?", "Which file defines {n}?", "In which file do I find {n}?", "Where does {n} live?")
_DOES = ("What does `{n}` do?", "What is {n} for?", "Explain {n} in one sentence.", "What is the purpose of `{n}`?")
_CALLER = ("Which function calls `{n}`?", "Who calls {n}?", "Where is {n} called?", "What uses `{n}`?")


def answers_from_definitions(package: str, definitions: list[Definition]) -> AnswerShard:
    """Return records for a package of any language, of names that stand for one definition only."""
    groups: dict[str, list[Definition]] = defaultdict(list)
    for definition in definitions:
        if definition.kind != "window":
            groups[definition.name].append(definition)
    unique = {
        name: found[0] for name, found in groups.items() if len(found) == 1 and len(name) >= 5 and not found[0].test
    }
    by_kind: dict[str, list[Answered]] = defaultdict(list)
    for record in (*_defined(unique), *_callers(unique, definitions)):
        by_kind[record.kind].append(record)
    chosen: list[Answered] = []
    for _, records in sorted(by_kind.items()):
        records.sort(key=lambda record: hashlib.blake2b(f"{package}{record.question}".encode(), digest_size=8).digest())
        chosen.extend(records[:MOST_OF_A_KIND])
    passages = [Passage(d.header, d.text) for d in definitions if d.kind != "window"]
    return records_of(package, chosen, Pool(passages, chosen), [])


def _first_line(definition: Definition) -> str:
    return next((line.strip() for line in definition.text.split("\n") if definition.name in line), "")


def _defined(unique: dict[str, Definition]) -> Iterator[Answered]:
    for name, definition in unique.items():
        passage, line = Passage(definition.header, definition.text), _first_line(definition)
        if not line:
            continue
        place = f"`{definition.path}`" + (f", in `{definition.scope}`" if definition.scope else "")
        yield Answered(pick(_WHERE, name).format(n=name), (passage,), f"`{name}` is defined in {place}.", line, "where")
        summary = question_of(definition.documentation) if definition.documentation else None
        if summary and len(definition.text) >= 120:
            answer = summary if summary.endswith(".") else summary + "."
            yield Answered(pick(_DOES, name).format(n=name), (passage,), answer, line, "does")


def _callers(unique: dict[str, Definition], definitions: list[Definition]) -> Iterator[Answered]:
    callers: dict[str, dict[int, str]] = defaultdict(dict)
    for number, definition in enumerate(definitions):
        for name, _ in definition.calls:
            if name in unique and unique[name] is not definition:
                line = next(
                    (
                        line.strip()
                        for line in definition.text.split("\n")[1:]
                        if re.search(rf"\b{re.escape(name)}\(", line)
                    ),
                    "",
                )
                callers[name].setdefault(number, line)
    for name, found in callers.items():
        ((number, line), *others) = found.items()
        caller = definitions[number]
        if others or not line or caller.test or caller.kind == "window":
            continue
        qualified = f"{caller.scope}.{caller.name}" if caller.scope else caller.name
        answer = f"`{qualified}` in `{caller.path}` calls `{name}`."
        yield Answered(
            pick(_CALLER, name).format(n=name), (Passage(caller.header, caller.text),), answer, line, "caller"
        )
