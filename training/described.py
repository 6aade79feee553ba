"""Values asked for in plain words, as answers: `python -m codemem.training.described --data FOLDER`.

"How long does it wait before it gives up?" spells no name, and is answered by one: "`close_timeout` is `30`, set in
`net/socket.py`." What a parameter or a constant is called in plain words stands beside it: in its documentation, in
the comment on its line or above it, and in the words of its name. So the question is made of those, and the answer is a
fact in the form that facts have (training/data/fact_answers.py), where a larger model's explanations would say in words
what the value may be for. Writes `explained-described-0.jsonl.zst`, which a run reads as further answers of the kind
`described`.
"""

import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from codemem.indexer.kinds import file_kind
from codemem.training.corpus import path_alone
from codemem.training.data.definition import split_name
from codemem.training.definition_names import definition_name
from codemem.training.described_questions import asked
from codemem.training.explained_part import among_others, by_language, write_part

KIND = "described"
MOST, MOST_OF_A_PACKAGE = 9_000, 40
FEWEST = 4
"""Of a package, questions from the words of names alone, however few are told of."""
NAMED_WORDS = 0.55
"""Share of questions that say, in words, what the value belongs to."""

_NUMBER = r"-?\d[\d_]*(?:\.\d+)?(?:e-?\d+)?(?:\s*(?:\*\*|\*|<<)\s*\d[\d_]*)*"
_SPANS = "Duration|timedelta|Seconds|Minutes|from_secs|from_millis|seconds|minutes"
_CALL = rf"(?:[A-Za-z_]\w*(?:\.|::))*(?:{_SPANS})\([\w=., ]{{1,24}}\)"
_TEXT = r"\"[^\"\n`]{1,40}\"|'[^'\n`]{1,40}'"
_LITERAL = rf"(?:{_CALL}|{_NUMBER}|{_TEXT}|true|false|True|False|Infinity|math\.inf)"
_WORDS_BEFORE = "export|pub|public|private|protected|static|final|readonly|const|let|var|val|local|mut|define|default"
_TYPED = r"(?:\s*:\s*[\w.\[\]<>|, ]{1,40}?)?"
_SET = re.compile(
    rf"^(?:(?:{_WORDS_BEFORE})\s+)*(?:self\.|this\.|@)?(?P<name>[A-Za-z_]\w*){_TYPED}\s*:?=\s*(?P<value>{_LITERAL})"
    r"\s*;?\s*(?:(?:#|//|--)\s*(?P<said>.*))?$"
)
"""A constant, an attribute or a variable that is given a value, and what the comment on its line says."""
_ENTRY = re.compile(rf"^(?P<name>[A-Za-z_]\w*)\s*:\s*(?P<value>{_LITERAL}),?\s*(?://\s*(?P<said>.*))?$")
"""Of an object or a table, where a colon does not stand before a type."""
_TYPE_BEHIND_COLON = frozenset(("python", "rust", "kotlin", "scala", "swift", "haskell"))
_FALLBACK = re.compile(
    r"^(?:(?:const|let|var|val)\s+)?(?:self\.|this\.)?#?_?(?P<name>[A-Za-z]\w*)\s*[:=]\s*(?:\w+\.)*(?P=name)"
    rf"\s*(?:\|\||\?\?|\bor)\s*(?P<value>{_LITERAL})\s*[,;]?$"
)
"""What is taken where nothing was given."""
_PARAMETER = re.compile(rf"(?:^|[(,])\s*(?P<name>[a-z_]\w*){_TYPED}\s*=\s*(?P<value>{_LITERAL})\s*(?=[,)]|(?:#.*)?$)")
_SIGNATURE = re.compile(r"\b(?:def|func|function|fun|constructor|async)\b.*\(|^[\w$]+\(.*\{$")
_DOCUMENTED = tuple(
    re.compile(form, re.MULTILINE)
    for form in (
        r":param\s+(?:\w+\s+)?(?P<name>\w+)\s*:\s*(?P<said>.+)$",
        r"@param\s+(?:\{[^}\n]*\}\s*)?\[?(?P<name>\w+)(?:=[^\]\n]*)?\]?\s*-?\s*(?P<said>.+)$",
        r"^\s+(?P<name>\w+)\s*(?:\([^)\n]*\))?\s*:\s+(?P<said>[A-Z].+)$",
        r"^\s*(?P<name>\w+) : [^\n]+\n\s+(?P<said>[A-Z].+)$",
    )
)
"""Parameters in a docstring: of Sphinx, of JSDoc and its like, of Google, of NumPy."""
_COMMENT_ABOVE = re.compile(r"^(?:#|//|--|/\*\*?|\*)\s*(?P<said>[A-Za-z].+?)\s*(?:\*/)?$")
_DOCSTRING_BELOW = re.compile(r'^"""(?P<said>[^"]+?)(?:"""|$)')
_SHORTEST_NAME = 4
_TABLE = 4
"""So many lines in a row that give values to names, and they are a table: none says what it is for."""
_DULL = frozenset((
    "name", "type", "kind", "index", "value", "result", "count", "data", "text", "title", "version", "size", "revision",
    "description", "message", "label", "help", "path", "mode", "status", "found", "line", "args", "axis", "prefix",
))  # fmt: skip
_BY_NAME = ("__init__", "initialize", "constructor", "__call__", "new")
"""Methods that are called by what they belong to."""
_LIMITS = frozenset((
    "max", "min", "maximum", "minimum", "limit", "threshold", "timeout", "delay", "interval", "ttl", "retries",
    "attempts", "capacity", "workers", "lifetime", "expiry", "backoff", "wait",
))  # fmt: skip
"""Words of a name by which even a value that nothing is said of is asked for."""


class Value(NamedTuple):
    """A name, what it is set to, and what is said of it."""

    name: str
    value: str
    line: str
    said: str
    """'' where nothing is."""
    default: bool
    """A parameter's, or what is taken where nothing is given."""


def values(text: str, language: str) -> list[Value]:
    """Those of a text that its lines give once, each with what stands beside it."""
    lines = [line.strip() for line in text.split("\n")]
    told, parameters = _told(text), _signature(lines)
    found: list[Value] = []
    for at, line in enumerate(lines):
        if lines.count(line) == 1:
            found += _parameters(line, told) if at in parameters else _of_line(lines, at, told, language)
    times = Counter(value.name for value in found)
    return [value for value in found if times[value.name] == 1 and _is_asked_about(value)]


def _is_asked_about(value: Value) -> bool:
    """Not a variable that merely begins somewhere: it is told of, is a constant or a parameter, or sets a limit."""
    parts = set(split_name(value.name))
    own = value.value.strip("'\"").lower()
    if not value.said and (len(parts) == 1 and value.name.isupper()):  # one of several, as of an enumeration
        return False
    if len(value.name) < _SHORTEST_NAME or value.name.lower().strip("_") in _DULL or set(split_name(own)) == parts:
        return False
    begins = own in ("true", "false", "0", "1", "-1", "0.0", "none") and not value.name.isupper()
    if value.default:
        return bool(value.said) or not begins
    return not begins and (bool(value.said) or value.name.isupper() or bool(parts & _LIMITS))


def _told(text: str) -> dict[str, str]:
    """Parameter -> what a text's documentation says of it."""
    told: dict[str, str] = {}
    for form in _DOCUMENTED:
        for found in form.finditer(text):
            told.setdefault(found["name"], found["said"].strip())
    return told


def _signature(lines: Sequence[str]) -> range:
    """The lines in which a definition's parameters stand; further down `name=value` is a call."""
    first = next((at for at, line in enumerate(lines) if _SIGNATURE.search(line)), None)
    if first is None:
        return range(0)
    depth = 0
    for at in range(first, len(lines)):
        depth += lines[at].count("(") - lines[at].count(")")
        if depth <= 0:
            return range(first, at + 1)
    return range(0)


def _parameters(line: str, told: dict[str, str]) -> Iterator[Value]:
    for found in _PARAMETER.finditer(line):
        yield Value(found["name"], found["value"], line, told.get(found["name"], ""), default=True)


def _of_line(lines: Sequence[str], at: int, told: dict[str, str], language: str) -> Iterator[Value]:
    line = lines[at]
    entry = None if language in _TYPE_BEHIND_COLON else _ENTRY.match(line)
    if (found := _SET.match(line) or entry) is not None:
        if not _in_a_table(lines, at):
            said = found["said"] or _beside(lines, at)
            yield Value(found["name"], found["value"], line, said, default=False)
    elif (found := _FALLBACK.search(line)) is not None:
        yield Value(found["name"], found["value"], line, told.get(found["name"], ""), default=True)


def _in_a_table(lines: Sequence[str], at: int) -> bool:
    def gives(line: str) -> bool:
        return bool(_SET.match(line) or _ENTRY.match(line))

    first = last = at
    while first and gives(lines[first - 1]):
        first -= 1
    while last + 1 < len(lines) and gives(lines[last + 1]):
        last += 1
    return last - first + 1 >= _TABLE and not any("#" in line or "//" in line for line in lines[first : last + 1])


def _beside(lines: Sequence[str], at: int) -> str:
    """What the comment above says, if it is of one line, or the string below."""
    if at + 1 < len(lines) and (found := _DOCSTRING_BELOW.match(lines[at + 1])):
        return found["said"]
    if at and (found := _COMMENT_ABOVE.match(lines[at - 1])) and (at == 1 or not _COMMENT_ABOVE.match(lines[at - 2])):
        return found["said"]
    return ""


def records(documents: Sequence[dict[str, Any]], *, most: int = MOST, seed: int = 13) -> list[dict[str, Any]]:
    """Answer records of some `most` values, one of a document, languages by the square root of their number."""
    draw = random.Random(seed)  # noqa: S311
    by_package: dict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(documents):
        if row["language"] != "markdown" and file_kind(path_alone(row["header"]).strip(), row["language"]) == "code":
            by_package[row["package"]].append(index)
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for members in by_package.values():
        kept = [record for index in members if (record := _record(index, documents[index], draw))]
        draw.shuffle(kept)
        # Questions that repeat what people wrote first: words of names alone are what is left for.
        told = [record for record in kept if record["said"]]
        others = [record for record in kept if not record["said"]]
        for record in [*told, *others[: max(FEWEST, len(told))]][:MOST_OF_A_PACKAGE]:
            found[record["language"]].append(among_others(record, members, draw))
    chosen = by_language(found, most, draw)
    return [{key: record[key] for key in record if key != "said"} for record in chosen]


def _record(index: int, row: dict[str, Any], draw: random.Random) -> dict[str, Any] | None:
    owner = definition_name(row["header"], row["text"])
    every = values(row["text"], row["language"])
    draw.shuffle(every)
    every.sort(key=lambda value: not value.said)
    path = path_alone(row["header"]).strip()
    for value in every:
        if value.default and not owner:
            continue
        belongs = " ".join(split_name(_spoken_of(owner) or Path(path).stem))
        # By its words alone a parameter could be any function's.
        of_whom = belongs if draw.random() < NAMED_WORDS or (value.default and not value.said) else ""
        question = asked(value.name, value.value, value.said, of_whom, draw)
        if question:
            answer = (
                f"`{value.name}` defaults to `{value.value}` in `{owner}`."
                if value.default
                else f"`{value.name}` is `{value.value}`, set in `{path}`."
            )
            record = {"question": question, "gold": [index], "kind": KIND, "language": row["language"]}
            return {**record, "answer": answer, "evidence": value.line, "said": bool(value.said)}
    return None


def _spoken_of(owner: str | None) -> str:
    """The last of a name that says what it is: of what a class is called by, the class."""
    parts = [part for part in (owner or "").split(".") if part not in _BY_NAME]
    return parts[-1] if parts else ""


def main(arguments: list[str] | None = None) -> None:
    """Writes the records; how many of each language as a JSON object to stdout."""
    write_part("described", __doc__, KIND, records, arguments, most=MOST)


if __name__ == "__main__":
    main()
