"""Which lines of what was read carry an answer."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence, Set

from codemem.model.events import Definition

MOST_LINES = 30
"""Lines a citation spans at most."""

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|\d+(?:\.\d+)?")
PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

_COMMON_WORDS = """
a an and any are as at be been but by can could did do does each for from had has have how i if in into is it its may
more must no not of on one or other out own shall should so some such than that the their them then there these they
this those to under up used uses using was we were what when where which while who why will with would you your
"""
_COMMON = frozenset(_COMMON_WORDS.split())
"""Words of any English sentence: licences and comments share them with every answer."""


def words(text: str) -> set[str]:
    """Identifiers and numbers of a text, and the parts of split identifiers, in lower case, without common words."""
    found: set[str] = set()
    for word in _WORD.findall(text):
        found.add(word.lower())
        found.update(part.lower() for part in PART.findall(word))
    return {word for word in found if (len(word) > 1 or word.isdigit()) and word not in _COMMON}


def surroundings(text: str, definitions: Sequence[Definition], statement: str) -> list[set[str]]:
    """For each line of a text the words of a statement that name definitions around it: what it says, it says of
    them."""
    wanted = words(statement)
    around: list[set[str]] = [set() for _ in text.splitlines()]
    # By lines first: a text may lie within thousands of definitions, which are around all of it.
    spans: defaultdict[tuple[int, int], set[str]] = defaultdict(set)
    for definition in definitions:
        # With its scope, as of Go's methods, whose types are not around them; what is further out has lines of its own,
        # and all names together would be as many as definitions are deep.
        names = words(".".join(definition.name.rsplit(".", 2)[-2:])) & wanted
        spans[max(0, definition.start_line), min(definition.end_line, len(around))] |= names
    for (start, end), found in spans.items():
        for line in around[start:end]:
            line.update(found)
    return around


def _with_surroundings(by_line: Sequence[set[str]], around: Sequence[Set[str]]) -> list[set[str]]:
    """What each line shares with a statement, with what its surroundings share if it says something besides."""
    return [found | names if found - names else found for found, names in zip(by_line, around, strict=True)]


def support(texts: Sequence[str], statement: str, around: Sequence[Sequence[Set[str]]] = ()) -> list[float]:
    """How much each text carries a statement: the sum over the words that it shares with the statement of one over the
    number of texts that hold the word, so that words that stand everywhere decide nothing; and once more the sum over
    its best single line, by the number of lines of all texts that hold a word. `around`: for each text the words that
    its lines are said of (`surroundings`)."""
    wanted = words(statement)
    by_line = [[words(line) & wanted for line in text.splitlines()] for text in texts]
    held = [set().union(*lines) for lines in by_line]
    counts = Counter(word for words_held in held for word in words_held)
    lines_with = Counter(word for lines in by_line for found in lines for word in found)
    total = 2 + sum(map(len, by_line))
    rarity = {word: math.log(total / max(1, lines_with[word])) / math.log(total) for word in wanted}
    said = list(map(_with_surroundings, by_line, around)) if around else by_line
    best = [max((sum(rarity[word] for word in found) for found in lines), default=0.0) for lines in said]
    return [sum(1.0 / counts[word] for word in found) + line for found, line in zip(held, best, strict=True)]


def supporting(
    texts: Sequence[str],
    statement: str,
    *,
    cited: Sequence[int] = (),
    share: float = 0.5,
    around: Sequence[Sequence[Set[str]]] = (),
) -> list[int]:
    """Indices of the texts that carry a statement, best first: the best one, and others with `share` of its support.

    `texts` come in the order of their ranks, and a later one counts a tenth less than the one before. Those that the
    writer cited count half as much again: a small model's numbers go astray, its words seldom do.
    """
    found = support(texts, statement, around)
    found = [x * 0.9**i * (1.5 if i in cited else 1.0) for i, x in enumerate(found)]
    order = sorted(range(len(texts)), key=lambda i: -found[i])
    return [i for i in order if found[i] > 0 and found[i] >= share * found[order[0]]]


def files_first(paths: Sequence[str], order: Sequence[int]) -> list[int]:
    """Indices in an order, further ones of a file behind the first one of every file."""
    first = {paths[at]: at for at in reversed(order)}
    return [at for at in order if first[paths[at]] == at] + [at for at in order if first[paths[at]] != at]


def deciding_span(
    text: str,
    statement: str,
    *,
    most_lines: int = MOST_LINES,
    holding: int | None = None,
    definitions: Sequence[Definition] = (),
) -> tuple[int, int]:
    """UTF-8 byte range of the at most `most_lines` consecutive lines of `text` that share most with `statement`, the
    line `holding` among them.

    A window counts by the rare words that it covers, and twice more by those of its best single line: what decides
    mostly stands in one (`class Statement(TokenList):`), while the words one by one stand everywhere around it. A line
    is said of the `definitions` around it: `raise Full` within `push` is where `push` raises `Full`. Blank
    lines at the borders are dropped. A text that shares nothing yields its first lines.
    """
    lines = text.splitlines(keepends=True)
    if not lines:
        return 0, 0
    wanted = words(statement)
    by_line = [words(line) & wanted for line in lines]
    lines_with = Counter(word for found in by_line for word in found)
    weight = {word: math.log(1 + len(lines) / count) for word, count in lines_with.items()}
    said = _with_surroundings(by_line, surroundings(text, definitions, statement))
    alone = [sum(weight.get(word, math.log(1 + len(lines))) for word in found) for found in said]
    best, first, last = (-1.0, 0), 0, min(len(lines), most_lines) - 1
    starts = range(max(1, len(lines) - most_lines + 1))
    if holding is not None:
        starts = range(max(0, holding - most_lines + 1), min(len(starts) - 1, holding) + 1)
    for start in starts:
        end = min(len(lines), start + most_lines)
        covered = {word for found in by_line[start:end] for word in found}
        # Of windows that weigh the same, the one in which more lines speak of it.
        score = (
            sum(weight[word] for word in covered) + 2 * max(alone[start:end]),
            sum(map(bool, by_line[start:end])),
        )
        if score > best:
            best, first, last = score, start, end - 1
    touched = [i for i in range(first, last + 1) if by_line[i] or i == holding]
    if touched:
        first, last = touched[0], touched[-1]
    while first < last and not lines[first].strip():
        first += 1
    while last > first and not lines[last].strip():
        last -= 1
    offsets = [0]
    for line in lines:
        offsets.append(offsets[-1] + len(line.encode()))
    return offsets[first], offsets[last + 1]
