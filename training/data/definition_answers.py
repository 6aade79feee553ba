"""Answers that need no syntax of a particular language: where something is defined, what it does, who calls it."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from .answer_forms import Answered, pick
from .answer_shards import ANSWERS_FORMAT, AnswerShard, Pool, read_kept, records_of, write_kept
from .definition import Definition, question_of
from .extract import ShardHead
from .python_facts import Passage

MOST_OF_A_KIND = 30

_WHERE = ("Where is `{n}` defined?", "Which file defines {n}?", "In which file do I find {n}?", "Where does {n} live?")
_DOES = ("What does `{n}` do?", "What is {n} for?", "Explain {n} in one sentence.", "What is the purpose of `{n}`?")
_CALLER = ("Which function calls `{n}`?", "Who calls {n}?", "Where is {n} called?", "What uses `{n}`?")


def kept_answers(shard: Path, head: ShardHead, definitions: list[Definition]) -> dict[str, AnswerShard]:
    """Records of a package by language, from beside its shard where they are kept and not older, else made and kept."""
    kept = shard.with_name(shard.name.replace(".jsonl.zst", f".answers{ANSWERS_FORMAT}"))
    if kept.exists() and kept.stat().st_mtime >= shard.stat().st_mtime:
        return read_kept(kept)
    found = {
        language: answers_from_definitions(head.id, [d for d in definitions if d.language == language])
        for language in head.languages
        if language != "markdown"
    }
    write_kept(kept, found)
    return found


def answers_from_definitions(package: str, definitions: list[Definition]) -> AnswerShard:
    """Return records for a package of any language, of names that stand for one definition only."""
    groups: dict[str, list[Definition]] = defaultdict(list)
    for definition in definitions:
        if definition.kind not in ("window", "text"):
            groups[definition.name].append(definition)
    names = [name for name, found in groups.items() if len(found) == 1 and len(name) >= 5 and not found[0].test]
    names.sort(key=lambda name: hashlib.blake2b(f"{package}{name}".encode("utf-8", "replace"), digest_size=8).digest())
    unique = {name: groups[name][0] for name in names}
    kinds = (_placed(unique), _described(unique), _called(unique, definitions))
    chosen = [record for records in kinds for record in islice(records, MOST_OF_A_KIND)]
    passages = [Passage(d.header, d.text) for d in definitions if d.kind not in ("window", "text")]
    return records_of(package, chosen, Pool(passages, chosen), [])


def _first_line(definition: Definition) -> str:
    return next((line.strip() for line in definition.text.split("\n") if definition.name in line), "")


def _placed(unique: dict[str, Definition]) -> Iterator[Answered]:
    for name, definition in unique.items():
        if line := _first_line(definition):
            passage = Passage(definition.header, definition.text)
            place = f"`{definition.path}`" + (f", in `{definition.scope}`" if definition.scope else "")
            yield Answered(
                pick(_WHERE, name).format(n=name), (passage,), f"`{name}` is defined in {place}.", line, "where"
            )


def _described(unique: dict[str, Definition]) -> Iterator[Answered]:
    for name, definition in unique.items():
        line = _first_line(definition)
        summary = question_of(definition.documentation) if definition.documentation and line else None
        if summary and len(definition.text) >= 120:
            passage = Passage(definition.header, definition.text)
            answer = summary if summary.endswith(".") else summary + "."
            yield Answered(pick(_DOES, name).format(n=name), (passage,), answer, line, "does")


def _called(unique: dict[str, Definition], definitions: list[Definition]) -> Iterator[Answered]:
    callers: dict[str, set[int]] = defaultdict(set)
    for number, definition in enumerate(definitions):
        for name, _ in definition.calls:
            if name in unique and unique[name] is not definition:
                callers[name].add(number)
    for name, own in unique.items():
        if len(callers.get(name, ())) != 1:
            continue
        caller = definitions[next(iter(callers[name]))]
        call = re.compile(rf"\b{re.escape(name)}\(")
        line = next((line.strip() for line in caller.text.split("\n")[1:] if call.search(line)), "")
        if not line or caller.test or caller.kind == "window":
            continue
        qualified = f"{caller.scope}.{caller.name}" if caller.scope else caller.name
        answer = f"`{qualified}` in `{caller.path}` calls `{name}`."
        called = Passage(own.header, own.text)
        gold = (Passage(caller.header, caller.text),)
        yield Answered(pick(_CALLER, name).format(n=name), gold, answer, line, "caller", (called,))
