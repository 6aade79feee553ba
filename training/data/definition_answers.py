"""Answers about packages of other languages than Python.

Where something is defined and what it does need no syntax of a particular language; who calls what neither, where no
grammar says more. Of languages with a grammar (`fact_grammars`) the same is asked as of Python.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from .answer_forms import Answered, ask
from .answer_shards import ANSWERS_FORMAT, AnswerShard, Pool, read_kept, records_of, write_kept
from .answers import answered
from .call_answers import called_by
from .definition import Definition, question_of
from .download import PackageName, archives
from .extract import ShardHead, sources_of
from .fact_grammars import GRAMMARS
from .python_facts import PackageFacts, Passage
from .source_facts import facts_of_files

MOST_OF_A_KIND = 30
_C_FAMILY = ("c", "cpp")
"""Languages that call each other's functions by their bare names."""


def kept_answers(shard: Path, head: ShardHead, definitions: list[Definition], raw: Path) -> dict[str, AnswerShard]:
    """Records of a package by language, from beside its shard where they are kept and not older, else made and kept.

    `raw`: the folder of downloads, whose archives are read again for what stands between definitions.
    """
    kept = shard.with_name(shard.name.replace(".jsonl.zst", f".answers{ANSWERS_FORMAT}"))
    if kept.exists() and kept.stat().st_mtime >= shard.stat().st_mtime:
        return read_kept(kept)
    package = PackageName(*head.id.split(":", 1))
    sources = sources_of(package, list(archives(package, raw))) if GRAMMARS.keys() & head.languages.keys() else {}
    found = {}
    for language in head.languages.keys() - {"markdown"}:
        own = [definition for definition in definitions if definition.language == language]
        files = sources.get(language, []) if language in GRAMMARS else []
        both = _C_FAMILY if language in _C_FAMILY else ()
        taken = {
            definition.name
            for definition in definitions
            if definition.language in both and definition.language != language
        }
        facts = facts_of_files(files, own, language, taken=taken) if files else None
        found[language] = answers_from_definitions(head.id, own, facts)
    write_kept(kept, found)
    return found


def answers_from_definitions(
    package: str, definitions: list[Definition], facts: PackageFacts | None = None
) -> AnswerShard:
    """Return records for a package of any language, of names that stand for one definition only, and about its facts
    if they were read."""
    groups: dict[str, list[Definition]] = defaultdict(list)
    for definition in definitions:
        if definition.kind not in ("window", "text"):
            groups[definition.name].append(definition)
    names = [name for name, found in groups.items() if len(found) == 1 and len(name) >= 5 and not found[0].test]
    names.sort(key=lambda name: hashlib.blake2b(f"{package}{name}".encode("utf-8", "replace"), digest_size=8).digest())
    unique = {name: groups[name][0] for name in names}
    kinds = [_placed(unique), _described(unique)]
    if facts is None:
        links = _links(unique, definitions)
        kinds += [_callers(links), _callees(links, groups.keys())]
    chosen = [record for records in kinds for record in islice(records, MOST_OF_A_KIND)]
    chosen += answered(package, facts) if facts is not None else []
    passages = [Passage(d.header, d.text) for d in definitions if d.kind not in ("window", "text")]
    parameters = sorted({p for f in facts.functions for p, _, _ in f.defaults}) if facts is not None else []
    return records_of(package, chosen, Pool(passages, chosen), parameters)


def _first_line(definition: Definition) -> str:
    return next((line.strip() for line in definition.text.split("\n") if definition.name in line), "")


def _placed(unique: dict[str, Definition]) -> Iterator[Answered]:
    for name, definition in unique.items():
        if line := _first_line(definition):
            passage = Passage(definition.header, definition.text)
            place = f"`{definition.path}`" + (f", in `{definition.scope}`" if definition.scope else "")
            yield Answered(ask("where", n=name), (passage,), f"`{name}` is defined in {place}.", line, "where")


def _described(unique: dict[str, Definition]) -> Iterator[Answered]:
    for name, definition in unique.items():
        line = _first_line(definition)
        summary = question_of(definition.documentation) if definition.documentation and line else None
        if summary and len(definition.text) >= 120:
            passage = Passage(definition.header, definition.text)
            answer = summary if summary.endswith(".") else summary + "."
            yield Answered(ask("does, by name", n=name), (passage,), answer, line, "does")


@dataclass(frozen=True, slots=True)
class _Link:
    """A call that is the only one of what it calls."""

    caller: Definition
    callee: Definition
    line: str

    @property
    def qualified(self) -> str:
        return f"{self.caller.scope}.{self.caller.name}" if self.caller.scope else self.caller.name


def _links(unique: dict[str, Definition], definitions: list[Definition]) -> list[_Link]:
    """By pattern: calls of names that stand for one definition and are called from one."""
    callers: dict[str, set[int]] = defaultdict(set)
    for number, definition in enumerate(definitions):
        for name, _ in definition.calls:
            if name in unique and unique[name] is not definition:
                callers[name].add(number)
    found = []
    for name, own in unique.items():
        if len(callers.get(name, ())) != 1 or own.kind == "class":
            continue
        caller = definitions[next(iter(callers[name]))]
        call = re.compile(rf"\b{re.escape(name)}\(")
        line = next((line.strip() for line in caller.text.split("\n")[1:] if call.search(line)), "")
        if line and not caller.test and caller.kind != "window":
            found.append(_Link(caller, own, line))
    return found


def _callers(links: list[_Link]) -> Iterator[Answered]:
    for link in links:
        name, caller = link.callee.name, link.caller
        answer = called_by(name, [(link.qualified, caller.path)])
        called = Passage(link.callee.header, link.callee.text)
        gold = (Passage(caller.header, caller.text),)
        yield Answered(ask("caller", f=f"`{name}`"), gold, answer, link.line, "caller", (called,))


def _callees(links: list[_Link], known: Collection[str]) -> Iterator[Answered]:
    """Of definitions that call one such function, and nothing else that is `known`; the same two documents the other
    way round."""
    of_caller: dict[tuple[str, str], list[_Link]] = defaultdict(list)
    for link in links:
        of_caller[link.caller.path, link.qualified].append(link)
    for (_, qualified), found in of_caller.items():
        link = found[0]
        if {name for name, _ in link.caller.calls if name in known} == {link.callee.name}:
            called = Passage(link.callee.header, link.callee.text)
            gold = (Passage(link.caller.header, link.caller.text),)
            answer = f"`{qualified}` calls `{link.callee.name}`."
            question = ask("callee", f=f"`{qualified}`")
            yield Answered(question, gold, answer, link.line, "callee", (called,))
