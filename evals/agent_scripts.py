"""Two scripted agents that look for the files of a task: one with grep and read, one with codemem's tools.

Scripts, not models: what they do depends on the task and the tools alone, so a difference is the tools'. Both open at
most FILES files, a window of WINDOW lines each, and pay for every word that a tool returns, as an agent's context does.
"""

import json
import math
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

FILES = 5
"""That an agent opens."""
WINDOW = 60
"""Lines of a file that it reads."""
TERMS = 8
LISTED = 30
"""Files that a search lists."""
MATCHES = 20
"""Lines that a search within a file shows."""
LINE_CHARACTERS = 200
PLACES = 8
QUERY_CHARACTERS = 2000

_TOKEN = re.compile(r"\w+|[^\w\s]")
_WORD = re.compile(r"[A-Za-z_][\w.]*")
_STOP = """about above after again against also because been before being below between both cannot could does doing
done down during each from further have having here into itself just like made make more most much must only other over
same should some such than that their them then there these they this those through under until used using very want
were what when where which while will with without would your http https github issue following"""
STOP_WORDS = frozenset(_STOP.split())


def tokens(text: str) -> int:
    """Words and marks: a count that favours no model's tokenizer."""
    return sum(1 for _ in _TOKEN.finditer(text))


@dataclass(slots=True)
class Trace:
    """What an agent did for one task."""

    opened: list[str] = field(default_factory=list)
    """Files in the order in which it opened them."""
    spent: list[int] = field(default_factory=list)
    """Tokens read up to and including each of them."""
    tokens: int = 0
    calls: int = 0

    def read(self, text: str) -> None:
        self.tokens += tokens(text)
        self.calls += 1

    def open(self, path: str, text: str) -> None:
        self.read(text)
        self.opened.append(path)
        self.spent.append(self.tokens)


def search_terms(task: str) -> list[str]:
    """What someone would grep for: names first (underscores, dots, capitals inside), then the longer words."""
    names: list[str] = []
    words: list[str] = []
    for match in _WORD.finditer(task):
        word = match.group().strip("._")
        last = word.rpartition(".")[2]
        if len(last) < 3:
            continue
        looks_named = "_" in last or "." in word or re.search(r"[a-z][A-Z]", last)
        if looks_named:
            names.append(last.lower())
        elif len(last) >= 4 and last.lower() not in STOP_WORDS:
            words.append(last.lower())
    return list(dict.fromkeys([*names, *words]))[:TERMS]


class GrepAgent:
    """Searches for each term, ranks files by rare and repeated terms, and reads around the densest matches."""

    def __init__(self, texts: Sequence[tuple[str, str]]) -> None:
        """`texts` are paths and contents of every text file."""
        self._texts = dict(texts)
        self._lower = {path: text.lower() for path, text in texts}

    async def solve(self, task: str) -> Trace:
        trace, scores = Trace(), dict[str, float]()
        weights: dict[str, float] = {}
        for term in search_terms(task):
            counts = {path: n for path, text in self._lower.items() if (n := text.count(term))}
            shown = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:LISTED]
            trace.read("\n".join(f"{path}:{count}" for path, count in shown))
            weights[term] = math.log(1 + len(self._lower) / (1 + len(counts)))
            for path, count in shown:
                named = 2.0 if term in path.lower() else 1.0
                scores[path] = scores.get(path, 0.0) + named * weights[term] * (1 + math.log(count))
        best = sorted(scores, key=lambda path: (-scores[path] * _worth(path), path))
        for path in best[:FILES]:
            self._read_around(trace, path, weights)
        return trace

    def _read_around(self, trace: Trace, path: str, weights: Mapping[str, float]) -> None:
        lines = self._texts[path].split("\n")
        values = [sum(w for term, w in weights.items() if term in line.lower()) for line in lines]
        matches = [number for number, value in enumerate(values) if value]
        trace.read("\n".join(f"{number + 1}:{lines[number][:LINE_CHARACTERS]}" for number in matches[:MATCHES]))
        start = max(range(len(lines)), key=lambda at: sum(values[at : at + WINDOW]))
        trace.open(path, "\n".join(lines[start : start + WINDOW]))


def _worth(path: str) -> float:
    """An agent that looks for code opens tests, changes and prose later."""
    prose = path.lower().endswith((".md", ".rst", ".txt"))
    return 0.5 if prose or "test" in path.lower() or "change" in path.lower() else 1.0


CallTool = Callable[[str, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
"""Calls a tool of the server for agents; its structured result."""


class CodememAgent:
    """Asks `find` once, in the task's own words, and reads where it points."""

    def __init__(self, call: CallTool) -> None:
        self._call = call

    async def solve(self, task: str) -> Trace:
        trace = Trace()
        found = await self._call("find", {"query": task[:QUERY_CHARACTERS], "count": PLACES})
        trace.read(json.dumps(found))
        first = {place["path"]: place for place in reversed(found["results"])}
        for path in list(dict.fromkeys(place["path"] for place in found["results"]))[:FILES]:
            start = max(1, first[path]["start_line"] - 5)
            wanted = {"path": path, "start_line": start, "end_line": start + WINDOW - 1}
            trace.open(path, json.dumps(await self._call("read_span", wanted)))
        return trace
